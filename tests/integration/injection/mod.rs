//! Injection in front of a real API server, with the real StatefulSet controller and scheduler behind it.

mod charts;
mod existing;
mod feasible;
mod updates;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::controlplane::{ControlPlane, wait_for};

/// What a pod template says of affinity, as JSON.
fn pod<'a>(set: &'a Value, pointer: &str) -> &'a Value {
    set.pointer(&format!("/spec/template/spec/{pointer}")).unwrap_or(&Value::Null)
}

/// A StatefulSet without volumes, whose pod has also these members.
fn stateless(name: &str, replicas: i32, more: &Value) -> Value {
    let mut pod = json!({"containers": [{"name": "db", "image": "db.example/server:1"}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        pod[key] = value.clone();
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": name,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod}
        }
    })
}

/// The same with a volume for each pod.
fn stateful(name: &str, replicas: i32, more: &Value) -> Value {
    let mut set = stateless(name, replicas, more);
    set["spec"]["volumeClaimTemplates"] = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    }]);
    set
}

/// A policy file.
fn policy(name: &str, namespaces: Option<&str>, mutate: &Value) -> String {
    let mut spec = json!({"mutate": mutate});
    if let Some(case) = namespaces {
        spec["match"] = json!({"namespaceSelector": {"matchLabels": {"case": case}}});
    }
    json!({
        "apiVersion": "quorate.dev/v1alpha1",
        "kind": "AvailabilityPolicy",
        "metadata": {"name": name},
        "spec": spec
    })
    .to_string()
}

/// Waits until the controller has seen the object as it is, and all its pods are Ready and of its newest revision.
fn settled(cluster: &ControlPlane, namespace: &str, name: &str) -> Result<Value> {
    wait_for("the rollout to finish", || {
        let set = cluster.object(namespace, "statefulset", name)?;
        let (status, replicas) = (&set["status"], &set["spec"]["replicas"]);
        ensure!(status["observedGeneration"] == set["metadata"]["generation"], "not seen yet: {status}");
        let done = ["readyReplicas", "updatedReplicas"]
            .iter()
            .all(|count| status[*count].as_i64().unwrap_or(0) == replicas.as_i64().unwrap_or(1));
        ensure!(done, "{status}\n{}", cluster.kubectl(&["get", "pods,pvc", "-n", namespace, "-o", "wide"]).ok()?);
        Ok(set)
    })
}

/// The name, uid and Node of each pod.
fn pods(cluster: &ControlPlane, namespace: &str) -> Result<Vec<(String, String, String)>> {
    let pods = cluster.kubectl(&["get", "pods", "-n", namespace, "-o", "json"]).json()?;
    let items = pods["items"].as_array().context("no items")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(items
        .iter()
        .map(|pod| (text(&pod["metadata"]["name"]), text(&pod["metadata"]["uid"]), text(&pod["spec"]["nodeName"])))
        .collect())
}
