//! L131, L9: objects that are too heavy, too long or too odd to be read, before a real API server.

use std::fs;

use serde_json::{Map, Value, json};

use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, Quorate, shared};
use crate::ways::{Place, THREE, autoscaler, database, denied, policy, silent};

/// What no rule reads, valid and far more than was ever decoded.
const MANY: usize = 40_000;

fn statefulset(replicas: i32) -> Value {
    database(replicas)["items"][1].clone()
}

fn service() -> Value {
    database(1)["items"][0].clone()
}

fn budget(max_unavailable: i32) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "db"},
        "spec": {"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": max_unavailable},
    })
}

/// `metadata.managedFields` that own so many labels.
fn managed(version: &str, count: usize) -> Value {
    let labels: Map<String, Value> = (0..count).map(|number| (format!("f:k{number}"), json!({}))).collect();
    managed_by("ballast", version, &json!({"f:metadata": {"f:labels": labels}}))
}

fn managed_by(manager: &str, version: &str, fields: &Value) -> Value {
    json!([{
        "manager": manager,
        "operation": "Update",
        "apiVersion": version,
        "time": "2026-11-30T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }])
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

fn tolerations(count: usize) -> Value {
    (0..count).map(|number| json!({"key": format!("k{number}"), "operator": "Exists"})).collect()
}

fn selector(count: usize) -> Value {
    Value::Object((0..count).map(|number| (format!("k{number}"), json!("v"))).collect())
}

impl Place<'_> {
    /// Sends bytes as they are, as a developer.
    fn raw(&self, verb: &str, path: &str, body: &[u8]) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), body).unwrap();
        self.as_user("developer", &[verb, "--raw", path, "-f", file.path().to_str().unwrap()]).run().unwrap()
    }

    fn as_developer(&self, verb: &str, object: &Value) -> Output {
        // Controllers write the status meanwhile.
        for _ in 0..20 {
            let output = self.as_user("developer", &[verb, "-f", "-"]).stdin(&object.to_string()).run().unwrap();
            if !output.stderr.contains("the object has been modified") {
                return output;
            }
        }
        panic!("somebody else always writes first")
    }
}

fn strict(cluster: &ControlPlane) -> Quorate<'_> {
    let all = policy(
        "all",
        &json!({"validate": {
            "replicas": {"action": "Deny", "minimum": 3},
            "headlessService": {"action": "Deny"},
            "podDisruptionBudget": {"action": "Deny"},
        }}),
    );
    Quorate::builder(cluster).policy(&all).start().unwrap()
}

#[test]
fn ballast_in_a_pod_template_frees_nothing_l131() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "ballast-pod");
    let variables: Value = (0..MANY).map(|number| json!({"name": format!("V{number}")})).collect();
    let heavy = |replicas| with(statefulset(replicas), "/spec/template/spec/containers/0/env", variables.clone());
    denied(&place.as_developer("create", &heavy(1)), "spec.replicas: 1 is below the minimum 3");
    silent(&place.as_developer("create", &statefulset(3)));
    denied(&place.as_developer("replace", &heavy(2)), "spec.replicas: 2");
}

#[test]
fn ballast_in_managed_fields_frees_no_kind_l131() {
    let cluster = shared();
    let quorate = strict(cluster);
    let place = Place::governed(cluster, &quorate, "ballast-fields");
    let heavy = |object, version| with(object, "/metadata/managedFields", managed(version, MANY));
    silent(&place.apply(&service()));
    silent(&place.as_developer("create", &budget(1)));
    denied(&place.as_developer("create", &heavy(statefulset(1), "apps/v1")), "spec.replicas: 1 is below the minimum 3");
    silent(&place.as_developer("create", &heavy(statefulset(3), "apps/v1")));
    denied(&place.as_developer("replace", &heavy(statefulset(2), "apps/v1")), "spec.replicas: 2");
    denied(&place.scale(2), "spec.replicas: 2");
    denied(&place.as_developer("create", &heavy(autoscaler(1, 5), "autoscaling/v2")), "minReplicas");
    denied(&place.as_developer("replace", &heavy(budget(0), "policy/v1")), "maxUnavailable");
    let of_others = with(service(), "/spec/selector", json!({"app": "web"}));
    denied(&place.as_developer("replace", &heavy(of_others, "v1")), "selects app=web");
    // Old and new.
    silent(&place.as_developer("create", &heavy(autoscaler(3, 5), "autoscaling/v2")));
    denied(&place.as_developer("replace", &heavy(autoscaler(1, 5), "autoscaling/v2")), "minReplicas");
}

