//! Whether anything is injected at all: not into what an operator owns and writes, nor where its owner opted out.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Exemption, acting};
use crate::facts::{Change, Evidence, StatefulSet, Surroundings, Way};
use crate::mutate::{self, Beyond, Infeasible, Plan};
use crate::policy::Policy;
use crate::rules::{Action, Finding};

/// What these policies, which match the request's object, have injected into it.
#[must_use]
pub fn injection(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>], now: Timestamp) -> Plan {
    match stance(change, policies, now) {
        Stance::Inject(policies) => mutate::plan(change, around, &policies),
        // Whatever of ours is there may be removed: by its owner, and by us with the next change of the template.
        Stance::Disabled if change.old.is_none_or(|old| old.template_changed) => mutate::plan(change, around, &[]),
        Stance::Disabled | Stance::Owned => Plan::NOTHING,
    }
}

/// Whether a stored StatefulSet lacks something that these policies, which match it, want injected (L24).
#[must_use]
pub fn lacks_injection(object: &StatefulSet, around: &Surroundings, policies: &[Arc<Policy>], now: Timestamp) -> bool {
    let change = Change { way: Way::StatefulSet, object, old: None, dry_run: false, requester: None };
    !object.metadata.terminating && mutate::is_pending(object, around, &injecting(&change, policies, now))
}

/// The policies that inject into the object, if any.
pub(super) fn injecting(change: &Change<'_>, policies: &[Arc<Policy>], now: Timestamp) -> Vec<Arc<Policy>> {
    match stance(change, policies, now) {
        Stance::Inject(policies) => policies,
        Stance::Disabled | Stance::Owned => Vec::new(),
    }
}

enum Stance {
    /// These policies inject.
    Inject(Vec<Arc<Policy>>),
    /// An operator owns and writes the object, and would undo what we do to it (L27).
    Owned,
    /// The object's owner opted out, and every policy that injects allows it.
    Disabled,
}

fn stance(change: &Change<'_>, policies: &[Arc<Policy>], now: Timestamp) -> Stance {
    let acting = acting(change, policies);
    if acting.is_empty() && !policies.is_empty() {
        return Stance::Owned;
    }
    let policies = acting;
    let opted_out = Exemption::of(&change.object.metadata).filter(Exemption::disables_injection);
    let objects = |exemption: &Exemption| {
        policies.iter().any(|policy| injects(policy) && exemption.objection(policy, now).is_some())
    };
    if opted_out.is_some_and(|exemption| !objects(&exemption)) { Stance::Disabled } else { Stance::Inject(policies) }
}

/// Whether a policy injects anything.
pub(super) fn injects(policy: &Policy) -> bool {
    !policy.spec.mutate.pod_anti_affinity.is_empty() || !policy.spec.mutate.topology_spread_constraints.is_empty()
}

/// What a denial of an infeasible term says: `spec.replicas: 3 exceeds the 2 values of kubernetes.io/hostname on 2 Nodes that
/// fit; …`.
pub(super) fn denial(infeasible: &Infeasible) -> Finding {
    let Infeasible { topology_key, pods, autoscaler, nodes, values, .. } = infeasible;
    Finding {
        cause: "infeasible",
        action: Action::Deny,
        // What is live is what counts: Nodes come, claims and autoscalers come and go, and pods may be adopted.
        rests_on: Evidence::NODES | Evidence::CLAIMS | Evidence::AUTOSCALERS | Evidence::REVISIONS,
        remedy: format!(
            "set {} to {values} or fewer, or let more Nodes fit nodeSelector, affinity and tolerations",
            path(autoscaler.as_deref())
        ),
        ..exceeding(topology_key, *pods, autoscaler.as_deref(), *nodes, *values)
    }
}

/// The warning about growth beyond what a hard term of ours holds.
pub(super) fn warning(beyond: &Beyond) -> Finding {
    let Beyond { topology_key, pods, autoscaler, nodes, values } = beyond;
    let pending = usize::try_from(*pods).unwrap_or(0).saturating_sub(*values);
    Finding {
        remedy: format!("{pending} may stay Pending"),
        ..exceeding(topology_key, *pods, autoscaler.as_deref(), *nodes, *values)
    }
}

fn exceeding(topology_key: &str, pods: i32, autoscaler: Option<&str>, nodes: usize, values: usize) -> Finding {
    let field = match autoscaler {
        Some(name) => format!("{} of HorizontalPodAutoscaler {name}", path(autoscaler)),
        None => path(None).to_owned(),
    };
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    Finding {
        cause: "beyond",
        action: Action::Warn,
        field,
        observed: pods.to_string(),
        required: format!(
            "exceeds the {values} value{} of {topology_key} on {nodes} Node{} that fit{}",
            plural(values),
            plural(nodes),
            if nodes == 1 { "s" } else { "" }
        ),
        remedy: String::new(),
        degree: u32::try_from(pods).unwrap_or(0),
        rests_on: Evidence::NONE,
        absence: false,
    }
}

fn path(autoscaler: Option<&str>) -> &'static str {
    if autoscaler.is_some() { "spec.maxReplicas" } else { "spec.replicas" }
}
