//! What the API server takes it takes with Quorate too, however much of it there is.

use serde_json::{Value, json};

use super::statefulset;
use crate::controlplane::{Quorate, shared};

const POLICY: &str = r"
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: much }
spec:
  validate: { replicas: { action: Deny, minimum: 2 }, readinessProbe: { action: Warn } }
  mutate:
    podAntiAffinity: [{ topologyKey: kubernetes.io/hostname, mode: Preferred }]
  exemptions: {}
  onInternalError: Deny
";

fn with(pointer: &str, value: Value) -> Value {
    let mut object = statefulset();
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn many(count: usize, item: impl Fn(usize) -> Value) -> Value {
    (0..count).map(item).collect()
}

/// L3: as many annotations as there may be leave no room for ours. Nothing is injected then, and the object is stored.
#[test]
fn what_the_api_server_takes_it_takes_with_quorate_too() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(POLICY).start().unwrap();
    let namespace = quorate.namespace("much", &[]).unwrap();
    let annotation =
        |key: &str, bytes: usize| with("/metadata/annotations", json!({key: "x".repeat(bytes - key.len())}));
    let expressions = many(250, |number| json!({"key": format!("k{number}"), "operator": "DoesNotExist"}));
    let selector = json!({"matchLabels": {"app": "db"}, "matchExpressions": expressions});
    let containers =
        many(1000, |number| json!({"name": format!("c{number}"), "image": "i", "ports": [{"containerPort": 1}]}));
    for (name, mut object) in [
        ("annotations", annotation("example.com/long", 256 << 10)),
        ("nearly", annotation("example.com/long", (256 << 10) - 100)),
        ("exemption", annotation("quorate.dev/exempt", 200_000)),
        ("expressions", with("/spec/selector", selector)),
        ("containers", with("/spec/template/spec/containers", containers)),
    ] {
        object["metadata"]["name"] = json!(name);
        // Nobody exempts from a rule that isn't there.
        if name == "exemption" {
            let rules = "replicas,".repeat(22_000);
            object["metadata"]["annotations"] = json!({"quorate.dev/exempt": rules});
        }
        let output =
            cluster.kubectl(&["create", "-f", "-"]).namespace(&namespace).stdin(&object.to_string()).run().unwrap();
        assert!(output.success(), "{name}: {output:?}");
        assert!(format!("{output:?}").len() < 20_000, "{name}: {output:?}");
    }
}
