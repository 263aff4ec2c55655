//! What several policies together want injected: one wish per topology key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AntiAffinityMode, OnExisting, Policy, TopologyKey, UserTerms, Weight, WhenInfeasible};

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

/// The anti-affinity terms that these policies want, merged per topology key and in the order of those: `Required` beats
/// `Preferred`, equals are settled by the policies' order, which is that of their names.
#[must_use]
pub fn placements(policies: &[Arc<Policy>]) -> Vec<Placement> {
    let mut merged: BTreeMap<&TopologyKey, Placement> = BTreeMap::new();
    for policy in policies {
        let mutate = &policy.spec.mutate;
        for wish in &mutate.pod_anti_affinity {
            if merged.get(&wish.topology_key).is_some_and(|placement| placement.mode >= wish.mode) {
                continue;
            }
            let placement = Placement {
                topology_key: wish.topology_key.clone(),
                mode: wish.mode,
                weight: wish.weight,
                when_infeasible: wish.when_infeasible,
                on_existing: mutate.on_existing,
                user_terms: mutate.user_terms,
                policy: policy.name.clone(),
            };
            merged.insert(&wish.topology_key, placement);
        }
    }
    merged.into_values().collect()
}
