//! What several policies together want injected: one wish per topology key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{AntiAffinityMode, Policy, TopologyKey, UserTerms, WhenInfeasible, WhenUnsatisfiable};

/// A wish to spread the pods of a StatefulSet on one topology key, and the policy that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The node label whose values tell the domains apart.
    pub topology_key: TopologyKey,
    /// How.
    pub spreading: Spreading,
    /// What to do where the user sets the list that it would be appended to.
    pub user_terms: UserTerms,
    /// The policy's name.
    pub policy: String,
}

/// How to spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spreading {
    /// A preferred anti-affinity term of this weight.
    Preferred(i32),
    /// A required anti-affinity term.
    Required(WhenInfeasible),
    /// A topology spread constraint.
    Constraint {
        /// By how many pods domains may differ.
        max_skew: i32,
        /// How strong.
        when_unsatisfiable: WhenUnsatisfiable,
    },
}

/// The anti-affinity terms that these policies want, merged per topology key and in the order of those: `Required` beats
/// `Preferred`, equals are settled by the policies' order, which is that of their names.
#[must_use]
pub fn placements(policies: &[Arc<Policy>]) -> Vec<Placement> {
    let mut merged: BTreeMap<&TopologyKey, (AntiAffinityMode, Placement)> = BTreeMap::new();
    for policy in policies {
        for wish in &policy.spec.mutate.pod_anti_affinity {
            if merged.get(&wish.topology_key).is_some_and(|(mode, _)| *mode >= wish.mode) {
                continue;
            }
            let spreading = match wish.mode {
                AntiAffinityMode::Preferred => Spreading::Preferred(wish.weight.get()),
                AntiAffinityMode::Required => Spreading::Required(wish.when_infeasible),
            };
            let placement = Placement {
                topology_key: wish.topology_key.clone(),
                spreading,
                user_terms: policy.spec.mutate.user_terms,
                policy: policy.name.clone(),
            };
            merged.insert(&wish.topology_key, (wish.mode, placement));
        }
    }
    merged.into_values().map(|(_, placement)| placement).collect()
}
