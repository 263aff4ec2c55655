//! What a cluster can't satisfy, with the real scheduler (L62).

use serde_json::{Value, json};

use super::{pod, pods, policy, settled, stateless};
use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, Quorate, shared};

fn required(key: &str, when_infeasible: &str) -> Value {
    json!({"podAntiAffinity": [{"topologyKey": key, "mode": "Required", "whenInfeasible": when_infeasible}]})
}

/// Node affinity that leaves only Nodes with these values.
fn on(key: &str, values: &[&str]) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": key, "operator": "In", "values": values}]}
    ]}}}})
}

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

fn apply(cluster: &ControlPlane, namespace: &str, object: &Value) -> Output {
    let kubectl = cluster.kubectl(&["apply", "-f", "-"]).as_user("developer").namespace(namespace);
    kubectl.stdin(&object.to_string()).run().unwrap()
}

#[test]
fn required_terms_are_weighed_against_nodes_l62() {
    let cluster = shared();
    let zone_constraint = json!({"topologySpreadConstraints": [{"topologyKey": ZONE, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]});
    let cases = [
        ("prefer", required(HOSTNAME, "Prefer")),
        ("deny", required(HOSTNAME, "Deny")),
        ("prefer-zone", required(ZONE, "Prefer")),
        ("deny-zone", required(ZONE, "Deny")),
        ("zone-constraint", zone_constraint),
    ];
    let mut builder = Quorate::builder(cluster);
    for (case, mutate) in &cases {
        builder = builder.policy(&policy(case, Some(case), mutate));
    }
    let quorate = builder.start().unwrap();
    let namespace = |case: &str| quorate.namespace(case, &[("case", case)]).unwrap();
    let two_nodes = on(HOSTNAME, &["node-1", "node-2"]);
    let one_zone = on(ZONE, &["zone-a"]);
    let preferred = "affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";

    for (case, key, fit, told) in [
        ("prefer", HOSTNAME, &two_nodes, "3 wanted, 2 on 2 fitting Nodes"),
        ("prefer-zone", ZONE, &one_zone, "3 wanted, 1 on "),
    ] {
        let namespace = namespace(case);
        let applied = apply(cluster, &namespace, &stateless("db", 3, fit));
        let warning = format!("anti-affinity on {key}: preferred, not required: {told}");
        assert!(applied.success() && applied.stderr.contains(&warning), "{applied}");
        let set = settled(cluster, &namespace, "db").unwrap();
        assert_eq!(pod(&set, preferred)[0]["podAffinityTerm"]["topologyKey"], key);
    }

    for (case, fit, told) in [
        ("deny", &two_nodes, "spec.replicas: 3 exceeds the 2 values of kubernetes.io/hostname on 2 Nodes that fit"),
        ("deny-zone", &one_zone, "spec.replicas: 3 exceeds the 1 value of topology.kubernetes.io/zone on "),
    ] {
        let namespace = namespace(case);
        let denied = apply(cluster, &namespace, &stateless("db", 3, fit));
        assert!(!denied.success() && denied.stderr.contains(told), "{denied}");
    }

    // One zone is enough for a constraint, which then spreads nothing; and the scheduler's own default goes on.
    let constrained = namespace("zone-constraint");
    let applied = apply(cluster, &constrained, &stateless("db", 3, &one_zone));
    assert!(applied.success() && applied.stderr.contains("nothing to spread over"), "{applied}");
    let set = settled(cluster, &constrained, "db").unwrap();
    let constraints = pod(&set, "topologySpreadConstraints");
    assert_eq!(constraints[0]["whenUnsatisfiable"], "DoNotSchedule");
    assert_eq!((&constraints[1]["topologyKey"], &constraints[1]["maxSkew"]), (&json!(HOSTNAME), &json!(3)));

    // Where it holds, a hard term is injected under Deny too; growth beyond it warns, whoever asks.
    let grown = namespace("deny");
    let three = on(HOSTNAME, &["node-1", "node-2", "node-3"]);
    let applied = apply(cluster, &grown, &stateless("db", 3, &three));
    assert!(applied.success() && applied.stderr.is_empty(), "{applied}");
    settled(cluster, &grown, "db").unwrap();
    let mut nodes: Vec<_> = pods(cluster, &grown).unwrap().into_iter().map(|(_, _, node)| node).collect();
    nodes.sort();
    assert_eq!(nodes, ["node-1", "node-2", "node-3"]);
    let autoscaler = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "db"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"},
            "minReplicas": 3,
            "maxReplicas": 5,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}]
        }
    });
    let accepted = apply(cluster, &grown, &autoscaler);
    let told = "spec.maxReplicas of HorizontalPodAutoscaler db: 5 exceeds the 3 values";
    assert!(accepted.success() && accepted.stderr.contains(told), "{accepted}");
    let by_hand = cluster.kubectl(&["scale", "statefulset", "db", "--replicas=4"]).namespace(&grown).run().unwrap();
    let told =
        "spec.replicas: 4 exceeds the 3 values of kubernetes.io/hostname on 3 Nodes that fit; 1 may stay Pending";
    assert!(by_hand.success() && by_hand.stderr.contains(told), "{by_hand}");
}
