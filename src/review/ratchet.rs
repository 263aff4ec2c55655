//! The ratchet: what was there before is denied only where it gets worse, by degree (L25, L83).

use jiff::Timestamp;

use crate::facts::{Change, Way};
use crate::policy::Existing;
use crate::rules::{Action, Finding, Rule};

/// Fields that the API server lets nobody change after creation, so that nothing can be asked of an update about them (L8).
const FIXED_AT_CREATION: &[&str] = &["spec.serviceName", "spec.volumeClaimTemplates"];

/// What a violation is compared with.
pub(super) struct Ratchet<'a> {
    /// Whether an unchanged violation is denied too.
    pub(super) enforced: bool,
    /// What the same policy objected to before.
    pub(super) before: &'a [(Rule, Finding)],
    /// What it would object to, had only the number of replicas grown: that is never denied. Empty where it doesn't grow.
    pub(super) growth: &'a [(Rule, Finding)],
}

/// Whether a policy's time of grace is over.
pub(super) fn is_over(existing: Option<&Existing>, now: Timestamp) -> bool {
    existing.is_some_and(|existing| existing.enforce_after.is_over(now))
}

/// Whether a change is one that violations without a time of grace stop: it changes the StatefulSet's spec, and does more than
/// add replicas.
pub(super) fn is_enforceable(change: &Change<'_>, grows: bool) -> bool {
    match (change.way, change.old) {
        (Way::StatefulSet, Some(old)) => old.template_changed || !grows,
        (Way::Scale { replicas }, _) => !grows && replicas != change.object.replicas,
        _ => false,
    }
}

impl Ratchet<'_> {
    /// What is left of the action that a finding would lead to on creation.
    pub(super) fn ease(&self, action: Action, rule: Rule, finding: &Finding) -> Action {
        let can_be_updated = !FIXED_AT_CREATION.contains(&finding.field.as_str());
        let was = degree_among(self.before, rule, finding);
        if was.is_none_or(|was| finding.degree > was) {
            let comes_with_growth =
                degree_among(self.growth, rule, finding).is_some_and(|grown| finding.degree <= grown);
            return if comes_with_growth { action.min(Action::Warn) } else { action };
        }
        if was == Some(finding.degree) && self.enforced && can_be_updated {
            return action;
        }
        action.min(Action::Warn)
    }
}

/// The degree of the same violation among others. Replicas are the same whoever decides on them: the StatefulSet's own field, or
/// an autoscaler's (L80).
fn degree_among(findings: &[(Rule, Finding)], rule: Rule, finding: &Finding) -> Option<u32> {
    let is_same =
        |other: &Finding| other.cause == finding.cause && (other.field == finding.field || rule == Rule::Replicas);
    findings.iter().find(|(other, was)| *other == rule && is_same(was)).map(|(_, was)| was.degree)
}
