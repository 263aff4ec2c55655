//! StatefulSets that an operator owns and writes (L27).

use crate::facts::{Change, Owner};

/// Whether an operator owns the StatefulSet and a program makes the request. A person's own request is judged as any other,
/// so that nobody escapes by an ownerReference.
pub(super) fn is_operators(change: &Change<'_>) -> bool {
    let owned = change.object.metadata.controller.as_ref().is_some_and(Owner::is_operator);
    // Where nobody asks, as in an audit or over files, there is no person to escape.
    owned && change.requester.is_none_or(|requester| requester.is_service_account())
}
