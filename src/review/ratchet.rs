//! The ratchet: what was there before is denied only where it gets worse, by degree (L25, L83).

use jiff::Timestamp;

use crate::facts::{Change, Way};
use crate::policy::Existing;
use crate::rules::{Action, Finding, Rule};

/// Fields that the API server lets nobody change after creation, so that nothing can be asked of an update about them (L8).
const FIXED_AT_CREATION: &[&str] = &["spec.serviceName", "spec.volumeClaimTemplates"];

/// What a violation is compared with.
pub(super) struct Ratchet<'a> {
    /// Whether there will be more replicas than before, which is never denied.
    pub(super) grows: bool,
    /// Whether an unchanged violation is denied too.
    pub(super) enforced: bool,
    /// What the same policy objected to before.
    pub(super) before: &'a [(Rule, Finding)],
}

/// Whether a policy's time of grace is over for a change: only those that change the StatefulSet's spec are concerned.
pub(super) fn is_enforced(existing: Option<&Existing>, change: &Change<'_>, now: Timestamp) -> bool {
    matches!(change.way, Way::StatefulSet | Way::Scale { .. })
        && existing.is_some_and(|existing| existing.enforce_after.is_over(now))
}

impl Ratchet<'_> {
    /// What is left of the action that a finding would lead to on creation.
    pub(super) fn ease(&self, action: Action, rule: Rule, finding: &Finding) -> Action {
        let was = self
            .before
            .iter()
            .find(|(other, was)| *other == rule && was.cause == finding.cause && was.field == finding.field)
            .map(|(_, was)| was.degree);
        let can_be_updated = !FIXED_AT_CREATION.contains(&finding.field.as_str());
        match was {
            _ if self.grows && rule == Rule::Replicas => action.min(Action::Warn),
            None => action,
            Some(degree) if finding.degree > degree => action,
            Some(degree) if finding.degree == degree && self.enforced && can_be_updated => action,
            Some(_) => action.min(Action::Warn),
        }
    }
}
