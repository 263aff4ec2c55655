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

/// Nobody can create what is being deleted already (L143).
#[tokio::test]
async fn a_deletion_timestamp_of_what_is_created_says_nothing_l143() {
    let spec = json!({
        "validate": {"replicas": {"action": "Deny", "minimum": 3}},
        "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]},
    });
    let admission = admission(spec);
    let ending = |replicas: i32| {
        let mut object = statefulset(replicas);
        object["metadata"]["deletionTimestamp"] = json!("2026-11-30T12:00:00Z");
        object
    };
    let created = request("CREATE", &ending(3), &Value::Null);
    let review = answer(&admission, Webhook::Mutate, &created).await.unwrap();
    assert!(review["response"]["patch"].is_string(), "{review}");
    let created = request("CREATE", &ending(1), &Value::Null);
    let review = answer(&admission, Webhook::Validate, &created).await.unwrap();
    assert_eq!(review["response"]["allowed"], false, "{review}");
    // Nor can an update begin or end a deletion.
    for (object, old, allowed) in [(ending(1), statefulset(3), false), (statefulset(1), ending(3), true)] {
        let review = answer(&admission, Webhook::Validate, &request("UPDATE", &object, &old)).await.unwrap();
        assert_eq!(review["response"]["allowed"], allowed, "{review}");
    }
}

/// The object of a DELETE is null (L135).
#[tokio::test]
async fn an_autoscaler_that_is_deleted_is_decoded_from_the_old_object_l135() {
    let admission =
        admission(json!({"validate": {"replicas": {"action": "Deny", "minimum": 3}}, "onInternalError": "Deny"}));
    let old = json!({
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}, "minReplicas": 3, "maxReplicas": 5},
    });
    let mut review = request("DELETE", &Value::Null, &old);
    review["request"]["kind"] = json!({"group": "autoscaling", "version": "v2", "kind": "HorizontalPodAutoscaler"});
    let review = answer(&admission, Webhook::Validate, &review).await.unwrap();
    assert_is_well_formed(&review);
    assert_eq!(review["response"]["allowed"], true, "{review}");
}

/// Ballast that no rule reads: more objects than were ever decoded.
fn ballast(count: usize) -> Value {
    Value::Array(vec![json!({}); count])
}

fn tolerations(count: usize) -> Value {
    Value::Array(vec![json!({"operator": "Exists"}); count])
}

async fn message(admission: &Admission, webhook: Webhook, review: &Value) -> (bool, String) {
    let review = answer(admission, webhook, review).await.unwrap();
    assert_is_well_formed(&review);
    let response = &review["response"];
    let said = response["status"]["message"].as_str().or(response["warnings"][0].as_str()).unwrap_or_default();
    (response["allowed"] == true, said.to_owned())
}

#[rstest]
#[case::pod("/spec/template/spec/hostAliases")]
#[case::variables("/spec/template/spec/containers/0/env")]
#[case::managed_fields("/metadata/managedFields")]
#[case::finalizers("/metadata/finalizers")]
#[tokio::test]
async fn ballast_frees_nothing_l131(#[case] place: &str) {
    let admission = admission(baseline());
    let mut object = statefulset(1);
    let (parent, name) = place.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] =
        if name == "finalizers" { json!(vec!["example.com/x"; 100_000]) } else { ballast(100_000) };
    let review = request("CREATE", &object, &Value::Null);
    let (allowed, said) = message(&admission, Webhook::Validate, &review).await;
    assert!(!allowed && said.starts_with("spec.replicas: 1 is below the minimum 2"), "{said}");
    let review = answer(&admission, Webhook::Mutate, &review).await.unwrap();
    assert!(review["response"]["patch"].is_string(), "{review}");
}

