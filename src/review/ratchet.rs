//! The ratchet: an update is denied only for what it makes worse, by degree (L25, L83).

use jiff::Timestamp;

use crate::facts::{Old, StatefulSet};
use crate::policy::Existing;
use crate::rules::{Action, Finding, Rule};

/// Fields that the API server lets nobody change after creation, so that nothing can be asked of an update about them (L8).
const FIXED_AT_CREATION: &[&str] = &["spec.serviceName", "spec.volumeClaimTemplates"];

/// How a violation stands to what was there before.
enum Change {
    Worse,
    Same,
    Smaller,
}

/// The action that is left of `action` for a finding on an update.
#[expect(clippy::too_many_arguments, reason = "each is one fact of the comparison, and there is one caller")]
pub(super) fn ease(
    action: Action,
    rule: Rule,
    finding: &Finding,
    object: &StatefulSet,
    old: Old<'_>,
    before: &[(Rule, Finding)],
    existing: Option<&Existing>,
    now: Timestamp,
) -> Action {
    let was = before
        .iter()
        .find(|(other, was)| *other == rule && was.cause == finding.cause && was.field == finding.field)
        .map(|(_, was)| was.degree);
    let grows = rule == Rule::Replicas && object.replicas > old.object.replicas;
    let change = match was {
        _ if grows => Change::Smaller,
        None => Change::Worse,
        Some(degree) if finding.degree > degree => Change::Worse,
        Some(degree) if finding.degree == degree => Change::Same,
        Some(_) => Change::Smaller,
    };
    let enforced = || {
        existing.is_some_and(|existing| existing.enforce_after.is_over(now))
            && !FIXED_AT_CREATION.contains(&finding.field)
    };
    match change {
        Change::Worse => action,
        Change::Same if enforced() => action,
        Change::Same | Change::Smaller => action.min(Action::Warn),
    }
}
