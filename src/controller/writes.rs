//! Requests that write budgets. Each says which object it means: by its `uid`, or by being a POST (L96).

use std::time::Duration;

use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::events::REPORTER;
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

    /// Makes of a budget that is being deleted what it shall be, or has it select nothing. Only its spec is replaced, whoever wrote
    /// what is there: the rest is somebody else's business until its finalizers are gone.
    pub(super) async fn correct(&self, budget: &Budget, kept: Option<&Kept>) -> Outcome {
        let spec = kept.map_or_else(|| json!({"maxUnavailable": 1}), spec);
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": budget.uid},
            {"op": "add", "path": "/spec", "value": spec},
        ]);
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
            "ownerReferences": [{
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "name": metadata.name,
                "uid": metadata.uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }],
        },
        "spec": spec(kept),
    })
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
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::{Request, Response};
    use http_body_util::BodyExt as _;
    use kube::client::Body;
    use serde_json::from_value;
    use tower::service_fn;

    use super::*;
    use crate::budget::{Apart, Candidate, Terms, Wanted, desired};
    use crate::facts::UnhealthyPodEvictionPolicy;

    type Requests = Arc<Mutex<Vec<(String, Value)>>>;

    /// A client of an API server that gives these answers, one after another, and what it was asked.
    fn server(answers: &[(u16, Value)]) -> (Client, Requests) {
        let answers = Arc::new(Mutex::new(VecDeque::from(answers.to_vec())));
        let requests = Requests::default();
        let asked = Arc::clone(&requests);
        let service = service_fn(move |request: Request<Body>| {
            let (answers, asked) = (Arc::clone(&answers), Arc::clone(&asked));
            async move {
                let word = format!("{} {}", request.method(), request.uri().path().rsplit('/').next().unwrap());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                asked.lock().unwrap().push((word, serde_json::from_slice(&body).unwrap_or_default()));
                let (code, body) = answers.lock().unwrap().pop_front().expect("one request too many");
                let response = Response::builder().status(code).body(Body::from(body.to_string().into_bytes()));
                Ok::<_, tower::BoxError>(response.unwrap())
            }
        });
        (Client::new(service, "default"), requests)
    }

    fn status(code: u16, reason: &str) -> (u16, Value) {
        (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
    }

    fn statefulset() -> StatefulSet {
        from_value(json!({
            "metadata": {"name": "db", "namespace": "shop", "uid": "s1"},
            "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "db"}}},
        }))
        .unwrap()
    }

    fn kept() -> Kept {
        let terms = Terms {
            max_unavailable: Amount::Pods(1),
            unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::AlwaysAllow,
            policy: "baseline".to_owned(),
        };
        let mut statefulset = statefulset();
        statefulset.template.labels = statefulset.selector.match_labels.clone();
        match desired(
            &[Candidate { statefulset: &statefulset, terms: Ok(&terms), apart: Apart::No }],
            &Vec::<Budget>::new(),
        )
        .pop()
        {
            Some(Wanted::Budget(kept)) => kept,
            other => panic!("{other:?}"),
        }
    }

    fn found(owner_uid: &str, label: &str) -> (u16, Value) {
        let mut statefulset = statefulset();
        statefulset.metadata.uid = owner_uid.to_owned();
        let mut budget = manifest(&statefulset, &kept());
        budget["metadata"]["labels"] = json!({MANAGED_BY.0: label});
        (200, budget)
    }

    fn words(requests: &Requests) -> Vec<String> {
        requests.lock().unwrap().iter().map(|(word, _)| word.clone()).collect()
    }

    async fn created(answers: &[(u16, Value)]) -> (Outcome, Vec<String>) {
        let metrics = Metrics::default();
        let (client, requests) = server(answers);
        let outcome = Writes { client, metrics: &metrics }.create(&statefulset(), &kept()).await;
        (outcome, words(&requests))
    }

    /// L96: the name was taken between a look at the cache and the write.
    #[tokio::test]
    async fn a_name_that_was_taken_meanwhile_is_left_alone_l96() {
        let conflict = status(409, "AlreadyExists");
        let asked = ["POST poddisruptionbudgets", "GET db-quorate"].map(str::to_owned).to_vec();
        let theirs = created(&[conflict.clone(), found("s1", "Helm")]).await;
        assert_eq!(theirs, (Outcome::Taken, asked.clone()));
        let ours_already = created(&[conflict.clone(), found("s1", "quorate")]).await;
        assert_eq!(ours_already, (Outcome::Nothing, asked));
        let (of_a_former_one, _) = created(&[conflict, found("s0", "quorate")]).await;
        assert!(matches!(of_a_former_one, Outcome::Again(_)), "{of_a_former_one:?}");
    }

    /// L96: `minAvailable` beside ours makes every apply a 422.
    #[tokio::test]
    async fn what_cannot_be_repaired_is_replaced_l96() {
        let metrics = Metrics::default();
        let ours = found("s1", "quorate");
        let (client, requests) = server(&[status(422, "Invalid"), ours.clone(), ours]);
        let outcome = Writes { client, metrics: &metrics }.apply(&statefulset(), &kept(), "b1").await;
        assert_eq!(outcome, Outcome::Done);
        let expected = ["PATCH db-quorate", "DELETE db-quorate", "POST poddisruptionbudgets"];
        assert_eq!(words(&requests), expected);
        let requests = requests.lock().unwrap();
        assert_eq!(requests[0].1["metadata"]["uid"], "b1");
        assert_eq!(requests[1].1["preconditions"]["uid"], "b1");
        assert_eq!(requests[2].1["metadata"].get("uid"), None);
    }

    /// L138: what somebody wrote is gone, whatever it was, and only the budget that was seen is meant.
    #[tokio::test]
    async fn of_one_that_is_being_deleted_the_spec_is_replaced_l138() {
        let metrics = Metrics::default();
        let budget: Budget = from_value(json!({
            "metadata": {"name": "db-quorate", "namespace": "shop", "uid": "b1", "resourceVersion": "7"},
        }))
        .unwrap();
        let (client, requests) = server(&[found("s1", "quorate"), found("s1", "quorate"), status(404, "NotFound")]);
        let writes = Writes { client, metrics: &metrics };
        assert_eq!(writes.correct(&budget, Some(&kept())).await, Outcome::Done);
        assert_eq!(writes.correct(&budget, None).await, Outcome::Done);
        assert_eq!(writes.correct(&budget, None).await, Outcome::Nothing);
        let requests = requests.lock().unwrap();
        let patch = |index: usize| requests[index].1.as_array().unwrap().clone();
        assert_eq!(patch(0)[0], json!({"op": "test", "path": "/metadata/uid", "value": "b1"}));
        assert_eq!(patch(0)[1]["value"]["selector"], json!({"matchLabels": {"app": "db"}}));
        assert_eq!(patch(1)[1]["value"], json!({"maxUnavailable": 1}));
    }

    /// L96: another one has its place by now, or somebody changed it: nothing is deleted.
    #[tokio::test]
    async fn only_what_was_seen_is_deleted_l96() {
        let metrics = Metrics::default();
        let budget: Budget = from_value(json!({
            "metadata": {"name": "db-quorate", "namespace": "shop", "uid": "b1", "resourceVersion": "7"},
        }))
        .unwrap();
        let (client, requests) = server(&[status(409, "Conflict")]);
        let outcome = Writes { client, metrics: &metrics }.delete(&budget).await;
        assert!(matches!(outcome, Outcome::Again(_)), "{outcome:?}");
        let preconditions = json!({"uid": "b1", "resourceVersion": "7"});
        assert_eq!(requests.lock().unwrap()[0].1["preconditions"], preconditions);
        assert!(metrics.encode().contains(r#"quorate_budget_writes_total{operation="delete",result="conflict"} 1"#));
    }
}
