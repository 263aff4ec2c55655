//! The world that objects are judged in: policies, what surrounds StatefulSets, and a time that stands still.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use quorate::admission::Admission;
use quorate::cluster::{Objects, Source};
use quorate::policy::{Policy, PolicySet, parse};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The time at which everything is judged.
pub(super) fn now() -> Timestamp {
    Timestamp::constant(1_795_428_000, 0)
}

/// Policies that between them exercise every rule.
pub(super) fn policies() -> Vec<Policy> {
    parse("policies.yaml", include_bytes!("world/policies.yaml")).expect("the policies of the tests are good")
}

/// Objects of every kind that rules look at.
pub(super) fn objects() -> Objects {
    let objects: Vec<Value> = serde_json::from_str(include_str!("world/objects.json")).expect("the file is JSON");
    let mut all = Objects::default();
    for object in objects {
        match object["kind"].as_str() {
            Some("Namespace") => all.add_namespace(decode(object)),
            Some("Node") => all.add_node(decode(object)),
            Some("Service") => all.add_service(decode(object)),
            Some("HorizontalPodAutoscaler") => all.add_autoscaler(decode(object)),
            Some("PodDisruptionBudget") => all.add_budget(decode(object)),
            Some("StatefulSet") => all.add_statefulset(decode(object)),
            Some("PersistentVolumeClaim") => {
                let text = |field: &str| object["metadata"][field].as_str().expect("a claim has a name").to_owned();
                all.add_claim(&text("namespace"), &text("name"));
            }
            kind => panic!("no object of the tests' world is a {kind:?}"),
        }
    }
    all
}

/// Who answers by these policies, with these objects for a cluster.
pub(super) fn admission(policies: Vec<Policy>, objects: Objects) -> Admission {
    let policies = Arc::new(ArcSwap::from_pointee(PolicySet::new(policies)));
    Admission::new(policies, Source::Objects(objects), Arc::default())
}

fn decode<F: DeserializeOwned>(object: Value) -> F {
    serde_json::from_value(object).expect("the objects of the tests' world are good")
}
