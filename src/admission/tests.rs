//! Reviews from bytes to bytes, without a cluster.

use rstest::rstest;
use serde_json::{Value, from_slice, from_value, json};

use super::*;
use crate::cluster::Objects;
use crate::facts::Service;
use crate::policy::{Policy, Spec};

fn admission(spec: Value) -> Admission {
    let spec: Spec = from_value(spec).unwrap();
    let policies = PolicySet::new(vec![Policy { name: "baseline".to_owned(), spec }]);
    let mut objects = Objects::default();
    let service: Service = from_value(json!({
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}}
    }))
    .unwrap();
    objects.add_service(service);
    Admission::new(Arc::new(ArcSwap::from_pointee(policies)), Source::Objects(objects), Arc::default())
}

fn baseline() -> Value {
    json!({
        "validate": {"headlessService": {"action": "Deny"}, "replicas": {"action": "Deny", "minimum": 2, "even": "Warn"}},
        "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]}
    })
}

fn statefulset(replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "db"}]}
            }
        }
    })
}

fn request(operation: &str, object: &Value, old: &Value) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u-1",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "operation": operation,
            "namespace": "shop",
            "name": "db",
            "userInfo": {"username": "developer"},
            "object": object,
            "oldObject": old,
            "dryRun": false
        }
    })
}

async fn answer(admission: &Admission, webhook: Webhook, review: &Value) -> Result<Value, BadRequest> {
    let body = Bytes::from(review.to_string());
    let answer = admission.answer(webhook, body, Duration::from_secs(5)).await?;
    Ok(from_slice(&answer).unwrap())
}

/// What the API server demands of every response.
fn assert_is_well_formed(review: &Value) {
    assert_eq!(review["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(review["kind"], "AdmissionReview");
    let response = &review["response"];
    assert_eq!(response["uid"], "u-1");
    assert!(response["allowed"].is_boolean());
    assert_eq!(response["patch"].is_string(), response["patchType"].is_string());
    if response["allowed"] == false {
        let status = &response["status"];
        assert!(matches!(status["code"].as_u64(), Some(403 | 500)), "{status}");
        assert!(matches!(status["reason"].as_str(), Some("Forbidden" | "InternalError")), "{status}");
        let message = status["message"].as_str().unwrap();
        assert!(!message.is_empty() && !message.contains("immutable"), "{message}");
    }
    for key in response["auditAnnotations"].as_object().into_iter().flat_map(|annotations| annotations.keys()) {
        assert!(!key.contains('/'), "L93: {key}");
    }
}

#[tokio::test]
async fn a_denial_says_everything_l2_l4_l90_l93() {
    let admission = admission(baseline());
    let mut bad = statefulset(1);
    bad["spec"]["serviceName"] = json!("other");
    let review = answer(&admission, Webhook::Validate, &request("CREATE", &bad, &Value::Null)).await.unwrap();
    assert_is_well_formed(&review);
    insta::assert_snapshot!(serde_json::to_string_pretty(&review["response"]).unwrap());
}

#[tokio::test]
async fn an_admission_warns_in_short_lines_l5() {
    let admission = admission(baseline());
    let review =
        answer(&admission, Webhook::Validate, &request("CREATE", &statefulset(4), &Value::Null)).await.unwrap();
    assert_is_well_formed(&review);
    assert_eq!(review["response"]["allowed"], true);
    let warnings: Vec<&str> =
        review["response"]["warnings"].as_array().unwrap().iter().map(|warning| warning.as_str().unwrap()).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r"
    spec.replicas: 4 is even; set spec.replicas to an odd number, as 4 tolerates no more losses than 3 (policy baseline)
    spreading: pending injection; it comes with the next change of spec.template
    ");
    assert!(warnings.iter().all(|warning| warning.len() <= 120 && !warning.contains('\n')));
}

#[tokio::test]
async fn a_mutation_carries_a_patch_once_l2() {
    let admission = admission(baseline());
    let review = answer(&admission, Webhook::Mutate, &request("CREATE", &statefulset(3), &Value::Null)).await.unwrap();
    assert_is_well_formed(&review);
    let patch = base64::Engine::decode(
        &base64::engine::general_purpose::STANDARD,
        review["response"]["patch"].as_str().unwrap(),
    )
    .unwrap();
    let patch: json_patch::Patch = from_slice(&patch).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&patch).unwrap());
    let mut patched = statefulset(3);
    json_patch::patch(&mut patched, &patch).unwrap();
    let review = answer(&admission, Webhook::Mutate, &request("CREATE", &patched, &Value::Null)).await.unwrap();
    assert_is_well_formed(&review);
    assert!(review["response"]["patch"].is_null());
}

