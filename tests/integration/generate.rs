//! Random StatefulSets as strange as the API server lets them be, and random policies.

use proptest::prelude::*;
use proptest::sample::Index;
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

/// A policy that injects a few random terms.
pub(crate) fn policy(name: &'static str) -> impl Strategy<Value = Policy> {
    let key = prop_oneof![
        Just("kubernetes.io/hostname"),
        Just("topology.kubernetes.io/zone"),
        Just("example.com/rack"),
        Just("example.com/row")
    ];
    let term = (any::<bool>(), 1..=100);
    let user_terms = prop_oneof![Just("Append"), Just("Leave")];
    (prop::collection::btree_map(key, term, 0..4), user_terms).prop_map(move |(terms, user_terms)| {
        let term = |(topology_key, (required, weight)): (&str, (bool, i32))| {
            if required {
                json!({"topologyKey": topology_key, "mode": "Required"})
            } else {
                json!({"topologyKey": topology_key, "mode": "Preferred", "weight": weight})
            }
        };
        let terms: Vec<Value> = terms.into_iter().map(term).collect();
        let spec: Spec =
            serde_json::from_value(json!({"mutate": {"podAntiAffinity": terms, "userTerms": user_terms}})).unwrap();
        Policy { name: name.to_owned(), spec }
    })
}
