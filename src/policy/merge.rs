//! What several policies together want injected: one wish of a kind per topology key.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{AntiAffinityMode, OnExisting, Policy, TopologyKey, UserTerms, Weight, WhenInfeasible, WhenUnsatisfiable};

/// A wish to keep the pods of a StatefulSet apart on one topology key, and the policy that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The node label whose values tell the domains apart.
    pub topology_key: TopologyKey,
    /// How strong.
    pub mode: AntiAffinityMode,
    /// The weight of a preferred term.
    pub weight: Weight,
    /// What to do where the cluster can't satisfy a required term.
    pub when_infeasible: WhenInfeasible,
    /// What to do about a required term for a set that exists already.
    pub on_existing: OnExisting,
    /// What to do where the user sets the list that it would be appended to.
    pub user_terms: UserTerms,
    /// The policy's name.
    pub policy: String,
}

/// A wish to spread the pods of a StatefulSet evenly over one topology key, and the policy that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spreading {
    /// The node label whose values tell the domains apart.
    pub topology_key: TopologyKey,
    /// By how many pods domains may differ.
    pub max_skew: NonZeroU32,
    /// How strong.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// What to do about a hard constraint for a set that exists already.
    pub on_existing: OnExisting,
    /// What to do where the user sets the list that it would be appended to.
    pub user_terms: UserTerms,
    /// The policy's name.
    pub policy: String,
}

/// The anti-affinity terms that these policies want, merged per topology key and in the order of those: `Required` beats
/// `Preferred`, equals are settled by the policies' order, which is that of their names.
#[must_use]
pub fn placements(policies: &[Arc<Policy>]) -> Vec<Placement> {
    let all = policies.iter().flat_map(|policy| {
        let mutate = &policy.spec.mutate;
        mutate.pod_anti_affinity.iter().map(|wish| Placement {
            topology_key: wish.topology_key.clone(),
            mode: wish.mode,
            weight: wish.weight,
            when_infeasible: wish.when_infeasible,
            on_existing: mutate.on_existing,
            user_terms: mutate.user_terms,
            policy: policy.name.clone(),
        })
    });
    strongest(all, |wish| &wish.topology_key, |wish| wish.mode)
}

/// The spread constraints that these policies want, merged per topology key and in the order of those: `DoNotSchedule` beats
/// `ScheduleAnyway`, then the smaller `maxSkew` wins, equals are settled by the policies' names.
#[must_use]
pub fn spreadings(policies: &[Arc<Policy>]) -> Vec<Spreading> {
    let all = policies.iter().flat_map(|policy| {
        let mutate = &policy.spec.mutate;
        mutate.topology_spread_constraints.iter().map(|wish| Spreading {
            topology_key: wish.topology_key.clone(),
            max_skew: wish.max_skew,
            when_unsatisfiable: wish.when_unsatisfiable,
            on_existing: mutate.on_existing,
            user_terms: mutate.user_terms,
            policy: policy.name.clone(),
        })
    });
    strongest(all, |wish| &wish.topology_key, |wish| (wish.when_unsatisfiable, Reverse(wish.max_skew)))
}

/// The strongest wish for each topology key; of equals the first.
fn strongest<W, S: Ord>(
    wishes: impl Iterator<Item = W>,
    key: impl Fn(&W) -> &TopologyKey,
    strength: impl Fn(&W) -> S,
) -> Vec<W> {
    let mut merged: BTreeMap<TopologyKey, W> = BTreeMap::new();
    for wish in wishes {
        if merged.get(key(&wish)).is_none_or(|other| strength(other) < strength(&wish)) {
            merged.insert(key(&wish).clone(), wish);
        }
    }
    merged.into_values().collect()
}
