//! Requests that write budgets. Each says which object it means: by its `uid`, or by being a POST (L96).

use std::time::Duration;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::events::REPORTER;
use super::plan::Spec;
use crate::budget::Kept;
use crate::facts::{Amount, Budget, Limit, MANAGED_BY, StatefulSet};
use crate::telemetry::Metrics;

/// How long one request may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a request came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did what it was for.
    Done,
    /// There was nothing to do any more.
    Nothing,
    /// The budget's name is somebody else's.
    Taken,
    /// To be looked at again, and why.
    Again(String),
}

/// Writes budgets, and counts that.
#[derive(Clone)]
pub(super) struct Writes<'a> {
    pub(super) client: Client,
    pub(super) metrics: &'a Metrics,
}

impl Writes<'_> {
    /// Makes a budget where none of its name is.
    pub(super) async fn create(&self, statefulset: &StatefulSet, kept: &Kept) -> Outcome {
        let budgets = self.budgets(&statefulset.metadata.namespace);
        let budget = match serde_json::from_value(manifest(statefulset, kept)) {
            Ok(budget) => budget,
            Err(error) => return Outcome::Again(error.to_string()),
        };
        let parameters = PostParams { field_manager: Some(REPORTER.to_owned()), ..PostParams::default() };
        match self.count("create", within(budgets.create(&parameters, &budget)).await) {
            Ok(_) => Outcome::Done,
            Err(Failure::Status(409, _)) => self.whose(&budgets, statefulset, &kept.name).await,
            // The namespace goes, and so does everything in it.
            Err(Failure::Status(403 | 404, message))
                if message.contains("being terminated") || message.contains("not found") =>
            {
                Outcome::Nothing
            }
            Err(failure) => Outcome::Again(failure.to_string()),
        }
    }

    /// Makes a budget what it shall be.
    pub(super) async fn apply(&self, statefulset: &StatefulSet, kept: &Kept, uid: &str) -> Outcome {
        let budgets = self.budgets(&statefulset.metadata.namespace);
        let mut budget = manifest(statefulset, kept);
        // The API server answers 409 where the object is another one by now, or none.
        budget["metadata"]["uid"] = json!(uid);
        let parameters = PatchParams::apply(REPORTER).force();
        let applied = within(budgets.patch(&kept.name, &parameters, &Patch::Apply(&budget))).await;
        match self.count("apply", applied) {
            Ok(_) => Outcome::Done,
            // What somebody added can't stand beside what we want, such as minAvailable: replaced.
            Err(Failure::Status(422, _)) => match self.delete_named(&budgets, &kept.name, uid, None).await {
                Outcome::Done | Outcome::Nothing => self.create(statefulset, kept).await,
                other => other,
            },
            Err(failure) => Outcome::Again(failure.to_string()),
        }
    }

    /// Puts a budget right without a deletion or an apply, which may not succeed: replaces its spec, whoever wrote what is there,
    /// and takes out of its metadata what others filled it up with. The rest is somebody else's business until it is gone.
    pub(super) async fn correct(&self, budget: &Budget, spec: &Spec) -> Outcome {
        let patch = correction(budget, spec);
        let patch: json_patch::Patch = match serde_json::from_value(patch) {
            Ok(patch) => patch,
            Err(error) => return Outcome::Again(error.to_string()),
        };
        let parameters = PatchParams { field_manager: Some(REPORTER.to_owned()), ..PatchParams::default() };
        let budgets = self.budgets(&budget.namespace);
        let patched = within(budgets.patch(&budget.name, &parameters, &Patch::<()>::Json(patch))).await;
        match self.count("correct", patched) {
            Ok(_) => Outcome::Done,
            Err(Failure::Status(404, _)) => Outcome::Nothing,
            Err(failure) => Outcome::Again(failure.to_string()),
        }
    }

    /// Deletes a budget, if it is still as it was seen.
    pub(super) async fn delete(&self, budget: &Budget) -> Outcome {
        let version = Some(budget.resource_version.clone());
        self.delete_named(&self.budgets(&budget.namespace), &budget.name, &budget.uid, version).await
    }

    async fn delete_named(
        &self,
        budgets: &Api<PodDisruptionBudget>,
        name: &str,
        uid: &str,
        resource_version: Option<String>,
    ) -> Outcome {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version };
        let parameters = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match self.count("delete", within(budgets.delete(name, &parameters)).await) {
            Ok(_) => Outcome::Done,
            Err(Failure::Status(404, _)) => Outcome::Nothing,
            Err(failure) => Outcome::Again(failure.to_string()),
        }
    }

    /// Whose the budget is that has the name: the cache may lag behind our own POST.
    async fn whose(&self, budgets: &Api<PodDisruptionBudget>, statefulset: &StatefulSet, name: &str) -> Outcome {
        let budget = match within(budgets.get(name)).await {
            Ok(budget) => serde_json::to_value(budget).and_then(serde_json::from_value::<Budget>),
            Err(failure) => return Outcome::Again(failure.to_string()),
        };
        match budget {
            Ok(budget) if !budget.is_quorates() => Outcome::Taken,
            Ok(budget) if budget.controller.as_ref().is_some_and(|owner| owner.uid == statefulset.metadata.uid) => {
                Outcome::Nothing
            }
            Ok(_) => Outcome::Again("the budget of a former StatefulSet is still there".to_owned()),
            Err(error) => Outcome::Again(error.to_string()),
        }
    }

    fn budgets(&self, namespace: &str) -> Api<PodDisruptionBudget> {
        Api::namespaced(self.client.clone(), namespace)
    }

    fn count<T>(&self, operation: &'static str, result: Result<T, Failure>) -> Result<T, Failure> {
        let word = match &result {
            Ok(_) => "success",
            Err(Failure::Status(404 | 409, _)) => "conflict",
            Err(_) => "failure",
        };
        self.metrics.budget_written(operation, word);
        result
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The API server says so, by a code and a message.
    #[error("{1}")]
    Status(u16, String),
    /// It did not say anything.
    #[error("{0}")]
    Other(String),
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(DEADLINE, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(kube::Error::Api(status))) => Err(Failure::Status(status.code, status.message.clone())),
        Ok(Err(error)) => Err(Failure::Other(error.to_string())),
        Err(_) => Err(Failure::Other(format!("the API server did not answer within {} s", DEADLINE.as_secs()))),
    }
}

