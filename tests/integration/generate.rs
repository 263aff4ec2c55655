//! Random StatefulSets as strange as the API server lets them be, and random policies.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use quorate::facts::{Claims, Node, Surroundings};
use quorate::policy::{Policy, Spec};
use serde_json::{Value, json};

/// A StatefulSet with something in every place that matters to an injection.
pub(crate) fn complete() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "db",
            "namespace": "default",
            "labels": {"app": "db"},
            "annotations": {"example.com/owner": "team"}
        },
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "podManagementPolicy": "OrderedReady",
            "selector": {"matchLabels": {"app": "db"}},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "template": {
                "metadata": {"labels": {"app": "db", "tier": "data"}, "annotations": {"example.com/checksum": "1"}},
                "spec": {
                    "terminationGracePeriodSeconds": 30,
                    "containers": [{"name": "db", "image": "db:1", "ports": [{"name": "db", "containerPort": 3306}]}],
                    "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                                {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
                            ]}
                        },
                        "podAffinity": {
                            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 5, "podAffinityTerm": {
                                "topologyKey": "topology.kubernetes.io/zone",
                                "labelSelector": {"matchLabels": {"app": "web"}}
                            }}]
                        },
                        "podAntiAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": [{
                                "topologyKey": "example.com/rack",
                                "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["db"]}]}
                            }],
                            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7, "podAffinityTerm": {
                                "topologyKey": "kubernetes.io/hostname",
                                "labelSelector": {"matchLabels": {"app": "other"}}
                            }}]
                        }
                    },
                    "topologySpreadConstraints": [{
                        "topologyKey": "topology.kubernetes.io/zone",
                        "maxSkew": 1,
                        "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": {"matchLabels": {"app": "db"}}
                    }]
                }
            },
            "volumeClaimTemplates": [{
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            }]
        }
    })
}

/// One thing done to an object at a place that an index picks.
#[derive(Debug, Clone)]
enum Change {
    Prune(Index),
    Null(Index),
    Unknown(Index, Value),
}

/// A StatefulSet with fields left out, set to null, and unknown ones added, at every level. Its `spec.selector` stays, as
/// the API server accepts nothing without one.
pub(crate) fn statefulset() -> impl Strategy<Value = Value> {
    let change = prop_oneof![
        any::<Index>().prop_map(Change::Prune),
        any::<Index>().prop_map(Change::Null),
        (any::<Index>(), prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!({"a": [null]})), Just(Value::Null)])
            .prop_map(|(index, value)| Change::Unknown(index, value)),
    ];
    prop::collection::vec(change, 0..12).prop_map(|changes| {
        let mut object = complete();
        for change in changes {
            apply(&mut object, change);
        }
        object
    })
}

fn apply(object: &mut Value, change: Change) {
    match change {
        Change::Prune(index) => {
            if let Some((parent, name)) = pick(&members(object), index) {
                object.pointer_mut(&parent).and_then(Value::as_object_mut).map(|members| members.remove(&name));
            }
        }
        Change::Null(index) => {
            if let Some((parent, name)) = pick(&members(object), index) {
                object
                    .pointer_mut(&parent)
                    .and_then(Value::as_object_mut)
                    .map(|members| members.insert(name, Value::Null));
            }
        }
        Change::Unknown(index, value) => {
            // Labels, annotations and selectors are maps: what is added there would be a member, not an unknown field.
            let objects: Vec<String> = objects(object).into_iter().filter(|path| !is_map(path)).collect();
            let path = index.get(&objects).clone();
            if let Some(members) = object.pointer_mut(&path).and_then(Value::as_object_mut) {
                members.insert("fromTheFuture".to_owned(), value);
            }
        }
    }
}

fn pick(members: &[(String, String)], index: Index) -> Option<(String, String)> {
    (!members.is_empty()).then(|| index.get(members).clone())
}

fn is_map(path: &str) -> bool {
    ["/labels", "/annotations", "/matchLabels", "/requests"].iter().any(|end| path.ends_with(end))
}

/// The pointers of all objects in a value.
fn objects(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(value, &mut String::new(), &mut |path, value| {
        if value.is_object() {
            found.push(path.to_owned());
        }
    });
    found
}

/// Parent pointer and name of every member that may be left out.
fn members(value: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    walk(value, &mut String::new(), &mut |path, value| {
        if path.starts_with("/spec/selector") {
            return;
        }
        if let Value::Object(members) = value {
            let kept = |name: &str| {
                (path.is_empty() && matches!(name, "spec" | "metadata" | "apiVersion" | "kind"))
                    || (path == "/spec" && name == "selector")
            };
            found.extend(members.keys().filter(|name| !kept(name)).map(|name| (path.to_owned(), name.clone())));
        }
    });
    found
}

