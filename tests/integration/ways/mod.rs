//! Every way in, on a real control plane: what lowers the availability of a StatefulSet is denied by whatever way it comes,
//! and what was there before is not stuck because of it.

mod budgets;
mod coverage;
mod deleting;
mod exemptions;
mod ownership;
mod ratchet;
mod rules;
mod scaling;
mod services;
mod tools;

use serde_json::{Value, json};

use crate::controlplane::kubectl::{Kubectl, Output};
use crate::controlplane::webhooks::INSTANCE;
use crate::controlplane::{ControlPlane, Quorate, wait_for};

/// At least three replicas.
pub(super) const THREE: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: three }
spec: { validate: { replicas: { action: Deny, minimum: 3 } } }
";

/// A namespace, and kubectl in it as a developer.
pub(super) struct Place<'c> {
    pub(super) cluster: &'c ControlPlane,
    pub(super) namespace: String,
}

impl<'c> Place<'c> {
    /// A namespace that an instance governs.
    pub(super) fn governed(cluster: &'c ControlPlane, quorate: &Quorate<'_>, name: &str) -> Self {
        Self { cluster, namespace: quorate.namespace(name, &[]).unwrap() }
    }

    /// A namespace that an instance governs, with labels of its own.
    pub(super) fn labelled(
        cluster: &'c ControlPlane,
        quorate: &Quorate<'_>,
        name: &str,
        labels: &[(&str, &str)],
    ) -> Self {
        Self { cluster, namespace: quorate.namespace(name, labels).unwrap() }
    }

    /// A namespace that nobody governs yet.
    pub(super) fn ungoverned(cluster: &'c ControlPlane, name: &str) -> Self {
        Self { cluster, namespace: cluster.namespace(name, &[]).unwrap() }
    }

    /// Puts the namespace under an instance; returns when the API server asks that about it.
    pub(super) fn govern(&self, quorate: &Quorate<'_>) {
        let label = format!("{INSTANCE}={}", quorate.instance());
        self.cluster.kubectl(&["label", "namespace", &self.namespace, &label]).ok().unwrap();
        let probe = json!({"items": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "probe"},
            "spec": database(1)["items"][1]["spec"]}], "apiVersion": "v1", "kind": "List"});
        wait_for("the API server to ask about the namespace", || {
            let dry_run = self.as_admin(&["create", "--dry-run=server", "-f", "-"]).stdin(&probe.to_string()).run()?;
            anyhow::ensure!(dry_run.stderr.contains("denied the request"), "{dry_run}");
            Ok(())
        })
        .unwrap();
    }

    pub(super) fn as_user(&self, user: &str, words: &[&str]) -> Kubectl<'c> {
        self.cluster.kubectl(words).as_user(user).namespace(&self.namespace)
    }

    pub(super) fn as_admin(&self, words: &[&str]) -> Kubectl<'c> {
        self.as_user("admin", words)
    }

    /// kubectl as a developer.
    pub(super) fn kubectl(&self, words: &[&str]) -> Output {
        self.as_user("developer", words).run().unwrap()
    }

    /// `kubectl apply` as a developer.
    pub(super) fn apply(&self, objects: &Value) -> Output {
        self.as_user("developer", &["apply", "-f", "-"]).stdin(&objects.to_string()).run().unwrap()
    }

    /// `kubectl patch` with a merge patch, as a developer.
    pub(super) fn patch(&self, object: &str, patch: &Value) -> Output {
        self.kubectl(&["patch", object, "--type=merge", "-p", &patch.to_string()])
    }

    /// `kubectl scale` of the StatefulSet `db`.
    pub(super) fn scale(&self, replicas: i32) -> Output {
        self.kubectl(&["scale", "statefulset/db", &format!("--replicas={replicas}")])
    }

    pub(super) fn object(&self, kind: &str, name: &str) -> anyhow::Result<Value> {
        self.cluster.object(&self.namespace, kind, name)
    }

    /// Returns when the StatefulSet `db` has so many replicas in its spec.
    pub(super) fn has_replicas(&self, replicas: i64) {
        wait_for("the replicas", || {
            let (database, autoscalers) =
                (self.object("statefulset", "db")?, self.as_admin(&["describe", "hpa"]).ok()?);
            let found = &database["spec"]["replicas"];
            anyhow::ensure!(*found == replicas, "{found} in place of {replicas}\n{autoscalers}");
            Ok(())
        })
        .unwrap();
    }
}

/// The headless Service `db`, and a StatefulSet `db` of so many replicas. It has no volumes, as those are few.
pub(super) fn database(replicas: i32) -> Value {
    list(&[
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "db"},
            "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"name": "sql", "port": 5432}]},
        }),
        json!({
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "db"},
            "spec": {
                "serviceName": "db",
                "replicas": replicas,
                "podManagementPolicy": "Parallel",
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [
                        {"name": "db", "image": "database.example/server:1", "ports": [{"containerPort": 5432}]}
                    ]},
                },
            },
        }),
    ])
}

/// An autoscaler of the StatefulSet `db`.
pub(super) fn autoscaler(min: i32, max: i32) -> Value {
    json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "db"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"},
            "minReplicas": min,
            "maxReplicas": max,
        },
    })
}

pub(super) fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A policy from the parts of its spec, as JSON.
pub(super) fn policy(name: &str, spec: &Value) -> String {
    json!({
        "apiVersion": "quorate.dev/v1alpha1",
        "kind": "AvailabilityPolicy",
        "metadata": {"name": name},
        "spec": spec,
    })
    .to_string()
}

/// That it succeeded without a word of warning.
#[track_caller]
pub(super) fn silent(output: &Output) {
    assert!(output.success() && output.stderr.trim().is_empty(), "{output}");
}

/// That it succeeded with a warning that says this.
#[track_caller]
pub(super) fn warned(output: &Output, phrase: &str) {
    assert!(output.success(), "{output}");
    assert!(output.stderr.lines().any(|line| line.starts_with("Warning: ") && line.contains(phrase)), "{output}");
}

/// That it was denied in words that say this, and as Forbidden (L4, L90).
#[track_caller]
pub(super) fn denied(output: &Output, phrase: &str) {
    assert!(!output.success() && output.stderr.contains("denied the request"), "{output}");
    assert!(output.stderr.contains(phrase) && !output.stderr.contains("immutable"), "{output}");
}
