//! The budget controller in front of a control plane of its own: drains, evictions, two replicas and their Lease.
//!
//! A controller looks after the whole cluster, so these tests share one pair of replicas with the same policies; which policy
//! is about a namespace, its label `budgets` says.

mod charts;
mod drain;
mod failover;
mod life;
mod remove;

use std::fs;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::control_plane::evict;
use crate::controlplane::{ControlPlane, Quorate, wait_for};

const POLICIES: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: quorum }
spec:
  match: { namespaceSelector: { matchLabels: { budgets: quorum } } }
  podDisruptionBudget: { maxUnavailable: Quorum }
---
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: enforcing }
spec:
  match: { namespaceSelector: { matchLabels: { budgets: enforcing } }, ownedByOperator: Enforce }
  podDisruptionBudget: { maxUnavailable: 1 }
";

/// A control plane and the replicas in front of it.
struct Stage {
    cluster: ControlPlane,
    policies: std::path::PathBuf,
}

/// The control plane of these tests.
fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let cluster = ControlPlane::start().unwrap();
        cluster.add_nodes(3, &["zone-a", "zone-b", "zone-c"]).unwrap();
        let policies = cluster.run().path("budget-policies");
        fs::create_dir(&policies).unwrap();
        fs::write(policies.join("fixed.yaml"), POLICIES).unwrap();
        fs::write(policies.join("changing.yaml"), changing("podDisruptionBudget: { maxUnavailable: 1 }")).unwrap();
        Stage { cluster, policies }
    })
}

/// The policy of namespaces labelled `budgets: changing`.
fn changing(rest: &str) -> String {
    format!(
        "apiVersion: quorate.dev/v1alpha1\nkind: AvailabilityPolicy\nmetadata: {{ name: changing }}\nspec:\n  \
         match: {{ namespaceSelector: {{ matchLabels: {{ budgets: changing }} }} }}\n  {rest}\n"
    )
}

/// The replicas, whoever of them leads. Whoever stops or kills one holds the lock meanwhile.
struct Replicas {
    first: Quorate<'static>,
    second: Quorate<'static>,
}

fn replicas() -> MutexGuard<'static, Replicas> {
    started().lock().unwrap_or_else(PoisonError::into_inner)
}

fn started() -> &'static Mutex<Replicas> {
    static REPLICAS: OnceLock<Mutex<Replicas>> = OnceLock::new();
    REPLICAS.get_or_init(|| {
        let Stage { cluster, policies } = stage();
        // Without webhooks: whoever is killed would be missed by every StatefulSet.
        let start = || Quorate::builder(cluster).policies(policies).budgets().unregistered().start().unwrap();
        let (first, second) = (start(), start());
        Mutex::new(Replicas { first, second })
    })
}

impl Replicas {
    /// The one that looks after budgets now, and the other one.
    fn leader(&mut self) -> (&mut Quorate<'static>, &mut Quorate<'static>) {
        let leads = |quorate: &Quorate<'_>| {
            quorate.metrics().is_ok_and(|metrics| metrics.lines().any(|it| it == "quorate_budget_controller_leader 1"))
        };
        let first = wait_for("a leader", || match (leads(&self.first), leads(&self.second)) {
            (first, second) if first != second => Ok(first),
            both => anyhow::bail!("{both:?} lead"),
        });
        let Self { first: one, second: two } = self;
        if first.unwrap() { (one, two) } else { (two, one) }
    }
}

/// A namespace that a policy of [`POLICIES`] is about, once there are replicas to look after it.
fn namespace(prefix: &str, policy: &str) -> (&'static ControlPlane, String) {
    started();
    let cluster = &stage().cluster;
    (cluster, cluster.namespace(prefix, &[("budgets", policy)]).unwrap())
}

/// A StatefulSet without volumes whose pods start all at once; its selector is `labels`.
fn statefulset(name: &str, replicas: i32, labels: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "containers": [{"name": "database", "image": "database.example/server:1"}],
                },
            },
        },
    })
}

