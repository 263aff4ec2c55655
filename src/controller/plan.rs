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

/// The steps, deletions first: no pod may have two budgets.
pub(super) fn plan(statefulsets: &[Arc<StatefulSet>], wanted: &[Wanted], budgets: &[impl Borrow<Budget>]) -> Vec<Step> {
    let budgets = || budgets.iter().map(Borrow::borrow);
    let by_name: BTreeMap<&str, &Budget> = budgets().map(|budget| (budget.name.as_str(), budget)).collect();
    let (mut deletions, mut repairs, mut others) = (Vec::new(), Vec::new(), Vec::new());
    let mut looked_after = Vec::new();
    for (statefulset, wanted) in statefulsets.iter().zip(wanted) {
        let statefulset = Arc::clone(statefulset);
        let name = budget_name(&statefulset.metadata.name);
        let budget = by_name.get(name.as_str()).copied();
        let ours = budget.filter(|budget| budget.ours || budget.orphaned);
        match (wanted, ours, budget) {
            (_, Some(ours), _) if ours.terminating => {}
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
            // What is being deleted keeps its budget to the end; the garbage collector takes it along.
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
    let left = budgets().filter(|budget| (budget.ours || budget.orphaned) && !budget.terminating);
    let left = left.filter(|budget| looked_after.binary_search(&budget.name).is_err());
    deletions.extend(left.map(|budget| Step::Delete { budget: budget.clone(), statefulset: None, reason: None }));
    [deletions, repairs, others].concat()
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
    use crate::budget::{Candidate, Terms, desired};
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
        let wanted = desired(&[Candidate { statefulset: &sets[0], terms: Ok(&terms) }], budgets);
        plan(&sets, &wanted, budgets).iter().map(word).collect()
    }

    fn word(step: &Step) -> String {
        match step {
            Step::Delete { reason, .. } => format!("delete {}", reason.as_ref().map_or("", Reason::name)),
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
    fn leads_to_what_is_wanted_l51_l54_l57_l96(
        #[case] replicas: i32,
        #[case] budgets: &[Budget],
        #[case] expected: &[&str],
    ) {
        assert_eq!(steps(replicas, budgets), expected);
    }

    #[test]
    fn what_no_statefulset_is_left_for_goes() {
        let steps = plan(&[], &[], &[ours(&json!({})), theirs("x", &json!({"selector": {}}), &json!({}))]);
        assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["delete "]);
    }
}
