//! A StatefulSet, and the policies that want something injected into it.

use quorate::facts::{Node, Service};
use quorate::policy::{Policy, Spec};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{answer, world};
use quorate::cluster::Objects;

/// What an input says, as JSON.
#[derive(Deserialize)]
#[serde(default)]
struct Input {
    policies: Vec<Spec>,
    object: Value,
    old: Value,
    nodes: Vec<Node>,
    services: Vec<Service>,
    claims: Vec<String>,
}

impl Default for Input {
    fn default() -> Self {
        let none = || Value::Null;
        Self {
            policies: Vec::new(),
            object: none(),
            old: none(),
            nodes: Vec::new(),
            services: Vec::new(),
            claims: Vec::new(),
        }
    }
}

/// A mutation applies (L3), leaves everything else as it is (L7), also where parents are absent or null (L6), and done a second
/// time changes nothing.
pub fn run(input: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Input>(input) else { return };
    let policies = input.policies.into_iter().enumerate();
    let policies = policies.map(|(number, spec)| Policy { name: format!("p{number}"), spec }).collect();
    let mut objects = Objects::default();
    input.nodes.into_iter().for_each(|node| objects.add_node(node));
    input.services.into_iter().for_each(|service| objects.add_service(service));
    input.claims.iter().for_each(|claim| objects.add_claim("shop", claim));
    let review = json!({"request": {
        "uid": "u-1",
        "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
        "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
        "operation": if input.old.is_null() { "CREATE" } else { "UPDATE" },
        "namespace": "shop",
        "name": "db",
        "userInfo": {"username": "developer"},
        "object": input.object,
        "oldObject": input.old,
    }});
    let body = serde_json::to_vec(&review).expect("a value is JSON");
    answer::check(&world::admission(policies, objects), &body);
}
