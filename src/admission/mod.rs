//! AdmissionReview in, AdmissionResponse out.
//!
//! Strict in what it sends, lenient in what it takes (L2, L10): whatever has a uid gets an answer with that uid, also where
//! the object can't be decoded, the deadline passes, or our own code panics. This module decides nothing itself.

mod census;
mod court;
mod decode;
mod failure;
mod judge;
mod member;
mod response;
mod subject;
mod weight;

pub(crate) use weight::{Count, count};

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use tracing::{Instrument as _, Span};

use self::decode::Incoming;
use self::failure::Failure;
use self::judge::Judge;
use self::response::Answer;
use crate::cluster::{Source, Ticket};
use crate::plain::plain;
use crate::policy::PolicySet;
use crate::telemetry::Metrics;

/// Which of the two webhooks is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhook {
    /// `POST /validate`
    Validate,
    /// `POST /mutate`
    Mutate,
}

impl Webhook {
    /// The name used in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Validate => "validate",
            Self::Mutate => "mutate",
        }
    }
}

/// A body that is no AdmissionReview with a uid, so that nothing can be answered but HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("not an AdmissionReview of admission.k8s.io/v1 with a request.uid: {}", plain(.0))]
pub struct BadRequest(String);

/// Answers admission reviews.
#[derive(Debug)]
pub struct Admission {
    policies: Arc<ArcSwap<PolicySet>>,
    source: Source,
    metrics: Arc<Metrics>,
}

impl Admission {
    /// Answers by these policies, with surroundings from this source.
    #[must_use]
    pub fn new(policies: Arc<ArcSwap<PolicySet>>, source: Source, metrics: Arc<Metrics>) -> Self {
        Self { policies, source, metrics }
    }

    /// The bytes of the AdmissionReview that answers `body`, within `time`: what isn't decided by then is answered as the
    /// policies' `onInternalError` says, and so is a panic.
    ///
    /// # Errors
    ///
    /// The body is not an AdmissionReview, or has no uid.
    pub async fn answer(&self, webhook: Webhook, body: Bytes, time: Duration) -> Result<Vec<u8>, BadRequest> {
        self.answer_at(webhook, body, time, Timestamp::now()).await
    }

    /// The same, as if it were `now`.
    ///
    /// # Errors
    ///
    /// As [`Self::answer`].
    pub async fn answer_at(
        &self,
        webhook: Webhook,
        body: Bytes,
        time: Duration,
        now: Timestamp,
    ) -> Result<Vec<u8>, BadRequest> {
        let started = Instant::now();
        let policies = self.policies.load_full();
        let judge =
            Judge { policies: &policies, source: &self.source, metrics: &self.metrics, ticket: Ticket::new(time) };
        let (incoming, answer) = match Incoming::decode(&body) {
            Ok(incoming) => {
                let answer = judge.answer(webhook, &incoming, now).instrument(span(webhook, &incoming));
                let answer = tokio::time::timeout(time, AssertUnwindSafe(answer).catch_unwind()).await;
                let answer = answer.unwrap_or(Ok(Err(Failure::Deadline))).unwrap_or(Err(Failure::Panic));
                (incoming, answer)
            }
            Err(undecodable) => {
                let incoming = Incoming::bare(undecodable.uid.ok_or_else(|| BadRequest(undecodable.why.clone()))?);
                (incoming, Err(Failure::Undecodable(undecodable.why)))
            }
        };
        let answer = answer.unwrap_or_else(|failure| {
            span(webhook, &incoming).in_scope(|| judge.fail(policies.on_internal_error(), &failure))
        });
        self.tell(webhook, &incoming, &answer, started.elapsed());
        Ok(answer.encode(&incoming))
    }

    /// Counts the answer, and logs it as one line that stands by itself: outside the span, whose fields it has.
    fn tell(&self, webhook: Webhook, incoming: &Incoming<'_>, answer: &Answer, took: Duration) {
        let webhook = webhook.name();
        self.metrics.answered(webhook, incoming.operation.name(), answer.verdict(), took);
        tracing::info!(
            webhook,
            operation = incoming.operation.name(),
            kind = %plain(&incoming.kind.kind),
            namespace = %plain(&incoming.namespace),
            name = %plain(&incoming.name),
            uid = %plain(&incoming.uid),
            user = %plain(incoming.user_info.requester().username),
            dry_run = incoming.dry_run,
            verdict = answer.verdict(),
            policies = answer.annotation("policies"),
            violations = answer.annotation("violations"),
            patched = answer.is_patched(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "decided"
        );
    }
}

/// What is logged while a request is judged says which one. In JSON, a span's `name` is that of the span itself.
fn span(webhook: Webhook, incoming: &Incoming<'_>) -> Span {
    tracing::info_span!(
        "review",
        webhook = webhook.name(),
        operation = incoming.operation.name(),
        kind = &*incoming.kind.kind,
        namespace = &*incoming.namespace,
        object = &*incoming.name,
        uid = &*incoming.uid,
    )
}

#[cfg(test)]
mod tests;
