//! Bodies that are no AdmissionReview, or one that no API server would send.

use hyper::StatusCode;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Served, UID, request, review, review_with, statefulset};

/// Deep enough to overflow the stack of whoever recurses.
fn deep() -> String {
    format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))
}

/// The request with a value in one place, given as a JSON pointer to what exists.
fn with(pointer: &str, value: Value) -> Value {
    let mut request = request(&statefulset(), None);
    if let Some(place) = request.pointer_mut(pointer) {
        *place = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        request.pointer_mut(parent).unwrap()[name] = value;
    }
    request
}

/// L2, L10
#[tokio::test]
async fn what_has_no_uid_is_a_bad_request() {
    let mut served = Served::start("json").await;
    let uid_of = |text: &str| format!(r#"{{"request": {{"uid": {text}, "operation": "CREATE"}}}}"#);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("null", b"null".to_vec()),
        ("a list", b"[]".to_vec()),
        ("a list of reviews", format!("[{}]", review(&request(&statefulset(), None))).into_bytes()),
        ("a text", b"\"request\"".to_vec()),
        ("a number", b"1e400".to_vec()),
        ("a byte order mark", [b"\xef\xbb\xbf", review(&request(&statefulset(), None)).as_bytes()].concat()),
        ("UTF-16", review(&request(&statefulset(), None)).encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("only depth", deep().into_bytes()),
        ("depth without an end", "[".repeat(1 << 16).into_bytes()),
        ("depth without a uid", format!(r#"{{"request": {}}}"#, deep()).into_bytes()),
        ("a uid that is a number", uid_of("7").into_bytes()),
        ("a uid that is null", uid_of("null").into_bytes()),
        ("an empty uid", uid_of("\"\"").into_bytes()),
        ("a uid that is half a character", uid_of(r#""\ud800""#).into_bytes()),
        ("zeros", vec![0; 1 << 20]),
        ("cut off", review(&request(&statefulset(), None)).into_bytes()[..200].to_vec()),
    ];
    for (what, body) in cases {
        for path in ["/validate", "/mutate"] {
            let (status, answer) = served.post(path, body.clone()).await;
            let answer = String::from_utf8(answer).unwrap();
            assert_eq!(status, StatusCode::BAD_REQUEST, "{what}: {answer}");
            assert!(answer.starts_with("not an AdmissionReview") && answer.len() < 1000, "{what}: {answer}");
            assert_eq!(answer.matches('\n').count(), 1, "{what}: {answer}");
        }
    }
}

/// L2, L10
#[rstest]
#[case::in_a_field_that_is_unknown("/object/fromTheFuture")]
#[case::in_metadata("/object/metadata/fromTheFuture")]
#[case::in_a_pod_template("/object/spec/template/spec/containers/0")]
#[case::in_the_place_of_an_object("/object")]
#[case::in_a_label("/object/metadata/labels/app")]
#[case::in_owners("/object/metadata/ownerReferences")]
#[case::in_a_selector("/object/spec/selector")]
#[case::in_user_info("/userInfo")]
#[case::in_the_user("/userInfo/extra")]
#[case::in_the_request("/options")]
#[case::in_the_operation("/operation")]
#[tokio::test]
async fn depth_is_answered(#[case] place: &str) {
    let mut served = Served::start("json").await;
    served.review(&review_with(&with(place, json!("HERE")), &deep())).await;
}

/// Every field of a request, and of an object, with a value of every wrong type.
#[tokio::test]
async fn wrong_types_are_answered_l2_l10() {
    let mut served = Served::start("json").await;
    let sound = request(&statefulset(), Some(&statefulset()));
    let mut places = Vec::new();
    collect(&sound, String::new(), &mut places);
    assert!(places.len() > 50, "{places:?}");
    for place in places.iter().filter(|place| *place != "/uid" && !place.is_empty()) {
        for value in
            [json!(null), json!(7), json!(-0.5), json!("x"), json!(true), json!([]), json!([{}]), json!({"": []})]
        {
            let mut request = sound.clone();
            *request.pointer_mut(place).unwrap() = value;
            served.review(&review(&request)).await;
        }
    }
}

fn collect(value: &Value, path: String, places: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| collect(value, format!("{path}/{name}"), places));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| collect(item, format!("{path}/{index}"), places));
        }
        _ => {}
    }
    places.push(path);
}

/// The API server keeps the last of several members by one name, and sends but that one. We keep the last uid, and judge nothing else.
#[tokio::test]
async fn what_is_said_twice_is_not_judged() {
    let mut served = Served::start("json").await;
    let object = statefulset().to_string();
    for (what, body) in [
        (
            "uid",
            format!(r#"{{"request": {{"uid": "other", "uid": "{UID}", "operation": "CREATE", "object": {object}}}}}"#),
        ),
        ("object", review_with(&with("/object", json!("HERE")), &format!(r#"{object}, "object": {object}"#))),
        ("spec", review_with(&with("/object/spec", json!("HERE")), r#"{"replicas": 3}, "spec": {"replicas": 1}"#)),
        ("request", format!(r#"{{"request": {0}, "request": {0}}}"#, request(&statefulset(), None))),
    ] {
        for answer in served.review(&body).await {
            let warning = answer["response"]["warnings"][0].as_str().unwrap_or_default();
            assert!(warning.contains("duplicate field") && warning.contains("onInternalError"), "{what}: {answer}");
        }
    }
}

/// Numbers that no field can hold, where a number belongs and where nobody looks.
#[rstest]
#[case::beyond_a_double("1e400")]
#[case::far_beyond("1e1000000")]
#[case::beyond_64_bits("18446744073709551616")]
#[case::beyond_32_bits("2147483648")]
#[case::least("-9223372036854775808")]
#[case::nothing("-0")]
#[case::a_fraction("2.5")]
#[case::many_digits(&"9".repeat(100_000))]
#[tokio::test]
async fn numbers_are_answered(#[case] number: &str) {
    let mut served = Served::start("json").await;
    for place in
        ["/object/spec/replicas", "/object/spec/template/spec/terminationGracePeriodSeconds", "/object/fromTheFuture"]
    {
        served.review(&review_with(&with(place, json!("HERE")), number)).await;
    }
}

/// The API server passes on some JSON as it was sent, and replaces what is no UTF-8 in all other.
#[rstest]
#[case::in_a_name("/name")]
#[case::in_managed_fields("/object/metadata/managedFields")]
#[case::in_a_label("/object/metadata/labels/app")]
#[tokio::test]
async fn bytes_that_are_no_utf_8_are_judged(#[case] place: &str) {
    let mut served = Served::start("json").await;
    let body = review_with(&with(place, json!("HERE")), r#""NAME""#).into_bytes();
    let at = body.windows(4).position(|window| window == b"NAME").unwrap();
    let body = [&body[..at], b"\xc3\x28", &body[at + 4..]].concat();
    let (status, answer) = served.post("/validate", body).await;
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, &answer["response"]["status"]["code"]), (StatusCode::OK, &json!(403)), "{answer}");
}
