//! The shapes that well-known charts have, each with the injection that is due (L61, L66).

use std::sync::Arc;

use quorate::facts::{Change, Node, StatefulSet, Way};
use quorate::files::manifests;
use quorate::mutate::{Injection, Mark, patch, plan};
use quorate::policy::{Policy, Spec};
use rstest::rstest;
use serde_json::json;

/// Hard on hostname, even over zones; three Nodes in three zones.
fn injected(fixture: &str) -> String {
    let spec: Spec = serde_json::from_value(json!({"mutate": {
        "podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Required"}],
        "topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        ]
    }}))
    .unwrap();
    let policies = [Arc::new(Policy { name: "some".to_owned(), spec })];
    let manifests = manifests::parse("fixture", fixture).unwrap();
    let mut objects = manifests::surroundings(&manifests, "default").unwrap();
    for number in 1..=3 {
        let labels = json!({"kubernetes.io/hostname": format!("n{number}"), "topology.kubernetes.io/zone": format!("z{number}")});
        let node: Node =
            serde_json::from_value(json!({"metadata": {"name": format!("n{number}"), "labels": labels}})).unwrap();
        objects.add_node(node);
    }
    let mut object = manifests[0].object.clone();
    object["metadata"]["namespace"] = json!("default");
    let facts: StatefulSet = serde_json::from_value(object.clone()).unwrap();
    let change = Change { way: Way::StatefulSet, object: &facts, old: None, dry_run: false, requester: None };
    let plan = plan(&change, &objects.around(&facts), &policies);
    let mut told = plan.warnings;
    if let Injection::Inject { edits, record } = plan.injection {
        let patch = patch(&object.to_string(), Some((&edits, &record)), Mark::Keep).unwrap();
        let added = patch.0.iter().map(ToString::to_string).filter(|operation| !operation.contains("annotations"));
        told.extend(added);
    }
    assert!(told.iter().all(|line| line.starts_with('{') || line.len() < 120), "{told:?}");
    told.join("\n")
}

#[rstest]
#[case::keys_with_nothing_in_them("postgresql", include_str!("../../fixtures/charts/postgresql.yaml"))]
#[case::a_release_wide_selector("redis-cluster", include_str!("../../fixtures/charts/redis-cluster.yaml"))]
#[case::no_replicas_and_a_constraint_of_its_own("autoscaled", include_str!("../../fixtures/charts/autoscaled.yaml"))]
fn a_chart_gets_what_it_lacks_l61_l66(#[case] name: &str, #[case] fixture: &str) {
    insta::assert_snapshot!(name, injected(fixture));
}