#[rstest]
#[tokio::test]
async fn what_its_requester_made_unreadable_is_denied_l131(#[values("Allow", "Deny")] on_internal_error: &str) {
    let mut policy = baseline();
    policy["onInternalError"] = json!(on_internal_error);
    let admission = admission(policy);
    let mut heavy = statefulset(3);
    heavy["spec"]["template"]["spec"]["tolerations"] = tolerations(20_000);
    for review in [request("CREATE", &heavy, &Value::Null), request("UPDATE", &heavy, &statefulset(3))] {
        let answered = answer(&admission, Webhook::Validate, &review).await.unwrap();
        assert_is_well_formed(&answered);
        assert_eq!(answered["response"]["status"]["code"], 403);
        assert_eq!(answered["response"]["status"]["details"]["causes"][0]["field"], "spec.template.spec.tolerations");
        let (_, said) = message(&admission, Webhook::Validate, &review).await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(said, @"spec.template.spec.tolerations: 20000 values are too many to be judged: the fields that rules read may have 8192 together; remove values from spec.template.spec.tolerations");
        }
        let (allowed, said) = message(&admission, Webhook::Mutate, &review).await;
        assert!(
            allowed && said.starts_with("not judged, nothing is injected: spec.template.spec.tolerations: 20000"),
            "{said}"
        );
    }
    assert!(admission.metrics.encode().contains(r#"quorate_internal_errors_total{kind="unreadable"} 6"#));
}

/// The old object is too heavy to be read; the new one is judged as if it were created, unless it changes nothing that runs.
#[tokio::test]
async fn an_old_object_that_cannot_be_read_frees_nothing_l131() {
    let admission = admission(baseline());
    let mut heavy = statefulset(1);
    heavy["spec"]["template"]["spec"]["tolerations"] = tolerations(20_000);
    let validated =
        async |new: &Value, old: &Value| message(&admission, Webhook::Validate, &request("UPDATE", new, old)).await;
    let (allowed, said) = validated(&statefulset(1), &heavy).await;
    assert!(!allowed && said.starts_with("spec.replicas: 1 is below"), "{said}");
    assert!(validated(&statefulset(3), &heavy).await.0);
    // Metadata, finalizers and what is being deleted.
    let mut labelled = heavy.clone();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    assert_eq!(validated(&labelled, &heavy).await, (true, String::new()));
    let (mut with_finalizer, mut deleted) = (heavy.clone(), heavy.clone());
    with_finalizer["metadata"]["finalizers"] = json!(["example.com/x"]);
    assert!(validated(&heavy, &with_finalizer).await.0);
    deleted["metadata"]["deletionTimestamp"] = json!("2026-11-30T00:00:00Z");
    assert!(validated(&statefulset(1), &deleted).await.0);
    // An exemption among them is no metadata like any other, and neither is ballast that is new.
    labelled["metadata"]["annotations"] = json!({"quorate.dev/exempt": "replicas"});
    assert!(!validated(&labelled, &heavy).await.0);
    let mut burdened = statefulset(3);
    burdened["metadata"]["labels"] = Value::Object((0..10_000).map(|n| (format!("k{n}"), json!("v"))).collect());
    let (allowed, said) = validated(&burdened, &statefulset(3)).await;
    assert!(!allowed && said.starts_with("metadata.labels: 10000 values"), "{said}");
    // A rollout that nobody asked for.
    let mut scaled = heavy.clone();
    scaled["spec"]["replicas"] = json!(3);
    let review = answer(&admission, Webhook::Mutate, &request("UPDATE", &scaled, &heavy)).await.unwrap();
    assert!(review["response"]["patch"].is_null());
    let review = answer(&admission, Webhook::Mutate, &request("UPDATE", &statefulset(3), &heavy)).await.unwrap();
    assert!(review["response"]["patch"].is_string());
}

fn about(kind: (&str, &str, &str), operation: &str, object: &Value, old: &Value) -> Value {
    let mut review = request(operation, object, old);
    let (group, kind, resource) = kind;
    review["request"]["kind"] = json!({"group": group, "version": "v1", "kind": kind});
    review["request"]["resource"] = json!({"group": group, "version": "v1", "resource": resource});
    review
}

#[rstest]
#[case::service(("", "Service", "services"), "spec.selector", json!({"metadata": {"name": "db"}, "spec": {"selector": {}}}))]
#[case::budget(("policy", "PodDisruptionBudget", "poddisruptionbudgets"), "spec.selector.matchLabels",
    json!({"metadata": {"name": "db"}, "spec": {"selector": {"matchLabels": {}}, "maxUnavailable": 1}}))]
#[tokio::test]
async fn every_kind_is_weighed_by_what_rules_read_of_it_l131(
    #[case] kind: (&str, &str, &str),
    #[case] field: &str,
    #[case] mut object: Value,
) {
    let admission = admission(baseline());
    let light = object.clone();
    object["metadata"]["managedFields"] = ballast(100_000);
    object["metadata"]["annotations"] = Value::Object((0..50_000).map(|n| (format!("k{n}"), json!("v"))).collect());
    assert_eq!(
        message(&admission, Webhook::Validate, &about(kind, "CREATE", &object, &Value::Null)).await,
        (true, String::new())
    );
    let pointer = format!("/{}", field.replace('.', "/"));
    *object.pointer_mut(&pointer).unwrap() =
        Value::Object((0..10_000).map(|n| (format!("k{n}"), json!("v"))).collect());
    for review in [about(kind, "CREATE", &object, &Value::Null), about(kind, "UPDATE", &object, &light)] {
        let (allowed, said) = message(&admission, Webhook::Validate, &review).await;
        assert!(!allowed && said.starts_with(&format!("{field}: 10000 values")), "{said}");
    }
    for review in [about(kind, "UPDATE", &object, &object), about(kind, "UPDATE", &light, &object)] {
        assert!(message(&admission, Webhook::Validate, &review).await.0);
    }
    if kind.1 == "Service" {
        let deletion = about(kind, "DELETE", &Value::Null, &object);
        assert_eq!(message(&admission, Webhook::Validate, &deletion).await, (true, String::new()));
    }
}

