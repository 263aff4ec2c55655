//! StatefulSets that an operator owns and writes (L27).

use std::sync::Arc;

use crate::facts::{Change, Owner};
use crate::policy::{OwnedByOperator, Policy};

/// Whether a policy only warns about what this change does, as an operator owns the StatefulSet and writes it.
pub(super) fn spares(policy: &Policy, change: &Change<'_>) -> bool {
    policy.spec.selection.owned_by_operator == OwnedByOperator::Warn && is_operators(change)
}

/// The policies that do something for the StatefulSet by themselves: those that don't leave it to its operator.
#[must_use]
pub fn acting(change: &Change<'_>, policies: &[Arc<Policy>]) -> Vec<Arc<Policy>> {
    policies.iter().filter(|policy| !spares(policy, change)).cloned().collect()
}

/// Whether an operator owns the StatefulSet and a program makes the request. A person's own request is judged as any other,
/// so that nobody escapes by an ownerReference.
fn is_operators(change: &Change<'_>) -> bool {
    let owned = change.object.metadata.controller.as_ref().is_some_and(Owner::is_operator);
    // Where nobody asks, as in an audit or over files, there is no person to escape.
    owned && change.requester.is_none_or(|requester| requester.is_service_account())
}
