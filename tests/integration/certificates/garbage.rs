//! Somebody writes into the Secrets while clients work.

use std::sync::atomic::Ordering;

use super::balancer::balance;
use super::clients::Clients;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_writes_into_the_secrets_is_replaced_and_no_request_fails() {
    let stage = stage();
    let cluster = stage.cluster;
    let replicas = tokio::task::block_in_place(|| replicas(cluster, &[]));
    let ports: Vec<_> = replicas.iter().map(Quorate::port).collect();
    let balanced = balance(ports.clone()).await;
    let namespace = tokio::task::block_in_place(|| {
        register(cluster, balanced);
        cluster.namespace("garbage", &[]).unwrap()
    });
    let clients = Clients::start(cluster, &namespace, balanced, &ports).await;
    tokio::task::block_in_place(|| {
        let (other, other_key) = pair_of_another_ca();
        let garbage = json!({"tls.crt": "garbage", "tls.key": "garbage", "ca.crt": "garbage"});
        for (name, data) in [
            ("quorate-tls", garbage.clone()),
            ("quorate-tls", json!({"tls.key": other_key})),
            ("quorate-tls", json!({"tls.crt": other, "tls.key": other_key})),
            ("quorate-ca", json!({"ca.crt": other})),
            ("quorate-ca", json!({"tls.key": other_key})),
            ("quorate-ca", garbage),
        ] {
            spoil(cluster, name, &data);
            until_mended(cluster, name, &data);
        }
        // Both at once, to the last byte.
        for name in ["quorate-tls", "quorate-ca"] {
            let gone = r#"[{"op": "remove", "path": "/data"}]"#;
            cluster.kubectl(&["patch", "secret", name, "-n", NAMESPACE, "--type=json", "-p", gone]).ok().unwrap();
        }
        until_mended(cluster, "quorate-ca", &json!({}));
        let log: String = replicas.iter().map(Quorate::log).collect();
        assert!(log.contains("holds no certificate") && log.contains("does not belong to"), "{log}");
    });
    let seen = std::sync::Arc::clone(&clients.seen);
    let failed = clients.end().await;
    let requests = [&seen.reconnecting, &seen.keeping, &seen.creating].map(|counter| counter.load(Ordering::SeqCst));
    println!("{requests:?} requests while the Secrets were spoilt seven times; {} failed", failed.len());
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A certificate that is good in itself, and its key.
fn pair_of_another_ca() -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["quorate.quorate-system.svc".to_owned()]).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Waits until nothing of what was written is left, and the certificate is by the CA that the API server is told of.
fn until_mended(cluster: &ControlPlane, name: &str, written: &Value) {
    wait_for("the Secrets to be mended", || {
        for (key, value) in written.as_object().context("data")? {
            ensure!(secret(cluster, name, key)? != value.as_str().unwrap_or_default().as_bytes(), "{name} {key}");
        }
        let [authority, bundle] = ["tls.crt", "ca.crt"].map(|key| secret(cluster, "quorate-ca", key));
        let (authority, bundle) = (authority?, bundle?);
        ensure!(!authority.is_empty() && secret(cluster, "quorate-tls", "ca.crt")? == authority, "not signed anew");
        ensure!(bundles(cluster)?.iter().all(|it| *it == bundle), "not told to the API server");
        Ok(())
    })
    .unwrap();
}