fn correction(budget: &Budget, corrected: &Spec) -> Value {
    let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": budget.uid})];
    let mut set = |path: &str, value: Value| operations.push(json!({"op": "add", "path": path, "value": value}));
    if budget.is_overloaded() {
        let (label, value) = MANAGED_BY;
        let owner = budget.controller.as_ref().filter(|_| budget.ours);
        set("/metadata/labels", json!({label: value}));
        set("/metadata/annotations", json!({}));
        set("/metadata/ownerReferences", owner.map_or_else(|| json!([]), |owner| owned_by(&owner.name, &owner.uid)));
        if budget.written.has_too_many_finalizers() {
            set("/metadata/finalizers", json!([]));
        }
        // An empty entry clears them; an empty list would leave them as they are.
        set("/metadata/managedFields", json!([{}]));
    }
    match corrected {
        Spec::Same => {}
        Spec::Empty => set("/spec", json!({"maxUnavailable": 1})),
        Spec::Kept(kept) => set("/spec", spec(kept)),
    }
    Value::Array(operations)
}

/// The budget as it is written: only our own labels, as Argo CD prunes what bears an application's (L26).
fn manifest(statefulset: &StatefulSet, kept: &Kept) -> Value {
    let metadata = &statefulset.metadata;
    let (label, value) = MANAGED_BY;
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": kept.name,
            "namespace": metadata.namespace,
            "labels": {label: value},
            "ownerReferences": owned_by(&metadata.name, &metadata.uid),
        },
        "spec": spec(kept),
    })
}

fn owned_by(name: &str, uid: &str) -> Value {
    json!([{
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "name": name,
        "uid": uid,
        "controller": true,
        "blockOwnerDeletion": false,
    }])
}

fn spec(kept: &Kept) -> Value {
    let mut spec = json!({
        "selector": kept.selector,
        "unhealthyPodEvictionPolicy": kept.terms.unhealthy_pod_eviction_policy,
    });
    let written = |amount| match amount {
        Amount::Pods(pods) => json!(pods),
        percent @ Amount::Percent(_) => json!(percent.to_string()),
    };
    match kept.limit {
        Limit::MaxUnavailable(amount) => spec["maxUnavailable"] = written(amount),
        Limit::MinAvailable(amount) => spec["minAvailable"] = written(amount),
        Limit::None => {}
    }
    spec
}

#[cfg(test)]
mod tests;
