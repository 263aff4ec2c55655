//! What will follow of a request by the budget controller: the webhook itself has no side effects.

use std::sync::Arc;

use crate::budget::{Candidate, Kept, Wanted, desired};
use crate::facts::{Change, StatefulSet, Surroundings, Way};
use crate::plain::plain;
use crate::policy::{self, Policy};

/// The budget that will follow, where the request brings about one, or another than there is. What other StatefulSets of the
/// namespace there are isn't known here: one that shares their pods shares their budget.
pub(super) fn budget(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<String> {
    if change.way != Way::StatefulSet {
        return None;
    }
    let follows = kept(change.object, around, policies)?;
    let before = change.old.and_then(|old| kept(old.object, around, policies));
    if before.is_some_and(|before| before.terms.max_unavailable == follows.terms.max_unavailable) {
        return None;
    }
    let Kept { name, terms, .. } = follows;
    Some(format!(
        "PodDisruptionBudget {} (maxUnavailable {}) will follow (policy {})",
        plain(&name),
        terms.max_unavailable,
        terms.policy
    ))
}

fn kept(statefulset: &StatefulSet, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<Kept> {
    let terms = policy::budget(statefulset, policies);
    let candidate = Candidate { statefulset, terms: terms.as_ref() };
    let budgets: Vec<_> = around.budgets.values().map(Arc::as_ref).collect();
    match desired(&[candidate], &budgets).pop() {
        Some(Wanted::Budget(kept)) => Some(kept),
        _ => None,
    }
}
