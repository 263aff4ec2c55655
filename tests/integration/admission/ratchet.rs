//! What was there before Quorate knew it, and breaks the rules, can still be edited and got rid of.

use serde_json::{Value, json};

use super::{
    PRODUCTION, apply, govern, is_denied, kubectl, service, shipped, statefulset, stored, stored_nowhere, succeeds,
    with,
};
use crate::controlplane::{shared, wait_for};

/// A namespace with the StatefulSet `db` in it: written before Quorate sees the namespace, but governed now.
fn before(prefix: &str, objects: &[Value]) -> String {
    let namespace = shared().namespace(prefix, &[]).unwrap();
    for object in objects {
        apply(&namespace, object);
    }
    govern(&namespace, shipped());
    namespace
}

#[test]
fn a_violating_stateful_set_can_be_labelled_annotated_and_deleted_l22() {
    // One replica, and no Service at all.
    let namespace = before("l22", &[statefulset(1)]);
    let labelled = succeeds(&["label", "statefulset", "db", "team=storage"], &namespace);
    assert!(!labelled.stderr.contains("spec.replicas"), "nobody asked about the spec: {labelled}");
    succeeds(&["annotate", "statefulset", "db", "example.com/note=1"], &namespace);
    let finalizer = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
    succeeds(&["patch", "statefulset", "db", "--type=merge", "-p", finalizer], &namespace);
    succeeds(&["patch", "statefulset", "db", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#], &namespace);
    succeeds(&["delete", "statefulset", "db", "--timeout=180s"], &namespace);
}

#[test]
fn a_terminating_stateful_set_can_be_edited_to_its_end_l22() {
    let held = with(statefulset(2), "/metadata/finalizers", json!(["example.com/hold"]));
    let namespace = before("l22-terminating", &[held]);
    succeeds(&["delete", "statefulset", "db", "--wait=false"], &namespace);
    assert!(stored(&namespace)["metadata"]["deletionTimestamp"].is_string());
    succeeds(&["label", "statefulset", "db", "team=storage"], &namespace);
    // Also what is denied otherwise, as it makes things worse.
    let fewer = r#"{"spec":{"replicas":1}}"#;
    let scale = ["patch", "statefulset", "db", "--type=merge", "-p", fewer];
    succeeds(&scale, &namespace);
    succeeds(&["patch", "statefulset", "db", "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#], &namespace);
    wait_for("the StatefulSet to be gone", || {
        let found = shared().kubectl(&["get", "statefulset", "db", "--ignore-not-found", "-n", &namespace]).ok()?;
        anyhow::ensure!(found.is_empty(), "{found}");
        Ok(())
    })
    .unwrap();
}

#[test]
fn an_update_of_what_was_there_before_is_never_made_invalid_l8() {
    let namespace = before("l8", &[statefulset(1)]);
    // Each of the fields that the API server lets change, with the template, which is injected into.
    let changes = [
        ("/spec/template/spec/containers/0/image", json!("db.example/server:2")),
        ("/spec/updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})),
        ("/spec/minReadySeconds", json!(1)),
        ("/spec/revisionHistoryLimit", json!(3)),
        ("/spec/ordinals", json!({"start": 1})),
        ("/spec/persistentVolumeClaimRetentionPolicy", json!({"whenDeleted": "Retain", "whenScaled": "Retain"})),
        ("/spec/replicas", json!(2)),
    ];
    let mut object = statefulset(1);
    for (pointer, value) in changes {
        object = with(object, pointer, value.clone());
        let output = apply(&namespace, &object);
        assert!(output.stdout.contains("configured"), "{pointer}: {output}");
        let found = stored(&namespace);
        let found = found.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {found}"));
        assert_eq!(found, &value, "{pointer}");
    }
    assert!(super::is_injected(&stored(&namespace)));
}

#[test]
fn only_what_gets_worse_is_denied_l22_l25() {
    let namespace = before("l25", &[service(), statefulset(2)]);
    let image = "/spec/template/spec/containers/0/image";
    let same = apply(&namespace, &with(statefulset(2), image, json!("db.example/server:2")));
    assert!(!same.stderr.contains("denied"), "{same}");
    let worse = kubectl(&["apply"], &namespace, &with(statefulset(1), image, json!("db.example/server:2")));
    assert!(is_denied(&worse, "spec.replicas: 1 is below the minimum 2"), "{worse}");
}

/// L82: charts and hibernation scale to zero.
#[test]
fn zero_replicas_are_admitted_under_the_shipped_policies_l82() {
    for (prefix, labels) in [("l82-baseline", &[][..]), ("l82-production", &[PRODUCTION])] {
        let namespace = shipped().namespace(prefix, labels).unwrap();
        apply(&namespace, &service());
        apply(&namespace, &stored_nowhere(0));
        assert_eq!(stored(&namespace)["spec"]["replicas"], 0);
    }
}
