//! What is to be written, and told, to bring a namespace from what it holds to what it shall hold.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::budget::{Kept, Reason, Wanted};
use crate::facts::{Budget, StatefulSet, budget_name};

/// What is to be done about one StatefulSet or budget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Delete a budget of ours.
    Delete {
        budget: Budget,
        /// Its StatefulSet, where that is still there.
        statefulset: Option<Arc<StatefulSet>>,
        /// Why; absent where its StatefulSet is another by now.
        reason: Option<Reason>,
    },
    /// Make of a budget of ours that is being deleted, and that somebody's finalizers hold, what it shall be; where there shall
    /// be none, have it select nothing.
    Correct {
        budget: Budget,
        /// Its StatefulSet, where that is still there.
        statefulset: Option<Arc<StatefulSet>>,
        kept: Option<Kept>,
    },
    /// Say what holds a budget that is being deleted.
    Held { statefulset: Arc<StatefulSet>, budget: Budget },
    /// Make a budget of ours what it shall be.
    Apply { statefulset: Arc<StatefulSet>, kept: Kept, uid: String },
    /// Make a budget.
    Create { statefulset: Arc<StatefulSet>, kept: Kept },
    /// Say that the budget's name is taken by somebody else's.
    Taken { statefulset: Arc<StatefulSet>, name: String },
    /// Say whose budget it shares.
    Shared { statefulset: Arc<StatefulSet>, reason: Reason },
    /// Say that somebody else's budget lets no pod go though all are ready (L57).
    Stuck { statefulset: Arc<StatefulSet>, by: String },
}

