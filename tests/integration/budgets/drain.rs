//! `kubectl drain` of each node in turn.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::*;

/// L53: it always finishes, with at most `maxUnavailable` pods of each StatefulSet down at a time.
#[test]
fn each_node_in_turn_can_be_drained_l53() {
    let (cluster, namespace) = namespace("drain", "quorum");
    let allowed = BTreeMap::from([("one", (1, 1)), ("two", (2, 1)), ("three", (3, 1)), ("five", (5, 2))]);
    for (name, (replicas, _)) in &allowed {
        let mut set = statefulset(name, *replicas, &json!({"app": name}));
        set["spec"]["template"]["metadata"]["labels"]["drained"] = json!("yes");
        apply(cluster, &namespace, &set);
    }
    let mut crashing = statefulset("crashing", 3, &json!({"app": "crashing"}));
    crashing["spec"]["template"]["metadata"]["labels"]["drained"] = json!("yes");
    apply(cluster, &namespace, &crashing);
    for (name, (replicas, _)) in &allowed {
        ready(cluster, &namespace, name, i64::from(*replicas));
    }
    ready(cluster, &namespace, "crashing", 3);
    budgets_are(cluster, &namespace, &["crashing-quorate", "five-quorate", "three-quorate", "two-quorate"]);
    budget_allows(cluster, &namespace, "five-quorate", 2);

    let drained = Arc::new(AtomicBool::new(false));
    let watch = {
        let (namespace, drained) = (namespace.clone(), Arc::clone(&drained));
        thread::spawn(move || most_down(&namespace, &drained))
    };
    for node in ["node-1", "node-2", "node-3"] {
        // Of three, one isn't ready and lies here: the budget lets no healthy one go, but that one always.
        let field = format!("--field-selector=spec.nodeName={node}");
        let here = kubectl(cluster, &namespace, &["get", "pods", "-l", "app=crashing", &field, "-o", "name"]);
        if let Some(pod) = here.lines().next() {
            let patch = r#"{"status":{"conditions":[{"type":"Ready","status":"False"}]}}"#;
            kubectl(cluster, &namespace, &["patch", pod, "--subresource=status", "-p", patch]);
        }
        let flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--pod-selector=drained=yes", "--timeout=150s"];
        kubectl(cluster, &namespace, &[&["drain", node][..], &flags].concat());
        for (name, (replicas, _)) in &allowed {
            ready(cluster, &namespace, name, i64::from(*replicas));
        }
        kubectl(cluster, &namespace, &["uncordon", node]);
    }
    drained.store(true, Ordering::SeqCst);
    let down = watch.join().unwrap();
    for (name, (_, allowed)) in allowed {
        let most = down.get(name).copied().unwrap_or(0);
        assert!(most <= allowed, "{most} pods of {name} were down at a time: {down:?}");
    }
    assert!(down["five"] > 0 && down["three"] > 0, "nothing was drained: {down:?}");
}

/// The greatest number of pods of each StatefulSet that were not ready at the same moment, as a watch of the pods tells.
fn most_down(namespace: &str, drained: &AtomicBool) -> BTreeMap<String, i32> {
    use futures::StreamExt;
    use k8s_openapi::api::core::v1::Pod;
    use kube::runtime::watcher;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let pods: kube::Api<Pod> = kube::Api::namespaced(stage().cluster.client().await.unwrap(), namespace);
        let mut events = watcher::watcher(pods, watcher::Config::default()).boxed();
        let mut up: BTreeMap<String, BTreeMap<String, bool>> = BTreeMap::new();
        let mut most = BTreeMap::new();
        while !drained.load(Ordering::SeqCst) {
            let event = match tokio::time::timeout(Duration::from_millis(200), events.next()).await {
                Ok(Some(event)) => event.unwrap(),
                _ => continue,
            };
            let (pod, there) = match event {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => (pod, true),
                watcher::Event::Delete(pod) => (pod, false),
                watcher::Event::Init | watcher::Event::InitDone => continue,
            };
            let conditions = pod.status.and_then(|status| status.conditions).unwrap_or_default();
            let ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
            let is_up = there && ready && pod.metadata.deletion_timestamp.is_none();
            let app = pod.metadata.labels.unwrap_or_default()["app"].clone();
            let of_app = up.entry(app.clone()).or_default();
            of_app.insert(pod.metadata.name.unwrap(), is_up);
            let down = i32::try_from(of_app.values().filter(|is_up| !**is_up).count()).unwrap();
            let worst = most.entry(app).or_insert(0);
            *worst = down.max(*worst);
        }
        most
    })
}
