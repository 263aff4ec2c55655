//! From a decoded request to an answer: facts, surroundings, review; live reads before a denial.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::Webhook;
use super::confirm::{Review, Unjudged};
use super::decode::Incoming;
use super::failure::Failure;
use super::response::Answer;
use super::subject::Subject;
use crate::cluster::{Kind, Question, ReadError, Source, Ticket};
use crate::facts::{Change, Evidence, Requester, Situation, StatefulSet};
use crate::mutate::{self, Injection, Mark, PatchError};
use crate::plain::plain;
use crate::policy::{OnInternalError, Policy, PolicySet};
use crate::review::{Decision, injection, unverified_owner};
use crate::telemetry::Metrics;

/// What one request is judged with.
pub(super) struct Judge<'a> {
    pub(super) policies: &'a PolicySet,
    pub(super) source: &'a Source,
    pub(super) metrics: &'a Metrics,
    pub(super) ticket: Ticket,
}

impl Judge<'_> {
    pub(super) async fn answer(
        &self,
        webhook: Webhook,
        incoming: &Incoming<'_>,
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        if !self.policies.governs(&incoming.namespace) {
            return Ok(Answer::not_reviewed());
        }
        let subject = Subject::of(webhook, incoming)?;
        if let (Some(subject), Some(kind)) = (&subject, self.source.short_of(&incoming.namespace))
            // What is deleted makes room. Nothing is known of it without the StatefulSets that it is for.
            && (!subject.way().removes() || kind == Kind::StatefulSets)
        {
            return Err(Failure::short_of(&incoming.namespace, kind));
        }
        match (webhook, subject) {
            (_, None) => Ok(Answer::not_reviewed()),
            (Webhook::Validate, Some(subject)) => self.validate(incoming, &subject, now).await,
            (Webhook::Mutate, Some(subject)) => self.mutate(incoming, &subject, now).await,
        }
    }

    async fn validate(&self, incoming: &Incoming<'_>, subject: &Subject, now: Timestamp) -> Result<Answer, Failure> {
        let (statefulsets, to_be_read) = subject.statefulsets(&incoming.namespace, self.source);
        let unknown = if to_be_read { Evidence::PARENT } else { Evidence::NONE };
        match (Review { judge: self, incoming, subject, now }).decide(&statefulsets, unknown).await {
            Ok(decision) => Ok(decision.as_ref().map_or_else(Answer::not_reviewed, Answer::decided)),
            Err(Unjudged::Failed(busy @ Failure::Busy(_))) => Err(busy),
            Err(Unjudged::Failed(failure)) => Ok(self.fail(self.policies.on_internal_error(), &failure)),
            Err(Unjudged::Unread((on_internal_error, error))) => Ok(self.fail(on_internal_error, &error.into())),
        }
    }

    async fn mutate(&self, incoming: &Incoming<'_>, subject: &Subject, now: Timestamp) -> Result<Answer, Failure> {
        let (Subject::StatefulSet { object, old, .. }, Some(written)) = (subject, incoming.object) else {
            return Ok(Answer::not_reviewed());
        };
        let (surroundings, mut unknown) = self.source.surroundings(object);
        if old.is_none() && self.source.may_adopt(object) {
            // It may adopt pods that run (L94).
            unknown |= Evidence::REVISIONS;
        }
        let mut situation = Situation { statefulset: Cow::Borrowed(&**object), surroundings };
        let question = Question { kinds: unknown, topology_keys: &BTreeSet::new() };
        if let Err(error) = self.source.read(question, &self.ticket, &mut situation).await {
            if !self.source.is_current(unknown) {
                return Err(error.into());
            }
            // Nobody may make reads fail to be left alone (L132): by now the caches know what there is, if not what it says.
            self.ticket.let_caches_catch_up().await;
            let (surroundings, unknown) = self.source.surroundings(object);
            if unknown != Evidence::NONE || self.source.has_left_revisions(object) {
                return Err(Failure::Busy(incoming.namespace.clone().into_owned()));
            }
            situation.surroundings = surroundings;
        }
        let runs_owner = self.runs_owner(incoming, object).await.map_err(Arc::new)?;
        let around = &situation.surroundings;
        let policies = self.policies.matching(&object.metadata, &around.namespace);
        let change = change(incoming, subject, object, runs_owner);
        let plan = injection(&change, around, &policies, now);
        let mark = Mark::of(&object.metadata, unverified_owner(&change, &around.namespace, self.policies));
        let edits = match &plan.injection {
            Injection::Inject { edits, record } => Some((edits, record)),
            Injection::Nothing if mark == Mark::Keep => return Ok(Answer::left_alone(&policies, plan.warnings)),
            Injection::Nothing => None,
        };
        match mutate::patch(written.get(), edits, mark) {
            Ok(patch) => Ok(Answer::patched(&policies, &patch, plan.warnings)),
            // Somebody may fill the annotations to keep the mark out.
            Err(PatchError::Annotations(bytes)) if matches!(mark, Mark::Set(_)) => {
                let failure = Failure::no_room_for_mark(bytes);
                self.metrics.internal_error(failure.kind());
                Ok(Answer::unreadable(true, &failure))
            }
            Err(error) => {
                let failure = Failure::Patch(error);
                self.metrics.internal_error(failure.kind());
                tracing::error!(failure = %plain(&failure.to_string()), "nothing is injected");
                Ok(Answer::left_alone(&policies, Vec::new()))
            }
        }
    }

    /// Whether the requester runs the StatefulSet's owner (L133), where any policy makes a difference of that.
    pub(super) async fn runs_owner(
        &self,
        incoming: &Incoming<'_>,
        statefulset: &StatefulSet,
    ) -> Result<bool, ReadError> {
        let requester = incoming.user_info.requester();
        let matters = |policy: &Arc<Policy>| policy.spec.selection.depends_on_owner(requester.username);
        if !self.policies.all().iter().any(matters) {
            return Ok(false);
        }
        self.source.runs_owner(requester, statefulset).await
    }

    /// Counts what one StatefulSet has to say.
    pub(super) fn count(&self, decision: &Decision) {
        for violation in &decision.violations {
            let action = if violation.exempt { "Exempt" } else { violation.action.name() };
            self.metrics.violation(violation.rule, action);
        }
    }

    /// The answer where Quorate itself failed, counted and logged.
    pub(super) fn fail(&self, on_internal_error: OnInternalError, failure: &Failure) -> Answer {
        self.metrics.internal_error(failure.kind());
        tracing::error!(failure = %plain(&failure.to_string()), "not decided");
        Answer::failed(on_internal_error, failure)
    }
}

pub(super) fn change<'a>(
    incoming: &'a Incoming<'_>,
    subject: &'a Subject,
    object: &'a StatefulSet,
    runs_owner: bool,
) -> Change<'a> {
    Change {
        way: subject.way(),
        object,
        old: subject.old(),
        dry_run: incoming.dry_run,
        requester: Some(Requester { runs_owner, ..incoming.user_info.requester() }),
    }
}
