//! What is injected, and that nobody gets a rollout that they did not ask for.

use insta::assert_snapshot;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    PRODUCTION, apply, govern, is_injected, kubectl, plain, service, settled, shipped, statefulset, stored,
    stored_nowhere, succeeds, with,
};
use crate::controlplane::shared;

const ANTI_AFFINITY: &str = "/spec/template/spec/affinity/podAntiAffinity";
const PREFERRED: &str = "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";

/// L26: as a person with kubectl, as Flux with server-side apply, and as a client that puts what it has.
#[rstest]
#[case::apply(&["apply"], "client-side")]
#[case::server_side_apply(&["apply", "--server-side"], "server-side")]
#[case::replace(&["replace"], "put")]
fn the_same_manifest_twice_changes_nothing_l26_l65(#[case] words: &[&str], #[case] how: &str) {
    // Where a hard term is injected on CREATE and only a soft one on UPDATE, so that what is kept shows.
    let namespace = shipped().namespace(&format!("l26-{how}"), &[PRODUCTION]).unwrap();
    let first = if words == ["replace"] { &["create"][..] } else { words };
    for object in [service(), stored_nowhere(3)] {
        let output = kubectl(first, &namespace, &object);
        assert!(output.success(), "{output}");
    }
    let before = stored(&namespace);
    assert!(is_injected(&before), "{before}");
    // The manifest knows nothing of the injection.
    let output = kubectl(words, &namespace, &stored_nowhere(3));
    assert!(output.success(), "{output}");
    let after = stored(&namespace);
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"], "{how}");
    assert_eq!(after["spec"], before["spec"], "{how}");
    assert!(is_injected(&after), "{after}");
}

#[test]
fn scaling_rolls_no_pod_l64() {
    let namespace = plain().namespace("l64", &[]).unwrap();
    apply(&namespace, &service());
    apply(&namespace, &statefulset(3));
    let before = settled(&namespace);
    apply(&namespace, &statefulset(5));
    let after = settled(&namespace);
    assert_eq!(after["status"]["replicas"], 5);
    assert_eq!(after["status"]["updateRevision"], before["status"]["updateRevision"]);
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);
    assert_eq!(revisions(&namespace), 1);
}

#[test]
fn a_label_on_what_was_there_before_makes_no_revision_l65() {
    let namespace = shared().namespace("l65", &[]).unwrap();
    apply(&namespace, &service());
    apply(&namespace, &statefulset(3));
    let before = settled(&namespace);
    govern(&namespace, plain());
    // On the object itself, and by a manifest that is applied again.
    succeeds(&["label", "statefulset", "db", "team=storage"], &namespace);
    let applied = apply(&namespace, &with(statefulset(3), "/metadata/labels/tier", json!("data")));
    assert!(applied.stderr.contains("pending injection"), "{applied}");
    let scaled = apply(&namespace, &with(statefulset(5), "/metadata/labels/tier", json!("data")));
    assert!(scaled.stderr.contains("pending injection"), "{scaled}");
    let after = settled(&namespace);
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);
    assert_eq!(after["status"]["updateRevision"], before["status"]["updateRevision"]);
    assert_eq!(revisions(&namespace), 1);
    // It comes with the next rollout that somebody asks for.
    let changed = with(statefulset(5), "/spec/template/spec/containers/0/image", json!("db.example/server:2"));
    apply(&namespace, &changed);
    assert!(is_injected(&settled(&namespace)));
    assert_eq!(revisions(&namespace), 2);
}

#[test]
fn terms_select_by_the_selector_and_not_by_other_labels_of_the_template_l60() {
    let namespace = plain().namespace("l60", &[]).unwrap();
    apply(&namespace, &service());
    let labelled = |version: &str| {
        let labels = json!({"app": "db", "version": version, "team": "storage"});
        with(statefulset(3), "/spec/template/metadata/labels", labels)
    };
    apply(&namespace, &labelled("1"));
    let before = stored(&namespace);
    assert_snapshot!(before.pointer(ANTI_AFFINITY).unwrap().to_string(), @r#"{"preferredDuringSchedulingIgnoredDuringExecution":[{"podAffinityTerm":{"labelSelector":{"matchLabels":{"app":"db"}},"topologyKey":"kubernetes.io/hostname"},"weight":100}]}"#);
    // In mid-rollout old and new pods still avoid each other.
    apply(&namespace, &labelled("2"));
    assert_eq!(stored(&namespace).pointer(ANTI_AFFINITY), before.pointer(ANTI_AFFINITY));
    settled(&namespace);
}

#[test]
fn spread_constraints_stay_as_they_are_l61() {
    let namespace = shipped().namespace("l61", &[PRODUCTION]).unwrap();
    apply(&namespace, &service());
    let constraint = |when: &str| {
        json!({
            "topologyKey": "topology.kubernetes.io/zone",
            "maxSkew": 2,
            "whenUnsatisfiable": when,
            "labelSelector": {"matchLabels": {"app": "db"}},
        })
    };
    // The API server takes a topology key twice, but not with the same whenUnsatisfiable.
    let constraints = json!([constraint("ScheduleAnyway"), constraint("DoNotSchedule")]);
    let set = with(stored_nowhere(3), "/spec/template/spec/topologySpreadConstraints", constraints.clone());
    apply(&namespace, &set);
    let object = stored(&namespace);
    assert_eq!(object["spec"]["template"]["spec"]["topologySpreadConstraints"], constraints);
    assert!(is_injected(&object), "{object}");
}

/// L66: `affinity` as the charts of Bitnami write it, where nothing is set but what they prefer.
#[rstest]
#[case::apply(&["apply"], "applied")]
#[case::create(&["create"], "created")]
fn nulls_of_charts_are_as_good_as_absent_l66(#[case] words: &[&str], #[case] how: &str) {
    let namespace = plain().namespace(&format!("l66-{how}"), &[]).unwrap();
    let chart = |name: &str| {
        let file = format!("{}/tests/fixtures/charts/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        serde_saphyr::from_multiple::<Value>(&text).unwrap()
    };
    for object in chart("null-affinity") {
        let output = kubectl(words, &namespace, &object);
        assert!(output.success(), "{output}");
    }
    let preferred = |name: &str| {
        let object = shared().object(&namespace, "statefulset", name).unwrap();
        assert!(is_injected(&object), "{object}");
        let terms = object.pointer(PREFERRED).unwrap().as_array().unwrap().clone();
        let keys =
            terms.into_iter().map(|term| (term["podAffinityTerm"]["topologyKey"].clone(), term["weight"].clone()));
        keys.collect::<Vec<_>>()
    };
    // What it prefers stays first, and ours is beside it.
    assert_eq!(
        preferred("chart-zones"),
        [(json!("topology.kubernetes.io/zone"), json!(1)), (json!("kubernetes.io/hostname"), json!(100))]
    );
    assert_eq!(preferred("chart-nulls"), [(json!("kubernetes.io/hostname"), json!(100))]);
}

/// How many revisions the controller keeps of the namespace's StatefulSet.
fn revisions(namespace: &str) -> usize {
    let list = shared().kubectl(&["get", "controllerrevisions", "-n", namespace, "-o", "json"]).json().unwrap();
    list["items"].as_array().unwrap().len()
}