#[test]
fn what_rules_do_read_is_denied_where_it_is_too_much_l131() {
    let cluster = shared();
    let quorate = strict(cluster);
    let place = Place::governed(cluster, &quorate, "ballast-read");
    silent(&place.apply(&service()));
    silent(&place.as_developer("create", &budget(1)));
    let heavy = with(statefulset(3), "/spec/template/spec/tolerations", tolerations(10_000));
    denied(&place.as_developer("create", &heavy), "spec.template.spec.tolerations: 10000 values are too many");
    silent(&place.as_developer("create", &statefulset(3)));
    denied(&place.as_developer("replace", &heavy), "spec.template.spec.tolerations: 10000 values are too many");
    let service = with(service(), "/spec/selector", selector(10_000));
    denied(&place.as_developer("replace", &service), "spec.selector: 10000 values are too many");
    let budget = with(budget(1), "/spec/selector/matchLabels", selector(10_000));
    denied(&place.as_developer("replace", &budget), "spec.selector.matchLabels: 10000 values are too many");
    let metrics = quorate.metrics().unwrap();
    assert!(!metrics.contains(r#"internal_errors_total{kind="unreadable"} 0"#), "{metrics}");
}

#[test]
fn an_old_object_that_is_too_heavy_frees_nothing_and_can_be_edited_l131() {
    let cluster = shared();
    let quorate = strict(cluster);
    let place = Place::ungoverned(cluster, "ballast-old");
    let heavy = with(statefulset(1), "/spec/template/spec/tolerations", tolerations(10_000));
    silent(&place.apply(&service()));
    silent(&place.as_developer("create", &heavy));
    silent(&place.as_developer("create", &with(budget(1), "/spec/selector/matchLabels", selector(10_000))));
    place.govern(&quorate);
    // Metadata and finalizers.
    silent(
        &place.patch(
            "statefulset/db",
            &json!({"metadata": {"labels": {"team": "shop"}, "finalizers": ["example.com/x"]}}),
        ),
    );
    silent(&place.patch("statefulset/db", &json!({"metadata": {"finalizers": null}})));
    silent(&place.patch("pdb/db", &json!({"metadata": {"labels": {"team": "shop"}}})));
    // As if it were created.
    denied(&place.as_developer("replace", &statefulset(1)), "spec.replicas: 1 is below the minimum 3");
    denied(&place.as_developer("replace", &with(heavy, "/spec/replicas", json!(3))), "spec.template.spec.tolerations");
    denied(&place.as_developer("replace", &budget(0)), "maxUnavailable");
    silent(&place.as_developer("replace", &budget(1)));
    silent(&place.as_developer("replace", &statefulset(3)));
    silent(&place.kubectl(&["delete", "statefulset/db"]));
}

#[test]
fn big_objects_that_somebody_means_are_judged_and_injected_l131() {
    let cluster = shared();
    let policy = policy(
        "spread",
        &json!({
            "validate": {"replicas": {"action": "Deny", "minimum": 3}},
            "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]},
        }),
    );
    let quorate = Quorate::builder(cluster).policy(&policy).start().unwrap();
    let place = Place::governed(cluster, &quorate, "big");
    let variables: Value =
        (0..300).map(|number| json!({"name": format!("V{number}"), "value": "x".repeat(3_000)})).collect();
    let managers: Vec<Value> = (0..50)
        .flat_map(|number| {
            let fields = json!({"f:spec": {"f:template": {"f:spec": {format!("f:k{number}"): {}}}}});
            managed_by(&format!("manager-{number}"), "apps/v1", &fields).as_array().cloned().unwrap()
        })
        .collect();
    let big = with(statefulset(3), "/spec/template/spec/containers/0/env", variables);
    let big = with(big, "/metadata/managedFields", Value::Array(managers));
    assert!(big.to_string().len() > 900_000);
    silent(&place.as_developer("create", &big));
    let stored = place.object("statefulset", "db").unwrap();
    assert!(stored["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"].is_object(), "{stored}");
    silent(&place.patch("statefulset/db", &json!({"spec": {"replicas": 5}})));
    denied(&place.scale(1), "spec.replicas: 1");
}

/// The API server escapes `<` with six bytes: an object of 1.2 MB has 7.2 MB in a review.
#[test]
fn long_reviews_are_judged_and_endless_ones_denied_l9() {
    let cluster = shared();
    let quorate = strict(cluster);
    let place = Place::governed(cluster, &quorate, "long");
    silent(&place.apply(&service()));
    silent(&place.as_developer("create", &budget(1)));
    silent(&place.as_developer("create", &statefulset(3)));
    let fields = |bytes: usize| json!({"f:metadata": {"f:labels": {format!("f:{}", "<".repeat(bytes)): {}}}});
    let of = |version: &str, bytes| managed_by("long", version, &fields(bytes));
    let budgets = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", place.namespace);
    let blocking = with(budget(0), "/metadata/name", json!("other"));
    let long = with(blocking, "/metadata/managedFields", of("policy/v1", 1_300_000));
    denied(&place.raw("create", &budgets, long.to_string().as_bytes()), "maxUnavailable");
    let autoscalers = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers", place.namespace);
    let long = |min, bytes| {
        with(autoscaler(min, 5), "/metadata/managedFields", of("autoscaling/v2", bytes)).to_string().into_bytes()
    };
    denied(&place.raw("create", &autoscalers, &long(1, 1_300_000)), "minReplicas");
    let created = place.raw("create", &autoscalers, &long(3, 1_300_000));
    assert!(created.success(), "{created}");
    // Old and new.
    let one = format!("{autoscalers}/db");
    denied(&place.raw("replace", &one, &long(1, 1_300_000)), "minReplicas");
    denied(&place.raw("replace", &one, &long(1, 2_900_000)), "object: its review has more than 20971520 bytes");
    silent(&place.kubectl(&["delete", "hpa/db"]));
}

/// Bytes that are no UTF-8, half a character, the same name twice, depth: sent as they are.
#[test]
fn odd_bytes_free_nothing_l131() {
    let cluster = shared();
    let quorate = Quorate::builder(cluster).policy(THREE).start().unwrap();
    let place = Place::governed(cluster, &quorate, "odd");
    let object = with(
        statefulset(1),
        "/metadata/managedFields",
        managed_by("HERE", "apps/v1", &json!({"f:metadata": "FIELDS"})),
    );
    let text = object.to_string();
    let deep = [r#"{"f:a":"#.repeat(5_000).into_bytes(), b"{}".to_vec(), "}".repeat(5_000).into_bytes()].concat();
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", place.namespace);
    for (what, manager, fields) in [
        ("no UTF-8", &b"a\xff\xfe"[..], &b"{\"f:labels\":{\"f:\xff\xc3(\":{}}}"[..]),
        ("half a character", br"\ud800", br#"{"f:labels":{"f:\ud800":{}}}"#),
        ("twice", b"x", br#"{"f:labels":{"f:a":{},"f:a":{}}}"#),
        ("zero", br"\u0000", br#"{"f:labels":{"f:\u0000":{}}}"#),
        ("depth", b"x", &deep),
        ("a number", b"x", b"1e999"),
    ] {
        let (before, rest) = text.split_once("HERE").unwrap();
        let parts = [before.as_bytes(), manager, rest.as_bytes()].concat();
        let at = parts.windows(8).position(|window| window == b"\"FIELDS\"").unwrap();
        let body = [&parts[..at], fields, &parts[at + 8..]].concat();
        let output = place.raw("create", &path, &body);
        assert!(!output.success(), "{what}: {output}");
        assert!(place.object("statefulset", "db").is_err(), "{what}: {output}");
        eprintln!("{what}: {output}");
        assert!(!output.stderr.contains("onInternalError"), "{what}: {output}");
    }
}