fn budget(name: &str, selector: &Value) -> Value {
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": selector},
    })
}

fn apply(cluster: &ControlPlane, namespace: &str, object: &Value) {
    cluster.kubectl(&["apply", "-f", "-"]).namespace(namespace).stdin(&object.to_string()).ok().unwrap();
}

fn kubectl(cluster: &ControlPlane, namespace: &str, words: &[&str]) -> String {
    cluster.kubectl(words).namespace(namespace).ok().unwrap()
}

/// The names of a namespace's budgets.
fn budgets(cluster: &ControlPlane, namespace: &str) -> Result<Vec<String>> {
    let names = cluster.kubectl(&["get", "pdb", "-o", "name"]).namespace(namespace).ok()?;
    Ok(names.lines().map(|name| name.trim_start_matches("poddisruptionbudget.policy/").to_owned()).collect())
}

/// Waits until these are the namespace's budgets.
fn budgets_are(cluster: &ControlPlane, namespace: &str, expected: &[&str]) {
    wait_for("the budgets", || {
        let found = budgets(cluster, namespace)?;
        ensure!(found == expected, "{found:?}, not {expected:?}");
        Ok(())
    })
    .unwrap();
}

/// Waits until a budget's `maxUnavailable` is this, its pods are all healthy, and some may go.
fn budget_allows(cluster: &ControlPlane, namespace: &str, name: &str, max_unavailable: i64) -> Value {
    wait_for("the disruption controller", || {
        let budget = cluster.object(namespace, "pdb", name)?;
        let (spec, status) = (&budget["spec"], &budget["status"]);
        ensure!(spec["maxUnavailable"] == max_unavailable, "{spec}");
        ensure!(status["disruptionsAllowed"] == max_unavailable, "{status}");
        ensure!(status["observedGeneration"] == budget["metadata"]["generation"], "{status}");
        Ok(budget)
    })
    .unwrap()
}

fn ready(cluster: &ControlPlane, namespace: &str, name: &str, replicas: i64) {
    wait_for("the pods to be ready", || {
        let set = cluster.object(namespace, "statefulset", name)?;
        let status = &set["status"];
        ensure!(status["readyReplicas"].as_i64().unwrap_or(0) == replicas, "{status}");
        ensure!(status["replicas"] == replicas, "{status}");
        Ok(())
    })
    .unwrap();
}

/// Evicts a pod, waiting where the budget says so, but not where two budgets make every eviction fail.
fn evicted(cluster: &ControlPlane, namespace: &str, statefulset: &str, replicas: i64) {
    ready(cluster, namespace, statefulset, replicas);
    let pod = format!("{statefulset}-0");
    wait_for("an eviction", || {
        let answer = evict(cluster, namespace, &pod)?;
        ensure!(answer.contains("Success"), "{answer}");
        Ok(())
    })
    .unwrap();
    ready(cluster, namespace, statefulset, replicas);
}

/// Waits for an Event about a StatefulSet with this reason; its note.
fn event(cluster: &ControlPlane, namespace: &str, statefulset: &str, reason: &str, phrase: &str) -> Value {
    wait_for("an Event", || {
        let events = cluster.kubectl(&["get", "events.events.k8s.io", "-o", "json"]).namespace(namespace).json()?;
        let events = events["items"].as_array().context("no list")?;
        let of_quorate: Vec<_> = events.iter().filter(|event| event["reportingController"] == "quorate").collect();
        of_quorate
            .iter()
            .find(|event| {
                event["regarding"]["name"] == statefulset
                    && event["reason"] == reason
                    && event["note"].as_str().is_some_and(|note| note.contains(phrase))
            })
            .map(|event| (*event).clone())
            .with_context(|| format!("{of_quorate:?}"))
    })
    .unwrap()
}
