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
    /// Put a budget of ours right by a patch: one that is being deleted, and that somebody's finalizers hold, or one whose
    /// metadata somebody filled up, which is taken out.
    Correct {
        budget: Budget,
        /// Its StatefulSet, where that is still there.
        statefulset: Option<Arc<StatefulSet>>,
        spec: Spec,
    },
    /// Say what holds a budget that is being deleted.
    Held { statefulset: Arc<StatefulSet>, budget: Budget },
    /// Make a budget of ours what it shall be.
    Apply { statefulset: Arc<StatefulSet>, kept: Kept, uid: String },
    /// Make a budget.
    Create { statefulset: Arc<StatefulSet>, kept: Kept },
    /// Say that the budget's name is taken by somebody else's.
    Taken { statefulset: Arc<StatefulSet>, name: String },
    /// Say whose budget it shares, or that it can have none beside another StatefulSet.
    Shared { statefulset: Arc<StatefulSet>, reason: Reason },
    /// Say that somebody else's budget lets no pod go though all are ready (L57).
    Stuck { statefulset: Arc<StatefulSet>, by: String },
}

impl Step {
    /// Whether it writes a budget.
    pub(super) fn writes(&self) -> bool {
        matches!(self, Self::Delete { .. } | Self::Correct { .. } | Self::Apply { .. } | Self::Create { .. })
    }
}

/// What becomes of the spec of a budget that is put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spec {
    /// It stays as it is.
    Same,
    /// It selects nothing any more.
    Empty,
    /// It says this.
    Kept(Kept),
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
            (wanted, Some(ours), _) if ours.terminating || ours.is_overloaded() => {
                deletions.extend(correct(ours, Some(&statefulset), wanted));
                if ours.terminating && !ours.finalizers.is_empty() && !statefulset.metadata.terminating {
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
            (Wanted::None(Reason::Terminating), Some(ours), _) => {
                deletions.extend(correct(ours, Some(&statefulset), wanted));
            }
            (Wanted::None(Reason::Terminating), None, _) => {}
            (Wanted::None(reason), ours, _) => {
                if let Some(ours) = ours {
                    let (budget, reason) = (ours.clone(), Some(reason.clone()));
                    deletions.push(Step::Delete { budget, statefulset: Some(Arc::clone(&statefulset)), reason });
                }
                match reason {
                    Reason::Shares { .. } | Reason::TooMany { .. } => {
                        others.push(Step::Shared { statefulset, reason: reason.clone() });
                    }
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
        if budget.terminating || budget.is_overloaded() {
            correct(budget, None, &Wanted::None(Reason::NotAsked))
        } else {
            Some(Step::Delete { budget: budget.clone(), statefulset: None, reason: None })
        }
    }));
    [deletions, repairs, others].concat()
}

/// Puts a budget right that can't be applied or deleted, if it isn't so already.
fn correct(budget: &Budget, statefulset: Option<&Arc<StatefulSet>>, wanted: &Wanted) -> Option<Step> {
    let spec = match (wanted, statefulset) {
        (Wanted::Budget(kept), _) if !kept.is(budget) => Spec::Kept(kept.clone()),
        (Wanted::None(Reason::Terminating), Some(statefulset)) if blocks(budget, statefulset) => Spec::Empty,
        (Wanted::Budget(_) | Wanted::None(Reason::Terminating), _) => Spec::Same,
        (Wanted::None(_), _) if budget.selector.is_some() => Spec::Empty,
        (Wanted::None(_), _) => Spec::Same,
    };
    let is_right = spec == Spec::Same && !budget.is_overloaded();
    (!is_right).then(|| Step::Correct { budget: budget.clone(), statefulset: statefulset.cloned(), spec })
}

/// Whether a budget may let none of the pods go of a StatefulSet that is being deleted. None of ours does unless somebody edits
/// it, or has the StatefulSet ask for more pods than there are: no pod is made any more, and each that is missing counts as
/// disrupted.
fn blocks(budget: &Budget, statefulset: &StatefulSet) -> bool {
    let replicas = statefulset.replicas;
    let is_short = replicas > statefulset.existing_replicas;
    budget.selector.is_some() && replicas > 0 && (is_short || budget.limit.disruptions_allowed(replicas) == 0)
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
mod tests;
