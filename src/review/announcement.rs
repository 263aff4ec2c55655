//! What will follow of a request by the budget controller: the webhook itself has no side effects.

use std::sync::Arc;

use crate::budget::{Apart, Candidate, Kept, Wanted, desired};
use crate::facts::{Change, StatefulSet, Surroundings, Way};
use crate::plain::plain;
use crate::policy::{self, Policy};

/// What the budget controller will do, where the request changes that.
pub(super) fn of(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>]) -> Vec<String> {
    if change.way != Way::StatefulSet {
        return Vec::new();
    }
    let Some(follows) = kept(change.object, around, policies) else { return Vec::new() };
    let mut notices: Vec<String> = budget(change, &follows, around, policies).into_iter().collect();
    notices.extend(shared(change, around));
    notices
}

/// The budget that will follow, where the request brings about one, or another than there is. One that shares its pods with
/// other StatefulSets of the namespace may share the budget of one of them.
fn budget(change: &Change<'_>, follows: &Kept, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<String> {
    let before = change.old.and_then(|old| kept(old.object, around, policies));
    if before.is_some_and(|before| before.terms.max_unavailable == follows.terms.max_unavailable) {
        return None;
    }
    let Kept { name, terms, .. } = follows;
    Some(format!(
        "PodDisruptionBudget {} (maxUnavailable {}) will follow (policy {})",
        plain(name),
        terms.max_unavailable,
        terms.policy
    ))
}

/// That others have the same labels, where a StatefulSet is created: its selector can't be changed later (L140).
fn shared(change: &Change<'_>, around: &Surroundings) -> Option<String> {
    if change.old.is_some() || around.neighbours.is_empty() {
        return None;
    }
    let others: Vec<_> = around.neighbours.iter().map(|name| plain(name).to_string()).collect();
    Some(format!(
        "the selectors of StatefulSet {} and StatefulSet {} select each other's pods, so that they share one \
         PodDisruptionBudget; give each a label of its own in spec.selector and spec.template",
        plain(&change.object.metadata.name),
        others.join(", ")
    ))
}

fn kept(statefulset: &StatefulSet, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<Kept> {
    let terms = policy::budget(statefulset, policies);
    let candidate = Candidate { statefulset, terms: terms.as_ref(), apart: Apart::No };
    let budgets: Vec<_> = around.budgets.values().map(Arc::as_ref).collect();
    match desired(&[candidate], &budgets).pop() {
        Some(Wanted::Budget(kept)) => Some(kept),
        _ => None,
    }
}
