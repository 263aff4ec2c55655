//! AdmissionReview in, AdmissionResponse out.
//!
//! Strict in what it sends, lenient in what it takes (L2, L10): whatever has a uid gets an answer with that uid, also where
//! the object can't be decoded, the deadline passes, or our own code panics. This module decides nothing itself.

mod census;
mod confirm;
mod decode;
mod failure;
mod head;
mod judge;
mod member;
mod response;
mod subject;
mod turns;
mod weight;

pub(crate) use weight::{Count, count};

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::FutureExt;
use jiff::Timestamp;
use tracing::{Instrument as _, Span};

use self::decode::{Incoming, Operation};
use self::failure::Failure;
use self::judge::Judge;
use self::response::Answer;
use self::turns::{Crowded, Turns};
use crate::cluster::{Source, Ticket};
use crate::plain::plain;
use crate::policy::{Policy, PolicySet};
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
    turns: Turns,
}

/// Who has computed, or waited to compute, for less than that did not run out of time by it.
const AT_WORK: Duration = Duration::from_millis(100);

/// Why a review is answered without being judged, and so not even read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is longer than what is read.
    TooLong {
        /// How many bytes of it came.
        bytes: usize,
        /// How many are read at most.
        most: usize,
    },
    /// There is no room for it now, for any namespace.
    NoRoom,
    /// Its namespace has no more of the room there is.
    NoShare,
}

impl Admission {
    /// Answers by these policies, with surroundings from this source.
    #[must_use]
    pub fn new(policies: Arc<ArcSwap<PolicySet>>, source: Source, metrics: Arc<Metrics>) -> Self {
        // As many as the runtime has threads.
        let turns = Turns::new(available_parallelism().map_or(1, usize::from));
        Self { policies, source, metrics, turns }
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
        let in_utf8;
        let decoded = match Incoming::decode(&body) {
            // The API server passes some JSON on as it was sent. It replaces what is no UTF-8 in all other, too.
            Err(_) if std::str::from_utf8(&body).is_err() => {
                in_utf8 = String::from_utf8_lossy(&body).into_owned();
                Incoming::decode(in_utf8.as_bytes())
            }
            decoded => decoded,
        };
        let (incoming, answer) = match decoded {
            Ok(incoming) => {
                let answer = self.in_turn(webhook, &judge, &incoming, time, now).await;
                (incoming, answer)
            }
            Err(undecodable) => {
                let incoming = Incoming::bare(undecodable.uid.ok_or_else(|| BadRequest(undecodable.why.clone()))?);
                (incoming, Err(Failure::Undecodable(undecodable.why)))
            }
        };
        let answer = answer
            .unwrap_or_else(|failure| span(webhook, &incoming).in_scope(|| self.not_judged(webhook, &judge, &failure)));
        self.tell(webhook, &incoming, &answer, started.elapsed());
        Ok(answer.encode(&incoming))
    }

    /// What is decided once it is the namespace's turn, and again after each wait for something else.
    async fn in_turn(
        &self,
        webhook: Webhook,
        judge: &Judge<'_>,
        incoming: &Incoming<'_>,
        time: Duration,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let answer = judge.answer(webhook, incoming, now).instrument(span(webhook, incoming));
        let answer = pin!(AssertUnwindSafe(answer).catch_unwind());
        let mut answer = self.turns.taking(&incoming.namespace, answer);
        let busy = || Failure::Busy(incoming.namespace.clone().into_owned());
        match tokio::time::timeout(time, &mut answer).await {
            Ok(Ok(answer)) => answer.unwrap_or(Err(Failure::Panic)),
            Ok(Err(Crowded)) => Err(busy()),
            // Its own namespace kept it waiting, or holds so much that it takes too long: to admit it would reward that.
            Err(_) if answer.waits_for_a_turn() || answer.busy() >= (time / 4).max(AT_WORK) => Err(busy()),
            Err(_) => Err(Failure::Deadline),
        }
    }

    /// The namespace that a review is about, by its beginning; empty where that does not say.
    #[must_use]
    pub fn namespace(&self, beginning: &[u8]) -> String {
        head::namespace(beginning)
    }

    /// The answer to a review of which only the beginning was read; `None` where that does not say what is asked. A deletion
    /// passes, and so does what is not governed.
    #[must_use]
    pub fn refuse(&self, webhook: Webhook, beginning: &[u8], refusal: Refusal) -> Option<Vec<u8>> {
        let started = Instant::now();
        let incoming = head::head(beginning)?;
        let policies = self.policies.load_full();
        let judge = Judge {
            policies: &policies,
            source: &self.source,
            metrics: &self.metrics,
            ticket: Ticket::new(Duration::ZERO),
        };
        let passes = incoming.operation == Operation::Delete || !policies.governs(&incoming.namespace);
        let failure = match refusal {
            Refusal::TooLong { bytes, most } => Failure::too_long(bytes, most),
            Refusal::NoRoom => Failure::Full,
            Refusal::NoShare => Failure::Busy(incoming.namespace.clone().into_owned()),
        };
        let answer = if passes { Answer::not_reviewed() } else { self.not_judged(webhook, &judge, &failure) };
        self.tell(webhook, &incoming, &answer, started.elapsed());
        Some(answer.encode(&incoming))
    }

    /// The answer where nothing was judged. `onInternalError` is about Quorate's own failures: what a requester can bring about
    /// lets nothing pass.
    fn not_judged(&self, webhook: Webhook, judge: &Judge<'_>, failure: &Failure) -> Answer {
        match failure {
            Failure::Unreadable { .. } | Failure::Busy(_) | Failure::Full => {
                self.metrics.internal_error(failure.kind());
                tracing::warn!(failure = %plain(&failure.to_string()), "not judged");
            }
            _ => return judge.fail(judge.policies.on_internal_error(), failure),
        }
        // Policies that only warn and record deny nothing, this included; nor is one sent away who would have been let pass.
        let has = |what: fn(&Policy) -> bool| judge.policies.all().iter().any(|policy| what(policy));
        match (failure, webhook) {
            (Failure::Busy(_) | Failure::Full, Webhook::Validate) if has(Policy::denies) => Answer::busy(failure),
            (Failure::Busy(_) | Failure::Full, Webhook::Mutate) if has(Policy::mutates) => Answer::busy(failure),
            (_, Webhook::Validate) => Answer::unreadable(has(Policy::denies), failure),
            (_, Webhook::Mutate) => Answer::unreadable(false, failure),
        }
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
