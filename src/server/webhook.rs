//! The webhook's routes: `POST /validate` and `POST /mutate`, each an AdmissionReview in, one out.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::Instant;

use super::limits::{Limits, Requests, limit_requests};
use super::{body, deadline};
use crate::admission::{Admission, Webhook};
use crate::telemetry::Metrics;

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Context {
    /// Who answers.
    pub admission: Arc<Admission>,
    /// Where limits are counted.
    pub metrics: Arc<Metrics>,
    /// The limits.
    pub limits: Limits,
}

/// The routes.
pub fn router(context: Context) -> Router {
    let requests = Requests::new(context.limits.requests, Arc::clone(&context.metrics));
    Router::new()
        .route("/validate", post(validate))
        .route("/mutate", post(mutate))
        .layer(from_fn_with_state(requests, limit_requests))
        .with_state(context)
}

async fn validate(State(context): State<Context>, query: RawQuery, headers: HeaderMap, body: Body) -> Response {
    context.review(Webhook::Validate, query, &headers, body).await
}

async fn mutate(State(context): State<Context>, query: RawQuery, headers: HeaderMap, body: Body) -> Response {
    context.review(Webhook::Mutate, query, &headers, body).await
}

impl Context {
    /// Reads the body and lets admission answer it, both within the time that the query gives.
    async fn review(&self, webhook: Webhook, RawQuery(query): RawQuery, headers: &HeaderMap, body: Body) -> Response {
        if !is_json(headers) {
            self.metrics.rejected("content_type");
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json\n").into_response();
        }
        let until = Instant::now() + deadline::of(query.as_deref());
        let bytes = match body::read(body, self.limits.body, until - Instant::now()).await {
            Ok(bytes) => bytes,
            Err(error) => {
                error.rejection().into_iter().for_each(|reason| self.metrics.rejected(reason));
                return error.into_response();
            }
        };
        match self.admission.answer(webhook, bytes, until - Instant::now()).await {
            Ok(answer) => ([(header::CONTENT_TYPE, JSON)], answer).into_response(),
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        }
    }
}

const JSON: &str = "application/json";

/// Whether the content type is JSON, parameters such as a charset aside.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}