fn walk(value: &Value, path: &mut String, visit: &mut impl FnMut(&str, &Value)) {
    visit(path, value);
    let length = path.len();
    let mut descend = |name: &str, child: &Value| {
        path.push('/');
        path.push_str(&name.replace('~', "~0").replace('/', "~1"));
        walk(child, path, visit);
        path.truncate(length);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, child)| descend(name, child)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, child)| descend(&index.to_string(), child)),
        _ => {}
    }
}

fn topology_key() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("kubernetes.io/hostname"),
        Just("topology.kubernetes.io/zone"),
        Just("example.com/rack"),
        Just("example.com/row")
    ]
}

/// A policy that injects a few random terms and constraints.
pub(crate) fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
    let term = (any::<bool>(), 1..=100, prop_oneof![Just("Prefer"), Just("Warn"), Just("Deny"), Just("Require")]);
    let terms = prop::collection::btree_map(topology_key(), term, 0..4);
    let constraints = prop::collection::btree_map(topology_key(), (any::<bool>(), 1..3), 0..4);
    let user_terms = prop_oneof![Just("Append"), Just("Leave")];
    let on_existing = prop_oneof![Just("Soften"), Just("Require")];
    (terms, constraints, user_terms, on_existing).prop_map(move |(terms, constraints, user_terms, on_existing)| {
        let term = |(topology_key, (required, weight, when_infeasible)): (&str, (bool, i32, &str))| {
            if required {
                json!({"topologyKey": topology_key, "mode": "Required", "whenInfeasible": when_infeasible})
            } else {
                json!({"topologyKey": topology_key, "mode": "Preferred", "weight": weight})
            }
        };
        let constraint = |(topology_key, (hard, max_skew)): (&str, (bool, i32))| {
            let when_unsatisfiable = if hard { "DoNotSchedule" } else { "ScheduleAnyway" };
            json!({"topologyKey": topology_key, "maxSkew": max_skew, "whenUnsatisfiable": when_unsatisfiable})
        };
        let terms: Vec<Value> = terms.into_iter().map(term).collect();
        let constraints: Vec<Value> = constraints.into_iter().map(constraint).collect();
        let spec: Spec = serde_json::from_value(json!({"mutate": {
            "podAntiAffinity": terms,
            "topologySpreadConstraints": constraints,
            "userTerms": user_terms,
            "onExisting": on_existing
        }}))
        .unwrap();
        Policy { name: name.to_owned(), spec }
    })
}

/// Constraints of the user's own, one per topology key as the API server demands for each strength.
pub(crate) fn constraints() -> impl Strategy<Value = Value> {
    let constraint = (any::<bool>(), 1..4, any::<bool>(), prop::option::of(Just("Honor")));
    prop::collection::btree_map(topology_key(), constraint, 0..4).prop_map(|constraints| {
        let one = |(topology_key, (hard, max_skew, own, policy)): (&str, (bool, i32, bool, Option<&str>))| {
            let mut constraint = json!({
                "topologyKey": topology_key,
                "maxSkew": max_skew,
                "whenUnsatisfiable": if hard { "DoNotSchedule" } else { "ScheduleAnyway" },
                "labelSelector": {"matchLabels": {"app": if own { "db" } else { "other" }}}
            });
            if let Some(policy) = policy {
                constraint["nodeTaintsPolicy"] = policy.into();
            }
            constraint
        };
        constraints.into_iter().map(one).collect()
    })
}

/// The same object with these constraints in place of its own.
pub(crate) fn with_constraints(mut object: Value, constraints: Value) -> Value {
    if let Some(pod) = object.pointer_mut("/spec/template/spec").and_then(Value::as_object_mut) {
        pod.insert("topologySpreadConstraints".to_owned(), constraints);
    }
    object
}

/// What surrounds a StatefulSet: a few Nodes, and perhaps claims of its pods.
pub(crate) fn surroundings() -> impl Strategy<Value = Surroundings> {
    let node = (any::<bool>(), 0..3, 0..2);
    (prop::collection::vec(node, 0..5), any::<bool>()).prop_map(|(nodes, has_claims)| {
        let nodes = nodes.into_iter().enumerate().map(|(index, (ssd, zone, rack))| {
            let name = format!("node-{index}");
            let labels = json!({
                "disk": if ssd { "ssd" } else { "hdd" },
                "kubernetes.io/hostname": name,
                "topology.kubernetes.io/zone": format!("zone-{zone}"),
                "example.com/rack": format!("rack-{rack}")
            });
            let node: Node = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
            (name, Arc::new(node))
        });
        let claims = Claims { highest: has_claims.then_some(0) };
        Surroundings { nodes: Arc::new(nodes.collect()), claims, ..Surroundings::default() }
    })
}