/// What is no UTF-8 is replaced, as the API server does; half a character, twice the same name and depth are passed over.
#[tokio::test]
async fn what_a_requester_can_write_is_judged_l131() {
    let admission = admission(baseline());
    let mut object = statefulset(1);
    object["metadata"]["managedFields"] = json!("HERE");
    let review = request("CREATE", &object, &Value::Null).to_string();
    let deep = format!(r#"{{"f:a":{}{}}}"#, r#"{"f:a":"#.repeat(5_000), "{}".to_owned() + &"}".repeat(5_000));
    for written in
        [&br#"{"f:\ud800":{}}"#[..], b"{\"f:\xff\xfe\":{}}", br#"{"a":1,"a":2}"#, b"[1e999]", deep.as_bytes()]
    {
        let at = review.find("\"HERE\"").unwrap();
        let body = [&review.as_bytes()[..at], written, &review.as_bytes()[at + 6..]].concat();
        let answered = admission.answer(Webhook::Validate, body.into(), Duration::from_secs(5)).await.unwrap();
        let answered: Value = from_slice(&answered).unwrap();
        assert_is_well_formed(&answered);
        let said = answered["response"]["status"]["message"].as_str().unwrap_or_default();
        assert!(said.starts_with("spec.replicas: 1 is below"), "{answered}");
    }
}

/// A namespace that keeps itself waiting is told to come again: its flood frees nothing, and no other namespace waits (L141).
#[tokio::test]
async fn who_waits_too_long_for_a_turn_comes_again_l141() {
    let mut admission = admission(baseline());
    admission.turns = Turns::new(1);
    let held = admission.turns.hold();
    let body = Bytes::from(request("CREATE", &statefulset(1), &Value::Null).to_string());
    for webhook in [Webhook::Validate, Webhook::Mutate] {
        let answered = admission.answer(webhook, body.clone(), Duration::from_millis(10)).await.unwrap();
        let answered: Value = from_slice(&answered).unwrap();
        let status = &answered["response"]["status"];
        assert_eq!((&status["code"], &status["reason"]), (&json!(429), &json!("TooManyRequests")), "{answered}");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
        assert_eq!(status["message"], "too many requests about namespace shop wait to be judged; try again");
    }
    drop(held);
    let answered = admission.answer(Webhook::Validate, body, Duration::from_secs(5)).await.unwrap();
    let answered: Value = from_slice(&answered).unwrap();
    assert_eq!(answered["response"]["status"]["code"], 403);
}

/// Who would have been let pass is not sent away: installing in order to observe is no outage (L141).
#[tokio::test]
async fn nobody_is_busy_where_nothing_denies_l141() {
    let mut admission = admission(json!({"validate": {"replicas": {"action": "Warn", "minimum": 3}}}));
    admission.turns = Turns::new(1);
    let _held = admission.turns.hold();
    let body = Bytes::from(request("CREATE", &statefulset(3), &Value::Null).to_string());
    for webhook in [Webhook::Validate, Webhook::Mutate] {
        let answered = admission.answer(webhook, body.clone(), Duration::from_millis(10)).await.unwrap();
        let answered: Value = from_slice(&answered).unwrap();
        assert_eq!(answered["response"]["allowed"], true, "{answered}");
        let beginning = &body[..body.len() - 10];
        let refused: Value = from_slice(&admission.refuse(webhook, beginning, Refusal::NoRoom).unwrap()).unwrap();
        assert_eq!(refused["response"]["allowed"], true, "{refused}");
    }
}

/// A rule that warns may have a cause that denies, and what is infeasible has no rule's action (L131).
#[rstest]
#[case::of_a_service(json!({"validate": {"headlessService": {"action": "Warn", "noServiceName": "Deny"}}}))]
#[case::of_an_autoscaler(json!({"validate": {"replicas": {"action": "Warn", "minimum": 3, "autoscalerDelete": "Deny"}}}))]
#[case::of_nodes(
    json!({"mutate": {"podAntiAffinity": [{"topologyKey": "zone", "mode": "Required", "whenInfeasible": "Deny"}]}})
)]
#[tokio::test]
async fn what_cannot_be_read_is_denied_where_any_cause_denies_l131(#[case] spec: Value) {
    let admission = admission(spec);
    let mut heavy = statefulset(3);
    heavy["spec"]["template"]["spec"]["tolerations"] = tolerations(20_000);
    let (allowed, said) = message(&admission, Webhook::Validate, &request("CREATE", &heavy, &Value::Null)).await;
    assert!(!allowed, "{said}");
}

