//! From the installation on: three replicas, and what others do to the webhook configurations.

use std::fs;
use std::time::Instant;

use super::balancer::balance;
use super::*;

/// L41, and that nothing of a key is ever logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_replicas_that_start_at_once_agree_on_one_ca_which_the_api_server_learns_of_l41() {
    let stage = stage();
    let cluster = stage.cluster;
    let replicas = tokio::task::block_in_place(|| replicas(cluster, &["--log", "trace"]));
    let port = balance(replicas.iter().map(Quorate::port).collect()).await;
    tokio::task::block_in_place(|| {
        let authority = secret(cluster, "quorate-ca", "tls.crt").unwrap();
        assert_eq!(secret(cluster, "quorate-ca", "ca.crt").unwrap(), authority, "one CA");
        assert_eq!(secret(cluster, "quorate-tls", "ca.crt").unwrap(), authority);
        let made: usize = replicas.iter().map(|replica| replica.log().matches("put a new CA").count()).sum();
        assert_eq!(made, 1);
        for replica in &replicas {
            let (_, ready) = replica.admin("/readyz?verbose").unwrap();
            assert!(
                ready.contains("[+]certificate ok\n") && ready.contains("[+]webhook-configurations ok\n"),
                "{ready}"
            );
            let metrics = replica.metrics().unwrap();
            for gauge in ["quorate_certificate_expiry_timestamp_seconds", "quorate_ca_expiry_timestamp_seconds"] {
                let value = metrics.lines().find_map(|line| line.strip_prefix(gauge)).unwrap().trim();
                assert!(value.parse::<f64>().unwrap() > 1.7e9, "{gauge}: {value}");
            }
        }

        register(cluster, port);
        let namespace = cluster.namespace("install", &[]).unwrap();
        for number in 0..6 {
            both_webhooks_are_asked(cluster, &namespace, number);
        }
        restores_ca_bundle(cluster, port);
        both_webhooks_are_asked(cluster, &namespace, 6);
        rights_end_at_other_names(cluster, &replicas[0]);
        no_key_was_logged(cluster, &replicas);
    });
}

fn both_webhooks_are_asked(cluster: &ControlPlane, namespace: &str, number: usize) {
    let create = |replicas| {
        let object = statefulset(&format!("db-{number}-{replicas}"), replicas).to_string();
        cluster.kubectl(&["create", "-f", "-", "-o", "json"]).namespace(namespace).stdin(&object)
    };
    assert!(is_injected(&create(3).json().unwrap()));
    let denied = create(1).run().unwrap();
    assert!(denied.stderr.contains("spec.replicas: 1 is below the minimum 2"), "{denied}");
}

/// Emptied, a foreign CA, and what a Helm upgrade or `kubectl apply` does.
fn restores_ca_bundle(cluster: &ControlPlane, port: u16) {
    let foreign = fs::read_to_string(cluster.authority()).unwrap();
    for (what, text) in [("emptied", ""), ("replaced by a foreign CA", foreign.as_str())] {
        for kind in CONFIGURATIONS {
            let configuration = cluster.object(NAMESPACE, kind, "quorate").unwrap();
            let webhooks = configuration["webhooks"].as_array().unwrap();
            let path = |number| format!("/webhooks/{number}/clientConfig/caBundle");
            let value = BASE64_STANDARD.encode(text);
            let changes: Vec<_> = (0..webhooks.len())
                .map(|number| json!({"op": "replace", "path": path(number), "value": value}))
                .collect();
            let changes = Value::from(changes).to_string();
            cluster.kubectl(&["patch", kind, "quorate", "--type=json", "-p", &changes]).ok().unwrap();
        }
        let started = Instant::now();
        until_whole(cluster);
        println!("caBundle, {what}, was whole again after {:?}", started.elapsed());
    }
    let before = versions(cluster);
    apply_configurations(cluster, port);
    assert_eq!(versions(cluster), before, "applying the manifests again changes nothing");
}

fn versions(cluster: &ControlPlane) -> [Value; 2] {
    CONFIGURATIONS
        .map(|kind| cluster.object(NAMESPACE, kind, "quorate").unwrap()["metadata"]["resourceVersion"].clone())
}

fn rights_end_at_other_names(cluster: &ControlPlane, replica: &Quorate<'_>) {
    let kubeconfig = replica.directory().join("kubeconfig");
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let ask =
        |words: &[&str]| cluster.kubectl(&[words, &[kubeconfig.as_str(), "-n", NAMESPACE]].concat()).run().unwrap();
    assert!(ask(&["get", "secret", "quorate-tls"]).success());
    cluster.kubectl(&["create", "secret", "generic", "other", "-n", NAMESPACE]).run().unwrap();
    for words in [
        &["get", "secret", "other"][..],
        &["get", "secrets"],
        &["get", "secrets", "--all-namespaces"],
        &["delete", "secret", "quorate-tls"],
        &["create", "secret", "generic", "more"],
        &["get", "validatingwebhookconfigurations"],
        &["delete", "validatingwebhookconfigurations", "quorate"],
        &["patch", "validatingwebhookconfigurations", "other", "-p", "{}"],
    ] {
        let refused = ask(words);
        assert!(refused.stderr.contains("is forbidden"), "{refused}");
    }
}

/// The logs are at their most talkative. Neither PEM nor its lines nor the base64 in which JSON holds it are in them.
fn no_key_was_logged(cluster: &ControlPlane, replicas: &[Quorate<'_>]) {
    let keys: Vec<_> = ["quorate-ca", "quorate-tls"].map(|name| secret(cluster, name, "tls.key").unwrap()).into();
    let mut needles = vec!["PRIVATE KEY".to_owned(), BASE64_STANDARD.encode("-----BEGIN PRIVATE KEY")];
    for key in &keys {
        let text = std::str::from_utf8(key).unwrap();
        let middle = text.lines().nth(1).unwrap();
        assert!(middle.len() > 40, "no line of a key");
        needles.push(middle[8..40].to_owned());
        let encoded = BASE64_STANDARD.encode(key);
        needles.push(encoded[60..120].to_owned());
        // As Debug prints bytes.
        needles.push(format!("{:?}", &key[40..56]).trim_matches(['[', ']']).to_owned());
    }
    for replica in replicas {
        let log = replica.log();
        assert!(log.contains("TRACE") && log.contains("quorate-tls"), "it is not talkative");
        for needle in &needles {
            assert!(!log.contains(needle.as_str()), "{needle} is in {}", replica.process().log_file().display());
        }
    }
}
