//! What Quorate promises, seen from outside: kubectl and clients, a real API server, and Quorate behind it.
//!
//! Tests that need an instance for themselves (to end it, or to change its policies) start one; the others share two.

mod charts;
mod denials;
mod dry_runs;
mod example;
mod injection;
pub(crate) mod live_reads;
mod ratchet;
mod reload;
mod rollover;
mod sample;
mod staleness;
mod standing_aside;
mod warnings;

use std::sync::OnceLock;

use anyhow::ensure;
use serde_json::{Value, json};

use crate::controlplane::kubectl::Output;
use crate::controlplane::webhooks::INSTANCE;
use crate::controlplane::{Quorate, shared, wait_for};

/// What snapshots rest on, so that a change of the shipped policies leaves them alone.
const PLAIN: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: plain }
spec:
  validate:
    headlessService: { action: Deny }
    replicas: { action: Deny, minimum: 2, even: Warn }
  mutate:
    podAntiAffinity:
      - { topologyKey: kubernetes.io/hostname, mode: Preferred }
";

/// Where the shipped production policy holds, beside the baseline.
const PRODUCTION: (&str, &str) = ("environment", "production");

/// The shared instance with the policy [`PLAIN`].
fn plain() -> &'static Quorate<'static> {
    static PLAIN_INSTANCE: OnceLock<Quorate<'static>> = OnceLock::new();
    PLAIN_INSTANCE.get_or_init(|| Quorate::builder(shared()).policy(PLAIN).start().unwrap())
}

/// The shared instance with the policies as shipped: the baseline, and production in namespaces labelled for it.
fn shipped() -> &'static Quorate<'static> {
    static SHIPPED: OnceLock<Quorate<'static>> = OnceLock::new();
    SHIPPED.get_or_init(|| Quorate::builder(shared()).policies("policies").start().unwrap())
}

/// A headless Service that selects the pods of [`statefulset`].
pub(crate) fn service() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"name": "db", "port": 3306}]},
    })
}

/// A StatefulSet that no shipped policy objects to, but for the replicas, if they are too few.
pub(crate) fn statefulset(replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "labels": {"app": "db"}},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{
                    "name": "db",
                    "image": "db.example/server:1",
                    "ports": [{"name": "db", "containerPort": 3306}],
                    "readinessProbe": {"tcpSocket": {"port": "db"}},
                }]},
            },
        },
    })
}

/// The same with a volume for each pod, as the shipped production policy wants it; on nodes that don't exist, for tests in
/// which nothing has to run.
fn stored_nowhere(replicas: i32) -> Value {
    let claims = json!([{
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }]);
    let set = with(statefulset(replicas), "/spec/volumeClaimTemplates", claims);
    with(set, "/spec/template/spec/nodeSelector", json!({"nowhere": "true"}))
}

/// An object with something at a JSON pointer, whose parent exists.
pub(crate) fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

/// What a developer's kubectl does with a manifest in a namespace: `&["apply"]`, `&["replace"]`, `&["apply", "--dry-run=server"]`…
fn kubectl(words: &[&str], namespace: &str, manifest: &Value) -> Output {
    let words = [words, &["-f", "-"]].concat();
    shared().kubectl(&words).as_user("developer").namespace(namespace).stdin(&manifest.to_string()).run().unwrap()
}

/// Applies a manifest, which has to be admitted.
fn apply(namespace: &str, manifest: &Value) -> Output {
    let output = kubectl(&["apply"], namespace, manifest);
    assert!(output.success(), "{output}");
    output
}

/// What a developer's kubectl does in a namespace; it has to succeed.
fn succeeds(words: &[&str], namespace: &str) -> Output {
    let output = shared().kubectl(words).as_user("developer").namespace(namespace).run().unwrap();
    assert!(output.success(), "{output}");
    output
}

/// The StatefulSet `db` as it is stored.
fn stored(namespace: &str) -> Value {
    shared().object(namespace, "statefulset", "db").unwrap()
}

/// Whether Quorate's injection is in the object.
pub(crate) fn is_injected(object: &Value) -> bool {
    !object["metadata"]["annotations"]["quorate.dev/injected"].is_null()
        && !object["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"].is_null()
}

/// What kubectl wrote to stderr, without what differs from run to run.
fn said(output: &Output, namespace: &str) -> String {
    output.stderr.replace(namespace, "NAMESPACE").trim_end().to_owned()
}

/// Whether Quorate denied it, for this reason among others.
fn is_denied(output: &Output, reason: &str) -> bool {
    !output.success() && output.stderr.contains("denied the request") && output.stderr.contains(reason)
}

/// Makes an instance see what a namespace holds from now on, which it did not before.
fn govern(namespace: &str, quorate: &Quorate<'_>) {
    let label = format!("{INSTANCE}={}", quorate.instance());
    shared().kubectl(&["label", "namespace", namespace, &label]).ok().unwrap();
    wait_for("the API server to learn of the label", || {
        // Nothing that a policy of these tests would let pass.
        let probe = with(statefulset(1), "/metadata/name", json!("probe"));
        let output = kubectl(&["create", "--dry-run=server"], namespace, &probe);
        ensure!(is_denied(&output, "spec.replicas"), "{output}");
        Ok(())
    })
    .unwrap();
}

/// Waits until the StatefulSet controller has seen the StatefulSet `db` as it is now, and its pods are up to date; returns it.
fn settled(namespace: &str) -> Value {
    wait_for("the StatefulSet to settle", || {
        let object = stored(namespace);
        let (spec, status) = (&object["spec"], &object["status"]);
        ensure!(status["observedGeneration"] == object["metadata"]["generation"], "not observed: {status}");
        ensure!(status["replicas"].as_i64().unwrap_or(0) == spec["replicas"].as_i64().unwrap(), "{status}");
        ensure!(status["readyReplicas"].as_i64().unwrap_or(0) == spec["replicas"].as_i64().unwrap(), "{status}");
        ensure!(status["currentRevision"] == status["updateRevision"], "rolling: {status}");
        Ok(object)
    })
    .unwrap()
}