#[tokio::test]
async fn a_validation_never_patches_l2() {
    let admission = admission(baseline());
    let review =
        answer(&admission, Webhook::Validate, &request("CREATE", &statefulset(3), &Value::Null)).await.unwrap();
    assert_is_well_formed(&review);
    assert!(review["response"]["patch"].is_null());
}

#[rstest]
#[case::no_object(json!({"operation": "CREATE", "object": null}))]
#[case::object_of_another_shape(json!({"operation": "CREATE", "object": {"spec": {"replicas": "three"}}}))]
#[case::update_without_old_object(json!({"operation": "UPDATE", "object": {}}))]
#[case::unknown_operation(json!({"operation": "PONDER"}))]
#[case::no_operation(json!({}))]
#[case::odd_user(json!({"operation": "CREATE", "userInfo": 7, "object": "x"}))]
#[tokio::test]
async fn what_cannot_be_decoded_is_answered_with_its_uid_l2_l10(#[case] mut request: Value) {
    request["uid"] = json!("u-1");
    request["namespace"] = json!("shop");
    request["kind"] = json!({"group": "apps", "version": "v1", "kind": "StatefulSet"});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
    for (on_internal_error, allowed) in [("Allow", true), ("Deny", false)] {
        let admission = admission(json!({"onInternalError": on_internal_error}));
        for webhook in [Webhook::Validate, Webhook::Mutate] {
            let review = answer(&admission, webhook, &review).await.unwrap();
            assert_is_well_formed(&review);
            assert_eq!(review["response"]["allowed"], allowed);
            if allowed {
                assert!(review["response"]["warnings"][0].as_str().unwrap().contains("onInternalError: Allow"));
            } else {
                assert_eq!(review["response"]["status"]["code"], 500);
            }
        }
    }
}

#[rstest]
#[case::no_json("not json")]
#[case::no_request("{}")]
#[case::no_uid(r#"{"request": {"operation": "CREATE"}}"#)]
#[case::empty_uid(r#"{"request": {"uid": "", "operation": "CREATE"}}"#)]
#[case::odd_uid(r#"{"request": {"uid": 7, "operation": "CREATE"}}"#)]
#[case::empty("")]
#[case::lists(r#"[["CONNECT", "CONNECT", []]]"#)]
#[case::a_list_for_the_request(r#"{"request": ["CONNECT", "CONNECT", []]}"#)]
#[tokio::test]
async fn what_has_no_uid_is_a_bad_request_l2(#[case] body: &'static str) {
    let admission = admission(json!({}));
    let answer = admission.answer(Webhook::Validate, Bytes::from(body), Duration::from_secs(5)).await;
    assert!(answer.is_err());
}

#[rstest]
#[case::delete("DELETE", "StatefulSet", "apps", "")]
#[case::scale_of_another_kind("UPDATE", "Scale", "autoscaling", "other")]
#[case::status("UPDATE", "StatefulSet", "apps", "status")]
#[case::another_kind("CREATE", "Pod", "", "")]
#[tokio::test]
async fn what_is_not_ours_to_review_passes_l20(
    #[case] operation: &str,
    #[case] kind: &str,
    #[case] group: &str,
    #[case] subresource: &str,
) {
    let admission =
        admission(json!({"validate": {"replicas": {"action": "Deny", "minimum": 3}}, "onInternalError": "Deny"}));
    let mut review = request(operation, &statefulset(1), &statefulset(3));
    review["request"]["kind"] = json!({"group": group, "version": "v1", "kind": kind});
    review["request"]["subResource"] = json!(subresource);
    let review = answer(&admission, Webhook::Validate, &review).await.unwrap();
    assert_is_well_formed(&review);
    assert_eq!(review["response"]["allowed"], true);
    assert!(review["response"]["warnings"].is_null());
}

