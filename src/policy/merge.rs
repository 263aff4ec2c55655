//! What several policies together want: injected, one wish of a kind per topology key; and of the budget.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use super::{
    AntiAffinityMode, MaxUnavailable, OnExisting, OwnedByOperator, Policy, TopologyKey, UserTerms, Weight,
    WhenInfeasible, WhenUnsatisfiable,
};
use crate::budget::{Reason, Terms, quorum};
use crate::facts::{Amount, StatefulSet};

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

/// What these policies, which match the StatefulSet, want of its budget: the smaller `maxUnavailable` at its current replicas
/// wins, equals are settled by the policies' order, which is that of their names.
///
/// # Errors
///
/// They want none, and why.
pub fn budget(statefulset: &StatefulSet, policies: &[Arc<Policy>]) -> Result<Terms, Reason> {
    let operators = statefulset.metadata.is_operators();
    let replicas = statefulset.replicas.max(1);
    let mut reason = Reason::NotAsked;
    let mut strictest: Option<Terms> = None;
    for policy in policies {
        let Some(asked) = &policy.spec.pod_disruption_budget else { continue };
        if operators && policy.spec.selection.owned_by_operator == OwnedByOperator::Warn {
            reason = Reason::Operators;
            continue;
        }
        let max_unavailable = asked.max_unavailable.amount(replicas);
        if strictest.as_ref().is_none_or(|terms| max_unavailable.of(replicas) < terms.max_unavailable.of(replicas)) {
            strictest = Some(Terms {
                max_unavailable,
                unhealthy_pod_eviction_policy: asked.unhealthy_pod_eviction_policy,
                policy: policy.name.clone(),
            });
        }
    }
    strictest.ok_or(reason)
}

impl MaxUnavailable {
    /// The amount that this is for so many replicas.
    fn amount(self, replicas: i32) -> Amount {
        match self {
            Self::Quorum => Amount::Pods(quorum(replicas)),
            Self::Pods(pods) => Amount::Pods(i32::try_from(pods).unwrap_or(i32::MAX)),
            Self::Percent(percent) => Amount::Percent(i32::from(percent)),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::policy::Spec;

    fn policy(name: &str, spec: Value) -> Arc<Policy> {
        let spec: Spec = from_value(spec).unwrap();
        Arc::new(Policy { name: name.to_owned(), spec })
    }

    fn asks(name: &str, max_unavailable: impl Into<Value>) -> Arc<Policy> {
        let max_unavailable = max_unavailable.into();
        policy(name, json!({"podDisruptionBudget": {"maxUnavailable": max_unavailable}}))
    }

    fn statefulset(replicas: i32, owner: Option<&str>) -> StatefulSet {
        let owner =
            owner.map(|api_version| json!([{"apiVersion": api_version, "kind": "X", "name": "x", "controller": true}]));
        from_value(json!({"metadata": {"name": "db", "ownerReferences": owner}, "spec": {"replicas": replicas}}))
            .unwrap()
    }

    #[rstest]
    #[case::quorum_of_five(&[asks("a", "Quorum")], 5, Amount::Pods(2), "a")]
    #[case::the_smaller_wins(&[asks("a", "Quorum"), asks("b", 1)], 5, Amount::Pods(1), "b")]
    #[case::smaller_at_these_replicas(&[asks("a", "20%"), asks("b", 2)], 5, Amount::Percent(20), "a")]
    #[case::larger_at_those(&[asks("a", "20%"), asks("b", 2)], 20, Amount::Pods(2), "b")]
    #[case::equals_by_name(&[asks("a", "50%"), asks("b", 2)], 4, Amount::Percent(50), "a")]
    #[case::silent_ones_do_not_count(&[policy("a", json!({})), asks("b", 3)], 4, Amount::Pods(3), "b")]
    fn the_strictest_policy_decides(
        #[case] policies: &[Arc<Policy>],
        #[case] replicas: i32,
        #[case] amount: Amount,
        #[case] name: &str,
    ) {
        let terms = budget(&statefulset(replicas, None), policies).unwrap();
        assert_eq!((terms.max_unavailable, terms.policy.as_str()), (amount, name));
    }

    #[test]
    fn what_an_operator_owns_gets_one_only_where_a_policy_enforces_l27() {
        let enforcing =
            policy("b", json!({"match": {"ownedByOperator": "Enforce"}, "podDisruptionBudget": {"maxUnavailable": 2}}));
        let owned = statefulset(5, Some("acid.zalan.do/v1"));
        assert_eq!(budget(&owned, &[asks("a", 1)]), Err(Reason::Operators));
        assert_eq!(budget(&owned, &[asks("a", 1), enforcing]).unwrap().policy, "b");
        assert!(budget(&statefulset(5, Some("apps/v1")), &[asks("a", 1)]).is_ok());
        assert_eq!(budget(&statefulset(5, None), &[]), Err(Reason::NotAsked));
    }
}