/// A selector is compared with every StatefulSet of the namespace (L141).
#[tokio::test]
async fn a_selector_of_thousands_of_values_is_denied_l141() {
    let admission = admission(json!({"validate": {"podDisruptionBudget": {"action": "Deny"}}}));
    let values = |prefix: &str, count: usize| (0..count).map(|n| format!("{prefix}{n}")).collect::<Vec<_>>();
    let selector = |key: &str, values: Vec<String>| json!({"matchExpressions": [{"key": key, "operator": "NotIn", "values": values}]});
    let budget = |selector: &Value| json!({"metadata": {"name": "x", "namespace": "shop"}, "spec": {"selector": selector, "maxUnavailable": 1}});
    for (selector, allowed) in [
        (selector("apps.kubernetes.io/pod-index", values("", 8_000)), false),
        (selector("apps.kubernetes.io/pod-index", values("", 200)), true),
        // As many names of pods as a budget of ours may have.
        (selector("statefulset.kubernetes.io/pod-name", values("db-", 1_000)), true),
    ] {
        let mut review = request("CREATE", &budget(&selector), &Value::Null);
        review["request"]["kind"] = json!({"group": "policy", "version": "v1", "kind": "PodDisruptionBudget"});
        let (was_allowed, said) = message(&admission, Webhook::Validate, &review).await;
        assert_eq!(was_allowed, allowed, "{said}");
        assert!(allowed || said.starts_with("spec.selector: 8001 requirements and values are too many"), "{said}");
    }
    let mut long = statefulset(3);
    long["spec"]["selector"] = selector("app", values("", 8_000));
    let (allowed, said) = message(&admission, Webhook::Validate, &request("CREATE", &long, &Value::Null)).await;
    assert!(!allowed && said.starts_with("spec.selector: "), "{said}");
}

/// Policies on trial deny nothing, this included.
#[tokio::test]
async fn what_cannot_be_read_is_only_warned_of_where_nothing_denies_l131() {
    let admission = admission(json!({"validate": {"replicas": {"action": "Warn", "minimum": 3}}}));
    let mut heavy = statefulset(3);
    heavy["spec"]["template"]["spec"]["tolerations"] = tolerations(20_000);
    let (allowed, said) = message(&admission, Webhook::Validate, &request("CREATE", &heavy, &Value::Null)).await;
    assert!(allowed && said.starts_with("not judged, nothing is injected: spec.template"), "{said}");
}

/// A request may bear on so many StatefulSets, and give so much to compare, that it can't be judged in time. That is its
/// requester's doing, and frees nothing (L134, L141).
#[tokio::test]
async fn what_takes_too_long_to_compute_comes_again_l134_l141() {
    let light = json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": {"clusterIP": "None", "selector": {"app": "db"}}});
    let mut objects = Objects::default();
    objects.add_service(from_value(light.clone()).unwrap());
    for number in 0..3_000 {
        let mut idle = statefulset(0);
        idle["metadata"]["name"] = json!(format!("idle-{number}"));
        objects.add_statefulset(from_value(idle).unwrap());
    }
    let spec: Spec = from_value(baseline()).unwrap();
    let policies = PolicySet::new(vec![Policy { name: "baseline".to_owned(), spec }]);
    let admission = Admission::new(Arc::new(ArcSwap::from_pointee(policies)), Source::Objects(objects), Arc::default());
    let mut heavy = light.clone();
    heavy["spec"]["selector"] = Value::Object((0..8_000).map(|number| (format!("k{number}"), json!("v"))).collect());
    let answered = async |new: &Value, millis| {
        let body = Bytes::from(about(("", "Service", "services"), "UPDATE", new, &light).to_string());
        let answered = admission.answer(Webhook::Validate, body, Duration::from_millis(millis)).await.unwrap();
        let answered: Value = from_slice(&answered).unwrap();
        let status = &answered["response"]["status"];
        (status["code"].as_u64(), status["message"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(answered(&light, 10_000).await, (None, String::new()));
    assert_eq!(answered(&light, 101).await.0, Some(429));
    let (code, said) = answered(&heavy, 10_000).await;
    assert!(
        code == Some(403) && said.starts_with("spec.selector: 8000 requirements and values are too many"),
        "{said}"
    );
    // Eight that deny it are enough.
    let mut worse = light.clone();
    worse["spec"]["selector"] = json!({"app": "other"});
    let (code, said) = answered(&worse, 10_000).await;
    assert!(code == Some(403) && said.ends_with("\n2992 more StatefulSets were not judged"), "{said}");
}
