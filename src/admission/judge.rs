//! From a decoded request to an answer: facts, surroundings, review; live reads before a denial.

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::decode::{Incoming, Operation, Written};
use super::response::Answer;
use super::{Failure, Webhook};
use crate::cluster::Source;
use crate::facts::{Evidence, Old, Request, StatefulSet, Surroundings};
use crate::mutate::{self, Injection};
use crate::policy::{OnInternalError, PolicySet};
use crate::review::{Decision, evaluate};
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
        let reviewed = matches!(incoming.operation, Operation::Create | Operation::Update) && incoming.is_statefulset();
        if !reviewed || !self.policies.governs(&incoming.namespace) {
            return Ok(Answer::not_reviewed());
        }
        let written = incoming.object.ok_or_else(|| Failure::Undecodable("there is no object".to_owned()))?;
        let object = facts(incoming, written)?;
        let old_object = match (incoming.operation, incoming.old_object) {
            (Operation::Update, Some(old)) => Some((facts(incoming, old)?, changes(written, old)?)),
            (Operation::Update, None) => return Err(Failure::Undecodable("an UPDATE without oldObject".to_owned())),
            _ => None,
        };
        let old = old_object.as_ref().map(|(object, (spec_changed, template_changed))| Old {
            object,
            spec_changed: *spec_changed,
            template_changed: *template_changed,
        });
        let request = Request { object: &object, old, dry_run: incoming.dry_run };
        let surroundings = self.source.surroundings(&object);
        match webhook {
            Webhook::Validate => self.validate(&request, surroundings, now).await,
            Webhook::Mutate => self.mutate(&request, surroundings, written).await,
        }
    }

    async fn validate(
        &self,
        request: &Request<'_>,
        (mut surroundings, unknown): (Surroundings, Evidence),
        now: Timestamp,
    ) -> Result<Answer, Failure> {
        let mut live = Evidence::NONE;
        let mut missing = unknown;
        let mut on_internal_error = self.policies.on_internal_error();
        loop {
            if let Err(error) = self.source.read(missing, request.object, &mut surroundings).await {
                return Ok(self.fail(on_internal_error, &error.into()));
            }
            live |= missing;
            let decision = evaluate(request, &surroundings, self.policies, now);
            missing = decision.denial_rests_on().without(live);
            if missing == Evidence::NONE {
                return Ok(self.decided(&decision));
            }
            on_internal_error = decision.on_internal_error();
        }
    }

    async fn mutate(
        &self,
        request: &Request<'_>,
        (mut surroundings, unknown): (Surroundings, Evidence),
        written: &RawValue,
    ) -> Result<Answer, Failure> {
        self.source.read(unknown, request.object, &mut surroundings).await?;
        let policies = self.policies.matching(&request.object.metadata, &surroundings.namespace);
        let Injection::Inject { new, all } = mutate::plan(request, &policies) else {
            return Ok(Answer::left_alone(&policies));
        };
        match mutate::patch(written.get(), &new, &all) {
            Ok((patch, _)) => Ok(Answer::patched(&policies, &patch)),
            Err(error) => {
                let failure = Failure::Patch(error);
                self.metrics.internal_error(failure.kind());
                tracing::error!(namespace = %surroundings.namespace.name, name = %request.object.metadata.name, %failure, "nothing is injected");
                Ok(Answer::left_alone(&policies))
            }
        }
    }

    fn decided(&self, decision: &Decision) -> Answer {
        for violation in &decision.violations {
            self.metrics.violation(violation.rule.name(), violation.action.name());
        }
        Answer::decided(decision)
    }

    /// The answer where Quorate itself failed, counted and logged.
    pub(super) fn fail(&self, on_internal_error: OnInternalError, failure: &Failure) -> Answer {
        self.metrics.internal_error(failure.kind());
        tracing::error!(%failure, "not decided");
        Answer::failed(on_internal_error, failure)
    }
}

/// The facts of an object; in the namespace of the request, where it names none itself.
fn facts(incoming: &Incoming<'_>, object: &RawValue) -> Result<StatefulSet, Failure> {
    let mut facts: StatefulSet =
        serde_json::from_str(object.get()).map_err(|error| Failure::Undecodable(error.to_string()))?;
    if facts.metadata.namespace.is_empty() {
        facts.metadata.namespace = incoming.namespace.clone().into_owned();
    }
    Ok(facts)
}

/// Whether the spec changes, and whether the pod template does.
fn changes(object: &RawValue, old: &RawValue) -> Result<(bool, bool), Failure> {
    let decode = |written| Written::decode(written).map_err(|error| Failure::Undecodable(error.to_string()));
    let (object, old) = (decode(object)?, decode(old)?);
    Ok((object.spec_differs(&old), object.template_differs(&old)))
}
