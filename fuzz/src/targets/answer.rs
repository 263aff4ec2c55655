//! What holds of every answer, whatever the question.

use std::cell::RefCell;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use quorate::admission::{Admission, Webhook};
use quorate::facts::UNVERIFIED_OWNER;
use serde_json::Value;

use super::world;

/// The most that an answer may take of a response; the API server reads 3 MiB.
const LONGEST: usize = 256 << 10;
const RECORD: &str = "quorate.dev/injected";

/// Asks both webhooks and checks their answers. What the mutating one makes of the object is asked about again.
pub(super) fn check(admission: &Admission, body: &[u8]) {
    let review: Option<Value> = serde_json::from_slice(body).ok();
    let uid = review.as_ref().and_then(|review| review.pointer("/request/uid")?.as_str());
    for webhook in [Webhook::Validate, Webhook::Mutate] {
        let Some(answer) = ask(admission, webhook, body) else {
            assert!(uid.is_none_or(str::is_empty), "what has a uid is answered");
            continue;
        };
        // A body that serde_json takes for no value, such as one with 1e400 somewhere, may still have a uid.
        assert!(review.is_none() || answer["response"]["uid"].as_str() == uid, "the answer has the request's own uid");
        check_shape(webhook, &answer);
        if let (Some(patch), Some(review)) = (patch(&answer), &review) {
            check_patch(admission, review, &patch);
        }
    }
}

fn ask(admission: &Admission, webhook: Webhook, body: &[u8]) -> Option<Value> {
    thread_local! {
        static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
            tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts"),
        );
    }
    let answer = admission.answer_at(webhook, Bytes::copy_from_slice(body), Duration::from_mins(1), world::now());
    let bytes = RUNTIME.with_borrow(|runtime| runtime.block_on(answer)).ok()?;
    assert!(bytes.len() <= LONGEST + body.len(), "an answer of {} bytes", bytes.len());
    Some(serde_json::from_slice(&bytes).expect("an answer is JSON"))
}

fn check_shape(webhook: Webhook, answer: &Value) {
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    let response = &answer["response"];
    assert!(response["uid"].as_str().is_some_and(|uid| !uid.is_empty()));
    assert_eq!(response["patch"].is_string(), response["patchType"] == "JSONPatch", "both or neither (L2)");
    assert!(webhook == Webhook::Mutate || response["patch"].is_null(), "a validation patches nothing (L2)");
    assert_eq!(response["allowed"] == false, response["status"].is_object());
    let mut said: Vec<&str> = strings(&response["warnings"]);
    if response["allowed"] == false {
        let status = &response["status"];
        match (status["code"].as_u64(), status["reason"].as_str()) {
            (Some(403), Some("Forbidden")) => assert_eq!(webhook, Webhook::Validate),
            (Some(500), Some("InternalError")) => {}
            other => panic!("denied with {other:?} (L4, L90)"),
        }
        let message = status["message"].as_str().expect("a denial has a message (L4)");
        assert!(!message.is_empty());
        said.extend(message.split('\n'));
        for cause in status["details"]["causes"].as_array().into_iter().flatten() {
            said.extend([cause["message"].as_str(), cause["field"].as_str()].into_iter().flatten());
        }
    }
    for line in said {
        assert!(!line.chars().any(char::is_control), "control characters in {line:?}");
        assert!(line.len() <= 4096, "a line of {} bytes", line.len());
    }
    for (key, value) in response["auditAnnotations"].as_object().into_iter().flatten() {
        assert!(!key.contains('/') && value.is_string(), "{key} (L93)");
    }
}

fn strings(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn patch(answer: &Value) -> Option<json_patch::Patch> {
    let text = answer["response"]["patch"].as_str()?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).expect("a patch is base64");
    Some(serde_json::from_slice(&bytes).expect("a patch is JSON Patch"))
}

/// A patch applies (L3), keeps a StatefulSet a StatefulSet, touches nothing but what is ours (L7, L26), and is not needed twice.
fn check_patch(admission: &Admission, review: &Value, patch: &json_patch::Patch) {
    assert!(!patch.is_empty(), "an empty patch is none");
    let object = &review["request"]["object"];
    let mut patched = object.clone();
    json_patch::patch(&mut patched, patch).expect("the patch applies (L3)");
    if is_statefulset(object) {
        assert!(is_statefulset(&patched), "the patched object is a StatefulSet (L3)");
    }
    assert_eq!(without_lists(object.clone()), without_lists(patched.clone()), "nothing else changes (L7)");
    if review["request"]["operation"] == "CREATE"
        && object.pointer("/metadata/annotations/quorate.dev~1injected").is_none()
    {
        for list in LISTS {
            let (before, after) = (items(object, list), items(&patched, list));
            assert!(after.starts_with(before), "ours are appended to {list} (L66)");
        }
    }
    let mut again = review.clone();
    again["request"]["object"] = patched;
    let body = serde_json::to_vec(&again).expect("a value is JSON");
    let answer = ask(admission, Webhook::Mutate, &body).expect("it has a uid");
    check_shape(Webhook::Mutate, &answer);
    if let Some(second) = self::patch(&answer) {
        panic!("a second mutation adds {second} to {} (L3)", again["request"]["object"]);
    }
}

const LISTS: [&str; 3] = [
    "/spec/template/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution",
    "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution",
    "/spec/template/spec/topologySpreadConstraints",
];

fn items<'a>(object: &'a Value, list: &str) -> &'a [Value] {
    object.pointer(list).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_statefulset(object: &Value) -> bool {
    serde_json::from_value::<k8s_openapi::api::apps::v1::StatefulSet>(object.clone()).is_ok()
}

/// The object without the lists and annotations that are ours to change, and without what is empty around them.
fn without_lists(mut object: Value) -> Value {
    drop_member(&mut object, &["metadata", "annotations"], RECORD);
    drop_member(&mut object, &["metadata", "annotations"], UNVERIFIED_OWNER);
    let pod = ["spec", "template", "spec", "affinity", "podAntiAffinity"];
    drop_member(&mut object, &pod[..3], "topologySpreadConstraints");
    for list in ["requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"] {
        drop_member(&mut object, &pod, list);
    }
    object
}

fn drop_member(object: &mut Value, path: &[&str], name: &str) {
    for depth in (0..=path.len()).rev() {
        let last = path.get(depth).copied().unwrap_or(name);
        let parent = path[..depth].iter().try_fold(&mut *object, |value, name| value.get_mut(*name));
        if let Some(members) = parent.and_then(Value::as_object_mut) {
            // To Kubernetes, null is as good as absent (L6).
            let says_nothing = |value: &Value| {
                value.is_null() || value.as_object().is_some_and(|members| members.values().all(Value::is_null))
            };
            if depth == path.len() || members.get(last).is_some_and(says_nothing) {
                members.remove(last);
            }
        }
    }
}
