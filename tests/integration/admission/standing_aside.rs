//! Whatever becomes of Quorate, what it has no say in goes on.

use anyhow::ensure;
use serde_json::{Value, json};

use super::{apply, is_injected, kubectl, service, settled, statefulset, stored, succeeds, with};
use crate::controlplane::kubectl::Output;
use crate::controlplane::webhooks::{INSTANCE, NAMESPACE};
use crate::controlplane::{Quorate, shared, wait_for};
use crate::reliability::record::{Row, record};

/// A StatefulSet that every shipped policy would deny, and change.
fn violating(name: &str) -> Value {
    let named = with(statefulset(1), "/metadata/name", json!(name));
    with(named, "/spec/template/spec/nodeSelector", json!({"nowhere": "true"}))
}

/// Applies it as `admin`, who may write to these namespaces.
fn create_and_delete(namespace: &str, object: &Value) -> Output {
    let cluster = shared();
    let words = ["create", "-n", namespace, "-o", "json", "-f", "-"];
    let output = cluster.kubectl(&words).stdin(&object.to_string()).run().unwrap();
    if output.success() {
        let kind = object["kind"].as_str().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap();
        cluster.kubectl(&["delete", kind, name, "-n", namespace]).ok().unwrap();
    }
    output
}

#[test]
fn nothing_needs_quorate_but_what_it_judges_l20_l23_l92() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).start().unwrap();
    let namespace = quorate.namespace("l20", &[]).unwrap();
    // Only for this instance: what the shipped configurations leave out is then left out by them, not by the tests' label.
    let excluded = ["kube-system".to_owned(), NAMESPACE.to_owned(), quorate.namespace("kube-own", &[]).unwrap()];
    let label = format!("{INSTANCE}={}", quorate.instance());
    for namespace in &excluded {
        cluster.kubectl(&["label", "namespace", namespace, "--overwrite", &label]).ok().unwrap();
    }
    apply(&namespace, &service());
    for name in ["db", "orphaned", "held"] {
        apply(&namespace, &with(statefulset(2), "/metadata/name", json!(name)));
    }
    settled(&namespace);
    let hold = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    succeeds(&["patch", "statefulset", "held", "--type=merge", "-p", hold], &namespace);

    let denied = kubectl(&["create"], &namespace, &violating("violating"));
    assert!(super::is_denied(&denied, "spec.replicas: 1 is below the minimum 2"), "{denied}");
    for namespace in &excluded {
        let untouched = create_and_delete(namespace, &violating("untouched"));
        assert!(untouched.success() && !untouched.stdout.contains("quorate.dev/injected"), "{untouched}");
    }

    quorate.kill().unwrap();
    let unanswered = kubectl(&["create"], &namespace, &with(statefulset(2), "/metadata/name", json!("new")));
    assert!(unanswered.stderr.contains("failed calling webhook"), "failurePolicy is Fail: {unanswered}");

    // Pods come back, and are evicted and deleted.
    let pod = cluster.object(&namespace, "pod", "db-1").unwrap();
    succeeds(&["delete", "pod", "db-1"], &namespace);
    wait_for("a new db-1", || {
        let new = cluster.object(&namespace, "pod", "db-1")?;
        ensure!(new["metadata"]["uid"] != pod["metadata"]["uid"], "still the old one");
        Ok(())
    })
    .unwrap();
    assert!(is_injected(&settled(&namespace)));
    // Metadata, autoscalers, status, and whatever is being deleted.
    succeeds(&["annotate", "statefulset", "db", "example.com/note=1"], &namespace);
    succeeds(&["scale", "statefulset", "db", "--replicas=3"], &namespace);
    assert_eq!(settled(&namespace)["status"]["readyReplicas"], 3);
    succeeds(&["delete", "statefulset", "orphaned", "--cascade=foreground", "--timeout=180s"], &namespace);
    succeeds(&["delete", "statefulset", "held", "--wait=false"], &namespace);
    let release = r#"{"metadata":{"finalizers":null}}"#;
    succeeds(&["patch", "statefulset", "held", "--type=merge", "-p", release], &namespace);
    // What the cluster itself, and Quorate, are made of.
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "untouched"},
        "spec": {
            "selector": {"matchLabels": {"app": "untouched"}},
            "template": violating("untouched")["spec"]["template"].clone(),
        },
    });
    let deployment = with(deployment, "/spec/template/metadata/labels", json!({"app": "untouched"}));
    for namespace in &excluded {
        for object in [&violating("untouched"), &deployment] {
            let untouched = create_and_delete(namespace, object);
            assert!(untouched.success(), "{untouched}");
        }
    }

    for namespace in &excluded {
        cluster.kubectl(&["label", "namespace", namespace, &format!("{INSTANCE}-")]).ok().unwrap();
    }
    assert_eq!(stored(&namespace)["spec"]["replicas"], 3);

    // And with the configurations gone, as whoever uninstalls removes them first, nothing is left of it.
    quorate.unregister().unwrap();
    succeeds(&["set", "image", "statefulset", "db", "db=db.example/server:2"], &namespace);
    let free = kubectl(&["create"], &namespace, &violating("new"));
    assert!(free.success() && free.stderr.is_empty(), "{free}");
    record(
        "admission::standing_aside::nothing_needs_quorate_but_what_it_judges_l20_l23_l92",
        &Row {
            tried: "Quorate is gone, with `failurePolicy: Fail`",
            amount: "once".to_owned(),
            result: "pods return; `kubectl scale`, foreground deletion and finalizers work; `kube-*` and Quorate's own namespace deploy; \
                     without the configurations everything is free"
                .to_owned(),
        },
    );
}
