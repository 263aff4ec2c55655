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
    assert_eq!(writes.correct(&budget, &Spec::Kept(kept())).await, Outcome::Done);
    assert_eq!(writes.correct(&budget, &Spec::Empty).await, Outcome::Done);
    assert_eq!(writes.correct(&budget, &Spec::Empty).await, Outcome::Nothing);
    let requests = requests.lock().unwrap();
    let patch = |index: usize| requests[index].1.as_array().unwrap().clone();
    assert_eq!(patch(0)[0], json!({"op": "test", "path": "/metadata/uid", "value": "b1"}));
    assert_eq!(patch(0)[1]["value"]["selector"], json!({"matchLabels": {"app": "db"}}));
    assert_eq!(patch(1)[1]["value"], json!({"maxUnavailable": 1}));
}

/// L138: what others filled it up with goes, whatever it is, in the patch that puts the spec right.
#[tokio::test]
async fn what_fills_a_budget_up_is_taken_out_l138() {
    let metrics = Metrics::default();
    let (_, mut object) = found("s1", "quorate");
    object["metadata"]["uid"] = json!("b1");
    let owners = object["metadata"]["ownerReferences"].as_array_mut().unwrap();
    owners.push(json!({"kind": "K", "name": "y".repeat(100_000)}));
    object["metadata"]["finalizers"] = json!(["example.com/mine"]);
    let budget: Budget = from_value(object.clone()).unwrap();
    object["metadata"]["finalizers"] = json!(vec!["example.com/mine"; 1_000]);
    let held_by_many: Budget = from_value(object.clone()).unwrap();
    let (client, requests) = server(&[found("s1", "quorate"), found("s1", "quorate")]);
    let writes = Writes { client, metrics: &metrics };
    assert_eq!(writes.correct(&budget, &Spec::Same).await, Outcome::Done);
    assert_eq!(writes.correct(&held_by_many, &Spec::Kept(kept())).await, Outcome::Done);
    for (index, finalizers) in [(0, json!(["example.com/mine"])), (1, json!([]))] {
        let patch: json_patch::Patch = from_value(requests.lock().unwrap()[index].1.clone()).unwrap();
        let mut slim = object.clone();
        slim["metadata"]["finalizers"] = json!(["example.com/mine"]);
        json_patch::patch(&mut slim, &patch).unwrap();
        assert_eq!(slim["metadata"]["finalizers"], finalizers);
        assert_eq!(
            slim["metadata"]["ownerReferences"],
            manifest(&statefulset(), &kept())["metadata"]["ownerReferences"]
        );
        assert_eq!(slim["metadata"]["managedFields"], json!([{}]));
        assert_eq!(slim["spec"], spec(&kept()));
        let slim: Budget = from_value(slim).unwrap();
        assert!(slim.ours && !slim.is_overloaded(), "{slim:?}");
    }
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