/// The steps, deletions and corrections first: no pod may have two budgets.
pub(super) fn plan(statefulsets: &[Arc<StatefulSet>], wanted: &[Wanted], budgets: &[impl Borrow<Budget>]) -> Vec<Step> {
    let budgets = || budgets.iter().map(Borrow::borrow);
    let by_name: BTreeMap<&str, &Budget> = budgets().map(|budget| (budget.name.as_str(), budget)).collect();
    let (mut deletions, mut repairs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut looked_after = Vec::new();
    for (statefulset, wanted) in statefulsets.iter().zip(wanted) {
        let statefulset = Arc::clone(statefulset);
        let name = budget_name(&statefulset.metadata.name);
        let budget = by_name.get(name.as_str()).copied();
        let ours = budget.filter(|budget| budget.is_quorates());
        match (wanted, ours, budget) {
            (wanted, Some(ours), _) if ours.terminating => {
                let about = Some(&statefulset);
                deletions.extend(match wanted {
                    Wanted::Budget(kept) => (!kept.is(ours)).then(|| correct(ours, about, Some(kept))),
                    Wanted::None(Reason::Terminating) => blocks(ours, &statefulset).then(|| correct(ours, about, None)),
                    Wanted::None(_) => ours.selector.is_some().then(|| correct(ours, about, None)),
                });
                if !ours.finalizers.is_empty() && !statefulset.metadata.terminating {
                    others.push(Step::Held { statefulset, budget: ours.clone() });
                }
            }
            (_, Some(ours), _) if belongs_to_another(ours, &statefulset) => {
                deletions.push(Step::Delete { budget: ours.clone(), statefulset: Some(statefulset), reason: None });
            }
            (Wanted::Budget(kept), Some(ours), _) => {
                if ours.orphaned || !kept.is(ours) {
                    repairs.push(Step::Apply { statefulset, kept: kept.clone(), uid: ours.uid.clone() });
                }
            }
            (Wanted::Budget(_), None, Some(_)) => others.push(Step::Taken { statefulset, name: name.clone() }),
            (Wanted::Budget(kept), None, None) => others.push(Step::Create { statefulset, kept: kept.clone() }),
            // What is being deleted keeps its budget to the end, unless somebody had that block everything; the garbage
            // collector takes it along.
            (Wanted::None(Reason::Terminating), Some(ours), _) if blocks(ours, &statefulset) => {
                deletions.push(correct(ours, Some(&statefulset), None));
            }
            (Wanted::None(Reason::Terminating), _, _) => {}
            (Wanted::None(reason), ours, _) => {
                if let Some(ours) = ours {
                    let (budget, reason) = (ours.clone(), Some(reason.clone()));
                    deletions.push(Step::Delete { budget, statefulset: Some(Arc::clone(&statefulset)), reason });
                }
                match reason {
                    Reason::Shares { .. } => others.push(Step::Shared { statefulset, reason: reason.clone() }),
                    Reason::Covered { by } if by_name.get(by.as_str()).is_some_and(|it| is_stuck(it, &statefulset)) => {
                        others.push(Step::Stuck { statefulset, by: by.clone() });
                    }
                    _ => {}
                }
            }
        }
        looked_after.push(name);
    }
    looked_after.sort_unstable();
    let left = budgets().filter(|budget| budget.is_quorates());
    let left = left.filter(|budget| looked_after.binary_search(&budget.name).is_err());
    deletions.extend(left.filter_map(|budget| {
        if budget.terminating {
            budget.selector.is_some().then(|| correct(budget, None, None))
        } else {
            Some(Step::Delete { budget: budget.clone(), statefulset: None, reason: None })
        }
    }));
    [deletions, repairs, others].concat()
}

fn correct(budget: &Budget, statefulset: Option<&Arc<StatefulSet>>, kept: Option<&Kept>) -> Step {
    Step::Correct { budget: budget.clone(), statefulset: statefulset.cloned(), kept: kept.cloned() }
}

/// Whether a budget lets none of the StatefulSet's pods go, which none of ours does unless somebody edits it.
fn blocks(budget: &Budget, statefulset: &StatefulSet) -> bool {
    budget.selector.is_some() && statefulset.replicas > 0 && budget.limit.disruptions_allowed(statefulset.replicas) == 0
}

/// Whether the budget is a former StatefulSet's of the same name, with which the garbage collector will delete it.
fn belongs_to_another(budget: &Budget, statefulset: &StatefulSet) -> bool {
    budget.controller.as_ref().is_some_and(|owner| owner.uid != statefulset.metadata.uid)
}

/// Whether a budget says that no pod may go though all are ready and it allows some: the disruption controller forgot it
/// while there were two (L57).
fn is_stuck(budget: &Budget, statefulset: &StatefulSet) -> bool {
    let replicas = statefulset.replicas;
    statefulset.ready_replicas == replicas
        && budget.status.expected_pods == replicas
        && budget.status.disruptions_allowed == 0
        && budget.limit.disruptions_allowed(replicas) > 0
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::budget::{Apart, Candidate, Terms, desired};
    use crate::facts::{Amount, UnhealthyPodEvictionPolicy};

    fn statefulset(replicas: i32) -> Arc<StatefulSet> {
        Arc::new(
            from_value(json!({
                "metadata": {"name": "db", "namespace": "shop", "uid": "s1"},
                "spec": {
                    "replicas": replicas,
                    "selector": {"matchLabels": {"app": "db"}},
                    "template": {"metadata": {"labels": {"app": "db"}}},
                },
                "status": {"readyReplicas": replicas},
            }))
            .unwrap(),
        )
    }

    fn owner(uid: &str) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true}])
    }

    fn ours(changes: &Value) -> Budget {
        let mut budget = json!({
            "metadata": {
                "name": "db-quorate",
                "namespace": "shop",
                "uid": "b1",
                "labels": {"app.kubernetes.io/managed-by": "quorate"},
                "ownerReferences": owner("s1"),
            },
            "spec": {
                "maxUnavailable": 1,
                "unhealthyPodEvictionPolicy": "AlwaysAllow",
                "selector": {"matchLabels": {"app": "db"}},
            },
        });
        json_patch::merge(&mut budget, changes);
        from_value(budget).unwrap()
    }

    /// Ours, being deleted, which a finalizer prevents.
    fn held(changes: &Value) -> Budget {
        let finalizers = vec!["example.com/a".to_owned()];
        Budget { terminating: true, finalizers, ..ours(changes) }
    }

    fn theirs(name: &str, spec: &Value, status: &Value) -> Budget {
        from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": status})).unwrap()
    }

    fn steps(replicas: i32, budgets: &[Budget]) -> Vec<String> {
        let sets = [statefulset(replicas)];
        let terms = Terms {
            max_unavailable: Amount::Pods(1),
            unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::AlwaysAllow,
            policy: "baseline".to_owned(),
        };
        let wanted = desired(&[Candidate { statefulset: &sets[0], terms: Ok(&terms), apart: Apart::No }], budgets);
        plan(&sets, &wanted, budgets).iter().map(word).collect()
    }

    fn word(step: &Step) -> String {
        match step {
            Step::Delete { reason, .. } => format!("delete {}", reason.as_ref().map_or("", Reason::name)),
            Step::Correct { budget, kept: Some(_), .. } => format!("correct {}", budget.uid),
            Step::Correct { budget, kept: None, .. } => format!("empty {}", budget.uid),
            Step::Held { budget, .. } => format!("held by {}", budget.finalizers.join(" ")),
            Step::Apply { uid, .. } => format!("apply {uid}"),
            Step::Create { kept, .. } => format!("create {}", kept.name),
            Step::Taken { name, .. } => format!("taken {name}"),
            Step::Shared { .. } => "shared".to_owned(),
            Step::Stuck { by, .. } => format!("stuck {by}"),
        }
    }

    #[rstest]
    #[case::absent(3, &[], &["create db-quorate"])]
    #[case::as_it_shall_be(3, &[ours(&json!({}))], &[])]
    #[case::edited(3, &[ours(&json!({"spec": {"maxUnavailable": 0}}))], &["apply b1"])]
    #[case::min_available_added(3, &[ours(&json!({"spec": {"maxUnavailable": null, "minAvailable": 3}}))], &["apply b1"])]
    #[case::lost_its_owner(3, &[ours(&json!({"metadata": {"ownerReferences": null}}))], &["apply b1"])]
    #[case::lost_its_label(3, &[ours(&json!({"metadata": {"labels": null}}))], &[])]
    #[case::of_a_former_one(3, &[ours(&json!({"metadata": {"ownerReferences": owner("s0")}}))], &["delete "])]
    #[case::being_deleted(3, &[ours(&json!({"metadata": {"deletionTimestamp": "2027-01-01T00:00:00Z"}}))], &[])]
    #[case::being_deleted_and_edited(3, &[held(&json!({"spec": {"maxUnavailable": 0}}))], &["correct b1", "held by example.com/a"])]
    #[case::being_deleted_and_held(3, &[held(&json!({}))], &["held by example.com/a"])]
    #[case::being_deleted_and_not_wanted(1, &[held(&json!({}))], &["empty b1", "held by example.com/a"])]
    #[case::being_deleted_and_empty(1, &[held(&json!({"spec": {"selector": null}}))], &["held by example.com/a"])]
    #[case::being_deleted_of_a_former_one(
        3,
        &[held(&json!({"metadata": {"ownerReferences": owner("s0")}, "spec": {"minAvailable": "100%", "maxUnavailable": null}}))],
        &["correct b1", "held by example.com/a"]
    )]
    #[case::being_deleted_beside_theirs(
        3,
        &[held(&json!({})), theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"disruptionsAllowed": 1}))],
        &["empty b1", "held by example.com/a"]
    )]
    #[case::scaled_down(1, &[ours(&json!({}))], &["delete TooFewReplicas"])]
    #[case::scaled_down_without_owner(1, &[ours(&json!({"metadata": {"ownerReferences": null}}))], &["delete TooFewReplicas"])]
    #[case::theirs_came(
        3,
        &[ours(&json!({})), theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"disruptionsAllowed": 1}))],
        &["delete Covered"]
    )]
    #[case::theirs_is_stuck(
        3,
        &[theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"expectedPods": 3, "disruptionsAllowed": 0}))],
        &["stuck x"]
    )]
    #[case::name_taken(
        3,
        &[theirs("db-quorate", &json!({"selector": {"matchLabels": {"app": "web"}}}), &json!({}))],
        &["taken db-quorate"]
    )]
    fn leads_to_what_is_wanted_l51_l54_l57_l96_l138(
        #[case] replicas: i32,
        #[case] budgets: &[Budget],
        #[case] expected: &[&str],
    ) {
        assert_eq!(steps(replicas, budgets), expected);
    }

    /// L138: while the StatefulSet is being deleted, its pods may run on for long.
    #[test]
    fn one_that_blocks_what_is_being_deleted_is_emptied_l138() {
        let mut set = StatefulSet::clone(&statefulset(3));
        set.metadata.terminating = true;
        let wanted = [Wanted::None(Reason::Terminating)];
        for (max_unavailable, expected) in [(0, &["empty b1"][..]), (1, &[])] {
            let budgets = [ours(&json!({"spec": {"maxUnavailable": max_unavailable}}))];
            let steps = plan(&[Arc::new(set.clone())], &wanted, &budgets);
            assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn what_is_left_and_can_not_go_is_emptied_l138() {
        let steps = plan(&[], &[], &[held(&json!({})), held(&json!({"spec": {"selector": null}}))]);
        assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["empty b1"]);
    }

    #[test]
    fn what_no_statefulset_is_left_for_goes() {
        let steps = plan(&[], &[], &[ours(&json!({})), theirs("x", &json!({"selector": {}}), &json!({}))]);
        assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["delete "]);
    }
}
