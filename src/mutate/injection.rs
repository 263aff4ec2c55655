//! What to inject.

use std::sync::Arc;

use super::Injected;
use crate::facts::{Change, PodAffinityTerm, StatefulSet, TopologySpreadConstraint, WeightedPodAffinityTerm};
use crate::policy::{AntiAffinityMode, OnExisting, Placement, Policy, UserTerms, placements};

/// What is to be done to the pod template of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// Nothing: no policy asks for it, or it is all there.
    Nothing,
    /// Append what is new, and record all that is ours.
    Inject {
        /// What the template lacks.
        new: Injected,
        /// All that is ours, for the record.
        all: Injected,
    },
    /// Policies ask for it, but this request leaves the template alone, and nobody asked for a rollout (L65).
    Pending,
}

/// What these policies, which match the request's object, want done to its pod template.
#[must_use]
pub fn plan(change: &Change<'_>, policies: &[Arc<Policy>]) -> Injection {
    if change.object.metadata.terminating {
        return Injection::Nothing;
    }
    let recorded = change.old.map(|old| Injected::recorded(&old.object.metadata)).unwrap_or_default();
    if !recorded.is_empty() {
        return keep(change, recorded);
    }
    let wanted = wanted(change, policies);
    match change.old {
        _ if wanted.is_empty() => Injection::Nothing,
        Some(old) if !old.template_changed => Injection::Pending,
        _ => Injection::Inject { new: wanted.clone(), all: wanted },
    }
}

/// What the old object carried stays as it is: the same bytes (L26, L65).
fn keep(change: &Change<'_>, recorded: Injected) -> Injection {
    let lost = recorded.missing_from(&change.object.template);
    let still_recorded = Injected::recorded(&change.object.metadata) == recorded;
    if lost.is_empty() && still_recorded {
        return Injection::Nothing;
    }
    Injection::Inject { new: lost, all: recorded }
}

fn wanted(change: &Change<'_>, policies: &[Arc<Policy>]) -> Injected {
    let object = change.object;
    let mut wanted = Injected::default();
    // The API server rejects a StatefulSet whose selector is empty, and a term with one would be about every pod.
    if object.selector.is_empty() {
        return wanted;
    }
    for placement in placements(policies) {
        let mode = mode(change, &placement);
        if user_strength(object, placement.topology_key.as_str()) >= Some(mode) {
            continue;
        }
        let term = PodAffinityTerm {
            label_selector: Some(object.selector.clone()),
            topology_key: placement.topology_key.as_str().to_owned(),
            ..PodAffinityTerm::default()
        };
        let users = &object.template.pod_anti_affinity;
        let leave = placement.user_terms == UserTerms::Leave;
        match mode {
            AntiAffinityMode::Required if leave && !users.required.is_empty() => {}
            AntiAffinityMode::Required => wanted.required.push(term),
            AntiAffinityMode::Preferred if leave && !users.preferred.is_empty() => {}
            AntiAffinityMode::Preferred => wanted
                .preferred
                .push(WeightedPodAffinityTerm { weight: placement.weight.get(), pod_affinity_term: term }),
        }
    }
    wanted
}

/// The mode that is due: a hard term only on CREATE, for volumes pin the pods of what exists already (L63).
fn mode(change: &Change<'_>, placement: &Placement) -> AntiAffinityMode {
    match change.old {
        Some(_) if placement.on_existing == OnExisting::Soften => AntiAffinityMode::Preferred,
        _ => placement.mode,
    }
}

/// How strongly the user already spreads these pods on a topology key, by anti-affinity or by a spread constraint.
fn user_strength(object: &StatefulSet, topology_key: &str) -> Option<AntiAffinityMode> {
    let namespace = &object.metadata.namespace;
    let template = &object.template;
    // A term by the StatefulSet's own selector is about its pods also where the template's labels are yet to be put right.
    let about = |term: &PodAffinityTerm| {
        term.topology_key == topology_key
            && (term.is_about(namespace, &template.labels) || term.label_selector.as_ref() == Some(&object.selector))
    };
    let constraints = || {
        template
            .topology_spread_constraints
            .iter()
            .filter(|constraint| constraint.topology_key == topology_key && constraint.is_about(&template.labels))
    };
    let required = template.pod_anti_affinity.required.iter().any(about);
    if required || constraints().any(TopologySpreadConstraint::is_hard) {
        return Some(AntiAffinityMode::Required);
    }
    let preferred = template.pod_anti_affinity.preferred.iter().any(|term| about(&term.pod_affinity_term));
    (preferred || constraints().next().is_some()).then_some(AntiAffinityMode::Preferred)
}