#[tokio::test]
async fn unknown_fields_everywhere_do_no_harm_l7_l10() {
    let admission = admission(baseline());
    let mut object = statefulset(3);
    object["spec"]["template"]["spec"]["fromTheFuture"] = json!([{"a": 1}]);
    object["metadata"]["fromTheFuture"] = json!(null);
    let mut review = request("CREATE", &object, &Value::Null);
    review["fromTheFuture"] = json!(1);
    review["request"]["fromTheFuture"] = json!({"x": []});
    let review = answer(&admission, Webhook::Mutate, &review).await.unwrap();
    assert_is_well_formed(&review);
    assert!(review["response"]["patch"].is_string());
}

#[tokio::test]
async fn at_the_deadline_the_policy_decides_l1() {
    let admission = admission(json!({"onInternalError": "Deny"}));
    let answer = admission.answer(
        Webhook::Validate,
        Bytes::from(request("CREATE", &statefulset(3), &Value::Null).to_string()),
        Duration::ZERO,
    );
    // A decision that needs no waiting is made even when no time is left.
    let review: Value = from_slice(&answer.await.unwrap()).unwrap();
    assert_is_well_formed(&review);
    assert_eq!(review["response"]["allowed"], true);
}

#[test]
fn every_failure_is_answered_in_full_l2() {
    let incoming = Incoming::bare("u-1".to_owned());
    for failure in [Failure::Deadline, Failure::Panic, Failure::Undecodable("x".to_owned())] {
        for on_internal_error in [crate::policy::OnInternalError::Allow, crate::policy::OnInternalError::Deny] {
            let answer = Answer::failed(on_internal_error, &failure).encode(&incoming);
            assert_is_well_formed(&from_slice(&answer).unwrap());
        }
    }
    let answer = Answer::not_reviewed().encode(&incoming);
    assert_is_well_formed(&from_slice(&answer).unwrap());
}

/// The least time that a change of a budget takes, with so many StatefulSets and other budgets, which select all pods or none.
async fn time_of_a_change(statefulsets: usize, budgets: usize, select_all: bool) -> Duration {
    let spec: Spec = from_value(json!({"validate": {"podDisruptionBudget": {"action": "Warn"}}})).unwrap();
    let policies = PolicySet::new(vec![Policy { name: "baseline".to_owned(), spec }]);
    let mut objects = Objects::default();
    for number in 0..statefulsets {
        let mut set = statefulset(3);
        set["metadata"]["name"] = json!(format!("db-{number}"));
        objects.add_statefulset(from_value(set).unwrap());
    }
    let budget = |name: &str, app: &str, max_unavailable: i32| {
        json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"selector": {"matchLabels": {"app": app}}, "maxUnavailable": max_unavailable},
        })
    };
    for number in 0..budgets {
        let app = if select_all { "db".to_owned() } else { format!("web-{number}") };
        objects.add_budget(from_value(budget(&format!("b{number}"), &app, 1)).unwrap());
    }
    let admission = Admission::new(Arc::new(ArcSwap::from_pointee(policies)), Source::Objects(objects), Arc::default());
    let mut review = request("UPDATE", &budget("changed", "db", 1), &budget("changed", "db", 2));
    review["request"]["kind"] = json!({"group": "policy", "version": "v1", "kind": "PodDisruptionBudget"});
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let answer = answer(&admission, Webhook::Validate, &review).await.unwrap();
        assert_eq!(answer["response"]["allowed"], true, "{answer}");
        least = least.min(start.elapsed());
    }
    least
}

/// L141: the cost goes by the StatefulSets that the budget selects, whatever other budgets there are.
#[tokio::test]
async fn a_change_of_a_budget_does_not_cost_statefulsets_times_budgets_l141() {
    for select_all in [true, false] {
        let few = time_of_a_change(1_200, 10, select_all).await;
        let many = time_of_a_change(1_200, 300, select_all).await;
        println!(
            "1,200 StatefulSets, all of the same labels: {few:?} with 10 budgets, {many:?} with 300 ({select_all})"
        );
        assert!(many < few * 5, "{many:?} with 300 budgets, {few:?} with 10");
    }
}
