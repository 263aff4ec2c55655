//! The webhook's routes, without a socket.

use std::convert::Infallible;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::header::{ALLOW, RETRY_AFTER};
use bytes::Bytes;
use futures::stream;
use hyper::{Request, Response, StatusCode};
use quorate::admission::Admission;
use quorate::cluster::{Objects, Source};
use quorate::policy::{PolicySet, parse};
use quorate::server::{Limits, webhook};
use quorate::telemetry::Metrics;
use rstest::rstest;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::text;

const MIB: usize = 1 << 20;

/// Policies that deny nothing deny nobody for what is too long either.
const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: a }
spec: { validate: { replicas: { action: Deny, minimum: 2 } } }
";

pub(super) struct Webhook {
    policies: PolicySet,
    metrics: Arc<Metrics>,
    pub(super) limits: Limits,
}

impl Webhook {
    pub(super) fn new() -> Self {
        Self { policies: PolicySet::default(), metrics: Arc::default(), limits: Limits::default() }
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        self.router().oneshot(request).await.unwrap()
    }

    pub(super) fn router(&self) -> Router {
        let policies = Arc::new(ArcSwap::from_pointee(self.policies.clone()));
        let source = Source::Objects(Objects::default());
        let admission = Arc::new(Admission::new(policies, source, Arc::clone(&self.metrics)));
        let metrics = Arc::clone(&self.metrics);
        webhook::router(webhook::Context { admission, metrics, limits: self.limits })
    }

    fn counted(&self, reason: &str) -> bool {
        self.metrics.encode().contains(&format!("quorate_http_rejected_total{{reason=\"{reason}\"}} 1"))
    }
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// An AdmissionReview of a ConfigMap, padded to a size.
pub(super) fn review(size: usize) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7e6f3c1c",
            "operation": "CREATE",
            "namespace": "default",
            "name": "config",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "resource": {"group": "", "version": "v1", "resource": "configmaps"},
            "userInfo": {"username": "ada"},
            "object": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"padding": "x".repeat(size)}},
        },
    });
    serde_json::to_vec(&review).unwrap()
}

/// The same bytes without a length beforehand.
fn chunked(bytes: &[u8]) -> Body {
    let chunks: Vec<_> =
        bytes.chunks(MIB / 4).map(|chunk| Ok::<_, Infallible>(Bytes::copy_from_slice(chunk))).collect();
    Body::from_stream(stream::iter(chunks))
}

#[rstest]
#[tokio::test]
async fn answers_a_review_with_its_uid(#[values("/validate", "/mutate?timeout=3s")] path: &str) {
    let response = Webhook::new().answer(post(path, review(10))).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(answer["response"]["uid"], "7e6f3c1c");
}

#[tokio::test]
async fn knows_two_paths_and_one_method() {
    let webhook = Webhook::new();
    for path in ["/", "/validate/", "/Validate", "/metrics", "/readyz"] {
        assert_eq!(webhook.answer(post(path, review(10))).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let response = webhook.answer(Request::get("/validate").body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(response.headers()[ALLOW], "POST");
}

#[rstest]
#[case(Some("application/json"), StatusCode::OK)]
#[case(Some("Application/JSON; charset=utf-8"), StatusCode::OK)]
#[case(Some("application/yaml"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case(Some("application/json-patch+json"), StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[case(None, StatusCode::UNSUPPORTED_MEDIA_TYPE)]
#[tokio::test]
async fn takes_json_only(#[case] kind: Option<&str>, #[case] status: StatusCode) {
    let mut request = Request::post("/validate");
    if let Some(kind) = kind {
        request = request.header("content-type", kind);
    }
    assert_eq!(Webhook::new().answer(request.body(review(10).into()).unwrap()).await.status(), status);
}

/// L9
#[tokio::test]
async fn takes_eighteen_mebibytes() {
    let webhook = Webhook::new();
    assert_eq!(webhook.answer(post("/validate", review(18 * MIB))).await.status(), StatusCode::OK);
    assert_eq!(webhook.answer(post("/validate", chunked(&review(18 * MIB)))).await.status(), StatusCode::OK);
}

/// L9
#[tokio::test]
async fn refuses_twenty_one_mebibytes_whether_or_not_their_length_is_said() {
    for body in [Body::from(review(21 * MIB)), chunked(&review(21 * MIB))] {
        let webhook = Webhook::new();
        assert_eq!(webhook.answer(post("/mutate", body)).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(webhook.counted("body_size"));
    }
}

/// L1
#[tokio::test(start_paused = true)]
async fn does_not_wait_for_a_body_beyond_the_timeout_that_the_api_server_names() {
    let webhook = Webhook::new();
    let endless = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    let response = webhook.answer(post("/validate?timeout=2s", endless)).await;
    assert_eq!(response.status(), StatusCode::REQUEST_TIMEOUT);
    assert!(webhook.counted("body_time"));
}

#[tokio::test]
async fn says_when_to_come_again_where_there_is_no_room() {
    let mut webhook = Webhook::new();
    webhook.limits.requests = 0;
    let response = webhook.answer(post("/validate", r#"{"request": {"uid": "u-1"}}"#)).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "1");
    assert!(webhook.counted("requests"));
}

/// What the API server sends before the object, and an object that does not end.
fn beginning(operation: &str, size: usize) -> Body {
    let kind = r#"{"group":"","version":"v1","kind":"Service"}"#;
    let request = format!(
        r#"{{"kind":"AdmissionReview","request":{{"uid":"7e6f3c1c","kind":{kind},"name":"db","namespace":"shop","operation":"{operation}","object":{{"metadata":{{"name":"{}"#,
        "x".repeat(size)
    );
    chunked(request.as_bytes())
}

/// L9, L131, L141: HTTP 503 or 413 would admit what has `failurePolicy: Ignore`.
#[rstest]
#[case::too_long(21 * MIB, 256, "CREATE", Some(403), "object: its review has more than 20971520 bytes")]
#[case::no_room(10, 0, "UPDATE", Some(429), "more requests wait to be judged than there is room for")]
#[case::a_deletion(21 * MIB, 256, "DELETE", None, "")]
#[tokio::test]
async fn a_limit_is_answered_where_it_is_known_what_is_asked(
    #[case] size: usize,
    #[case] requests: usize,
    #[case] operation: &str,
    #[case] code: Option<u64>,
    #[case] message: &str,
) {
    let mut webhook = Webhook::new();
    webhook.policies = PolicySet::new(parse("policy.yaml", POLICY.as_bytes()).unwrap());
    webhook.limits.requests = requests;
    let response = webhook.answer(post("/validate", beginning(operation, size))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let answer: Value = serde_json::from_str(&text(response).await).unwrap();
    let response = &answer["response"];
    assert_eq!((response["uid"].as_str(), response["allowed"].as_bool()), (Some("7e6f3c1c"), Some(code.is_none())));
    assert_eq!(response["status"]["code"].as_u64(), code);
    assert!(response["status"]["message"].as_str().unwrap_or_default().starts_with(message), "{answer}");
    assert_eq!(response["status"]["details"]["retryAfterSeconds"].as_u64(), (code == Some(429)).then_some(1));
}

#[tokio::test]
async fn refuses_what_is_no_review() {
    for body in ["", "{}", "[]", "null", "\u{0}", r#"{"request": {}}"#] {
        let response = Webhook::new().answer(post("/validate", body)).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{body:?}");
        assert!(text(response).await.contains("AdmissionReview"));
    }
}
