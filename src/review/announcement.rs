//! What will follow of a request by others: the budget controller, and an autoscaler. The webhook itself has no side effects.

use std::sync::Arc;

use crate::budget::{Apart, Candidate, Coverage, Kept, Wanted, coverage, desired};
use crate::facts::{Autoscaler, Budget, Change, StatefulSet, Surroundings, Way};
use crate::plain::plain;
use crate::policy::{self, Policy};
use crate::rules::Action;

/// What others will do, where the request changes that.
pub(super) fn of(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>]) -> Vec<String> {
    match change.way {
        Way::StatefulSet => {}
        Way::Autoscaler { .. } => return raised(change, around, policies).into_iter().collect(),
        Way::Budget { new, .. } => return withdrawn(change, new, around, policies).into_iter().collect(),
        Way::Scale { .. } | Way::Service { .. } => return Vec::new(),
    }
    let mut notices: Vec<String> = raised(change, around, policies).into_iter().collect();
    if let Some(follows) = kept(change.object, around, policies) {
        notices.extend(budget(change, &follows, around, policies));
        notices.extend(shared(change, around));
    }
    notices
}

/// That too few replicas are let pass because an autoscaler will raise them that has an owner: the garbage collector may delete it
/// before it does, and its deletions have to pass (L135).
fn raised(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<String> {
    let Change { object, old, .. } = change;
    let leans = |autoscaler: &Autoscaler| autoscaler.is_owned && autoscaler.targets(object);
    let (about, autoscaler) = match change.way {
        Way::Autoscaler { old, new: Some(new) } if !old.is_some_and(|old| leans(old)) => {
            (format!("StatefulSet {}: ", plain(&object.metadata.name)), &**new)
        }
        Way::StatefulSet if old.is_none_or(|old| object.replicas < old.object.replicas) => {
            (String::new(), around.autoscalers_of(object).min_by_key(|autoscaler| autoscaler.min_replicas)?)
        }
        _ => return None,
    };
    let asks = |policy: &Arc<Policy>| {
        let replicas = policy.spec.validate.replicas.as_ref().filter(|replicas| replicas.action >= Action::Warn)?;
        Some((i32::try_from(replicas.minimum.get()).unwrap_or(i32::MAX), policy.name.clone()))
    };
    let (minimum, policy) = policies.iter().filter_map(asks).max_by_key(|(minimum, _)| *minimum)?;
    let own = object.replicas;
    ((1..minimum).contains(&own) && leans(autoscaler) && autoscaler.min_replicas >= minimum).then(|| {
        format!(
            "{about}spec.replicas: {own} is below the minimum {minimum} until HorizontalPodAutoscaler {} raises it, which \
             the garbage collector may delete with its owner; set spec.replicas to {minimum} or more (policy {})",
            plain(&autoscaler.name),
            plain(&policy)
        )
    })
}

/// That our budget will go for somebody's that protects less: of two on the same pods, none could be evicted any more (L51).
fn withdrawn(change: &Change<'_>, theirs: &Budget, around: &Surroundings, policies: &[Arc<Policy>]) -> Option<String> {
    let (statefulset, replicas) = (change.object, change.object.replicas);
    let allowed = theirs.limit.disruptions_allowed(replicas);
    let ours = policy::budget(statefulset, policies).ok()?;
    let protects = match coverage(theirs.selector.as_ref(), statefulset) {
        Coverage::CoversSome(pods) if !theirs.ours => format!("selects {pods} of its {replicas} pods only"),
        Coverage::Covers if !theirs.ours && allowed > ours.max_unavailable.of(replicas) => {
            format!("lets {allowed} of its {replicas} pods be evicted")
        }
        _ => return None,
    };
    let ours = kept(statefulset, &change.before(around)?.surroundings, policies)?;
    kept(statefulset, &change.after(around).surroundings, policies).is_none().then(|| {
        format!(
            "PodDisruptionBudget {} of StatefulSet {} will go, as PodDisruptionBudget {} {protects} (policy {})",
            plain(&ours.name),
            plain(&statefulset.metadata.name),
            plain(&theirs.name),
            plain(&ours.terms.policy)
        )
    })
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
