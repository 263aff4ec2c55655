//! StatefulSets that an operator owns and writes (L27).

use std::sync::Arc;

use crate::facts::Change;
use crate::policy::{OwnedByOperator, Policy};

/// The API groups of Kubernetes itself. Whoever owns a StatefulSet and is of none of them is somebody's custom resource.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

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
    let owned = change.object.metadata.controller.as_ref().is_some_and(|owner| {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        !BUILT_IN.contains(&group)
    });
    // Where nobody asks, as in an audit or over files, there is no person to escape.
    owned && change.requester.is_none_or(|requester| requester.is_service_account())
}
