//! The webhook's routes: `POST /validate` and `POST /mutate`, each an AdmissionReview in, one out.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::time::Instant;

use super::body::{self, BEGINNING, Error, Unread};
use super::limits::{Limits, Requests};
use super::line::Standing;
use super::memory::Memory;
use super::patience::Progress;
use super::shares::Shares;
use super::{deadline, weight};
use crate::admission::{Admission, Refusal, Webhook};
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
    let Context { admission, metrics, limits } = context;
    let (requests, memory) = (Requests::new(limits.requests), Memory::new(limits.body_memory));
    let shares = Shares::of(limits.requests, limits.body_memory);
    Router::new().route("/validate", post(validate)).route("/mutate", post(mutate)).with_state(Reviews {
        admission,
        metrics,
        limits,
        requests,
        memory,
        shares,
    })
}

async fn validate(State(reviews): State<Reviews>, query: RawQuery, request: Request<Body>) -> Response {
    reviews.answer(Webhook::Validate, query, request).await
}

async fn mutate(State(reviews): State<Reviews>, query: RawQuery, request: Request<Body>) -> Response {
    reviews.answer(Webhook::Mutate, query, request).await
}

/// What both routes share.
#[derive(Debug, Clone)]
struct Reviews {
    admission: Arc<Admission>,
    metrics: Arc<Metrics>,
    limits: Limits,
    requests: Requests,
    memory: Memory,
    shares: Shares,
}

impl Reviews {
    async fn answer(&self, webhook: Webhook, RawQuery(query): RawQuery, request: Request<Body>) -> Response {
        let (head, body) = request.into_parts();
        if !is_json(&head.headers) {
            self.metrics.rejected("content_type");
            return (StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json\n").into_response();
        }
        let time = deadline::of(query.as_deref());
        self.review(webhook, &head, body, time).await.unwrap_or_else(|unread| {
            unread.error.rejection().into_iter().for_each(|reason| self.metrics.rejected(reason));
            self.refuse(webhook, &unread).unwrap_or_else(|| unread.error.into_response())
        })
    }

    /// A limit that was met is answered as a review where it is known what is asked: `failurePolicy: Ignore` would admit
    /// whoever asks for much.
    fn refuse(&self, webhook: Webhook, unread: &Unread) -> Option<Response> {
        let refusal = match unread.error {
            Error::TooLong { bytes, most } => Refusal::TooLong { bytes, most },
            Error::TooMuch | Error::NoRoom | Error::TooMany => Refusal::NoRoom,
            Error::NoShare => Refusal::NoShare,
            Error::TooSlow | Error::Broken => return None,
        };
        let answer = self.admission.refuse(webhook, &unread.beginning, refusal)?;
        Some(([(header::CONTENT_TYPE, JSON)], answer).into_response())
    }

    /// Reads the body and lets admission answer it, both within `time`, once there is room for each.
    async fn review(&self, webhook: Webhook, head: &Parts, body: Body, time: Duration) -> Result<Response, Unread> {
        let until = Instant::now() + time;
        let progress = head.extensions.get::<Progress>();
        let room = self.memory.body(progress.map_or(Standing::Unproven, Progress::standing));
        let expects = head.headers.contains_key(header::EXPECT);
        let body_time = time.min(self.limits.body_time);
        let (bytes, mut room) = body::read(body, self.limits.body, body_time, room, expects).await?;
        let _answering = progress.map(Progress::answering);
        let unread = |error| Unread { error, beginning: bytes[..bytes.len().min(BEGINNING)].to_vec() };
        let weight = weight::of(webhook, &bytes);
        let namespace = self.admission.namespace(&bytes[..bytes.len().min(BEGINNING)]);
        let share = self.shares.take(namespace, room.bytes() + weight);
        let _share = share.ok_or(Error::NoShare).map_err(unread)?;
        let _slot = self.requests.enter().ok_or(Error::TooMany).map_err(unread)?;
        if !self.memory.could_hold(room.bytes() + weight) {
            return Err(unread(Error::TooMuch));
        }
        room.grow(weight).await.map_err(|full| unread(full.into()))?;
        Ok(match self.admission.answer(webhook, bytes, until - Instant::now()).await {
            Ok(answer) => ([(header::CONTENT_TYPE, JSON)], answer).into_response(),
            Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        })
    }
}

const JSON: &str = "application/json";

/// Whether the content type is JSON, parameters such as a charset aside.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}
