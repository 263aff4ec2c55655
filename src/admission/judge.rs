//! From a decoded request to an answer: facts, surroundings, review; live reads before a denial.

use std::borrow::Cow;
use std::sync::Arc;

use jiff::Timestamp;

use super::Webhook;
use super::decode::Incoming;
use super::failure::Failure;
use super::response::Answer;
use super::subject::Subject;
use crate::cluster::{ReadError, Source};
use crate::facts::{Change, Evidence, Requester, Situation, StatefulSet};
use crate::mutate::{self, Injection, Mark, PatchError};
use crate::plain::plain;
use crate::policy::{OnInternalError, Policy, PolicySet};
use crate::review::{Decision, Verdict, evaluate, injection, unverified_owner};
use crate::telemetry::Metrics;

/// What one request is judged with.
pub(super) struct Judge<'a> {
    pub(super) policies: &'a PolicySet,
    pub(super) source: &'a Source,
    pub(super) metrics: &'a Metrics,
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
        match (webhook, Subject::of(webhook, incoming)?) {
            (_, None) => Ok(Answer::not_reviewed()),
            (Webhook::Validate, Some(subject)) => self.validate(incoming, &subject, now).await,
            (Webhook::Mutate, Some(subject)) => self.mutate(incoming, &subject, now).await,
        }
    }

    async fn validate(&self, incoming: &Incoming<'_>, subject: &Subject, now: Timestamp) -> Result<Answer, Failure> {
        let (statefulsets, to_be_read) = subject.statefulsets(&incoming.namespace, self.source);
        let unknown = if to_be_read { Evidence::PARENT } else { Evidence::NONE };
        let decide = |statefulset| self.decide(incoming, subject, statefulset, unknown, now);
        let decisions = futures::future::join_all(statefulsets.into_iter().map(decide)).await;
        let mut joined: Option<Decision> = None;
        for decision in decisions {
            match decision {
                Ok(Some(decision)) => {
                    joined = Some(match joined.take() {
                        Some(others) => others.join(decision),
                        None => decision,
                    });
                }
                Ok(None) => {}
                Err((on_internal_error, failure)) => return Ok(self.fail(on_internal_error, &failure)),
            }
        }
        Ok(joined.map_or_else(Answer::not_reviewed, |decision| self.decided(&decision)))
    }

    /// The decision about one StatefulSet; none where there is no such StatefulSet any more.
    async fn decide(
        &self,
        incoming: &Incoming<'_>,
        subject: &Subject,
        statefulset: Arc<StatefulSet>,
        unknown: Evidence,
        now: Timestamp,
    ) -> Result<Option<Decision>, (OnInternalError, Failure)> {
        let (mut surroundings, unknown_too) = self.source.surroundings(&statefulset);
        subject.narrow(&mut surroundings, &statefulset, self.source);
        let mut situation = Situation { statefulset: Cow::Borrowed(&*statefulset), surroundings };
        let mut missing = unknown | unknown_too;
        let mut live = Evidence::NONE;
        let mut on_internal_error = self.policies.on_internal_error();
        let mut runs_owner = None;
        loop {
            match self.source.read(missing, &mut situation).await {
                Ok(true) if subject.bears_on(&situation.statefulset) => {}
                Ok(_) => return Ok(None),
                Err(error) => return Err((on_internal_error, error.into())),
            }
            live |= missing;
            if missing.contains(Evidence::PARENT) || runs_owner.is_none() {
                runs_owner = Some(self.runs_owner(incoming, &situation.statefulset).await);
            }
            let decide = |runs_owner| {
                let change = change(incoming, subject, &situation.statefulset, runs_owner);
                evaluate(&change, &situation.surroundings, self.policies, now)
            };
            let decision = decide(matches!(runs_owner, Some(Ok(true))));
            missing = decision.denial_rests_on().without(live);
            if missing == Evidence::NONE {
                let denies = |decision: &Decision| decision.verdict() == Verdict::Deny;
                return match runs_owner {
                    // Who asks is not known, and of an operator this would not be denied.
                    Some(Err(error)) if denies(&decision) && !denies(&decide(true)) => {
                        Err((decision.on_internal_error(), error.into()))
                    }
                    _ => Ok(Some(decision)),
                };
            }
            on_internal_error = decision.on_internal_error();
        }
    }

    async fn mutate(&self, incoming: &Incoming<'_>, subject: &Subject, now: Timestamp) -> Result<Answer, Failure> {
        let (Subject::StatefulSet { object, old, .. }, Some(written)) = (subject, incoming.object) else {
            return Ok(Answer::not_reviewed());
        };
        let (surroundings, mut unknown) = self.source.surroundings(object);
        if old.is_none() && surroundings.has_claims() {
            // It may adopt pods that run (L94).
            unknown |= Evidence::REVISIONS;
        }
        let mut situation = Situation { statefulset: Cow::Borrowed(&**object), surroundings };
        self.source.read(unknown, &mut situation).await?;
        let runs_owner = self.runs_owner(incoming, object).await?;
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
                Ok(Answer::unreadable(Webhook::Validate, &failure))
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
    async fn runs_owner(&self, incoming: &Incoming<'_>, statefulset: &StatefulSet) -> Result<bool, ReadError> {
        let requester = incoming.user_info.requester();
        let matters = |policy: &Arc<Policy>| policy.spec.selection.depends_on_owner(requester.username);
        if !self.policies.all().iter().any(matters) {
            return Ok(false);
        }
        self.source.runs_owner(requester, statefulset).await
    }

    fn decided(&self, decision: &Decision) -> Answer {
        for violation in &decision.violations {
            let action = if violation.exempt { "Exempt" } else { violation.action.name() };
            self.metrics.violation(violation.rule, action);
        }
        Answer::decided(decision)
    }

    /// The answer where Quorate itself failed, counted and logged.
    pub(super) fn fail(&self, on_internal_error: OnInternalError, failure: &Failure) -> Answer {
        self.metrics.internal_error(failure.kind());
        tracing::error!(failure = %plain(&failure.to_string()), "not decided");
        Answer::failed(on_internal_error, failure)
    }
}

fn change<'a>(
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
