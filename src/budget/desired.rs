//! Which budget each StatefulSet of a namespace shall have.
//!
//! Decided for a namespace as a whole, for no pod may have two budgets: every eviction of such a pod fails (L50).

mod pods;
mod share;

use std::borrow::Borrow;
use std::fmt;

use super::{Coverage, coverage};
use crate::facts::{
    Amount, Budget, LabelSelector, Limit, POD_NAME, StatefulSet, UnhealthyPodEvictionPolicy, budget_name,
};
use pods::Pods;
use share::share;

/// What policies want of the budget of one StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// How many pods may be down at a time.
    pub max_unavailable: Amount,
    /// Whether pods that aren't Ready may be evicted.
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
    /// The policy's name.
    pub policy: String,
}

/// A StatefulSet, and what policies want for it; nothing, with the reason.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// The StatefulSet.
    pub statefulset: &'a StatefulSet,
    /// What policies want.
    pub terms: Result<&'a Terms, &'a Reason>,
    /// Whether its budget has to tell its pods from others that its selector selects.
    pub apart: Apart,
}

/// Whether a budget has to name the pods that it is about, as its selector selects others too (L140).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Apart {
    /// No: the StatefulSet's own selector will do.
    #[default]
    No,
    /// Where the StatefulSet shares its labels with others: its pods have not been all ready for a while, or the budget names
    /// them already. Under one budget the pods of one StatefulSet that don't start would block the drain of the other's.
    IfShared,
    /// Yes: pods have its labels that no StatefulSet owns.
    Yes,
}

/// What a StatefulSet shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This budget.
    Budget(Kept),
    /// None.
    None(Reason),
}

/// The budget that is kept for a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub name: String,
    /// The StatefulSet's own selector, which can't change; with the names of its pods where that selects others too.
    pub selector: LabelSelector,
    /// What it says: `maxUnavailable`, or the same as a `minAvailable` where the selector selects others too. An integer there
    /// needs nobody to look up the controllers of the pods, which fails for those of a Job (L140).
    pub limit: Limit,
    /// What it allows, and who says so.
    pub terms: Terms,
}

/// Why a StatefulSet has no budget of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It, or its namespace, is being deleted.
    Terminating,
    /// No policy that matches it asks for one.
    NotAsked,
    /// An operator owns it, and looks after its budget (L27).
    Operators,
    /// With fewer than two replicas every budget blocks every drain (L52).
    TooFew,
    /// Somebody else's budget selects its pods.
    Covered {
        /// The budget's name.
        by: String,
    },
    /// Somebody else's budget selects some of its pods.
    PartlyCovered {
        /// The budget's name.
        by: String,
    },
    /// The budget of another StatefulSet selects its pods too.
    Shares {
        /// That StatefulSet's name.
        with: String,
    },
    /// Its budget would have to name more pods than a budget names, to tell them from those of another StatefulSet.
    TooMany {
        /// That StatefulSet's name.
        with: String,
    },
}

impl Reason {
    /// A word for it, as in the `action` of an Event.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Terminating => "Terminating",
            Self::NotAsked => "NotAsked",
            Self::Operators => "OwnedByOperator",
            Self::TooFew => "TooFewReplicas",
            Self::Covered { .. } => "Covered",
            Self::PartlyCovered { .. } => "PartlyCovered",
            Self::Shares { .. } => "Shared",
            Self::TooMany { .. } => "TooManyPods",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Terminating => formatter.write_str("the StatefulSet is being deleted"),
            Self::NotAsked => formatter.write_str("no policy asks for one"),
            Self::Operators => formatter.write_str("an operator owns the StatefulSet"),
            Self::TooFew => formatter.write_str("with fewer than 2 replicas it would block every drain"),
            Self::Covered { by } => {
                write!(formatter, "PodDisruptionBudget {by} covers the pods, and under two every eviction fails")
            }
            Self::PartlyCovered { by } => {
                write!(
                    formatter,
                    "PodDisruptionBudget {by} covers some of the pods, and under two every eviction fails"
                )
            }
            Self::Shares { with } => write!(
                formatter,
                "PodDisruptionBudget {} covers the pods: the selectors select each other's",
                budget_name(with)
            ),
            Self::TooMany { with } => write!(
                formatter,
                "StatefulSet {with} has the same labels, and together they have more pods than a budget can name; \
                 give each a label of its own in spec.selector and spec.template"
            ),
        }
    }
}

/// What each of a namespace's StatefulSets shall have, in their order. `budgets` are all of the namespace.
///
/// Of StatefulSets that select each other's pods the first by name has the budget, and the strictest terms of all of them.
/// One that selects the pods of more than that comes first, as only its budget can be for all.
#[must_use]
pub fn desired(candidates: &[Candidate<'_>], budgets: &[impl Borrow<Budget>]) -> Vec<Wanted> {
    let pods = Pods::of(candidates);
    let mut wanted: Vec<_> = candidates.iter().map(on_its_own).collect();
    for budget in budgets.iter().map(Borrow::borrow).filter(|budget| !budget.is_quorates()) {
        let Some(selector) = &budget.selector else { continue };
        for index in pods.narrowed(selector).iter().copied() {
            // Most are covered already, or want none: they aren't compared with every budget of the namespace (L141).
            if matches!(wanted[index], Wanted::Budget(_) | Wanted::None(Reason::PartlyCovered { .. })) {
                let coverage = coverage(Some(selector), candidates[index].statefulset);
                cover(&mut wanted[index], budget, coverage);
            }
        }
    }
    share(candidates, &pods, &mut wanted);
    wanted
}

/// What a StatefulSet shall have if there were nothing else in its namespace.
fn on_its_own(candidate: &Candidate<'_>) -> Wanted {
    let statefulset = candidate.statefulset;
    match candidate.terms {
        _ if statefulset.metadata.terminating => Wanted::None(Reason::Terminating),
        Err(reason) => Wanted::None(reason.clone()),
        Ok(_) if statefulset.replicas < 2 => Wanted::None(Reason::TooFew),
        Ok(terms) => Wanted::Budget(Kept {
            name: budget_name(&statefulset.metadata.name),
            selector: statefulset.selector.clone(),
            limit: Limit::MaxUnavailable(terms.max_unavailable),
            terms: terms.clone(),
        }),
    }
}

fn cover(wanted: &mut Wanted, budget: &Budget, coverage: Coverage) {
    let by = || budget.name.clone();
    match (&*wanted, coverage) {
        (_, Coverage::Covers) => *wanted = Wanted::None(Reason::Covered { by: by() }),
        (Wanted::Budget(_), Coverage::CoversSome(_)) => *wanted = Wanted::None(Reason::PartlyCovered { by: by() }),
        _ => {}
    }
}

/// Whether a StatefulSet's selector selects the pods of another one, or the other way round.
#[must_use]
pub fn shares_pods(one: &StatefulSet, other: &StatefulSet) -> bool {
    let selects = |one: &StatefulSet, other: &StatefulSet| coverage(Some(&one.selector), other) != Coverage::Disjoint;
    one.metadata.name != other.metadata.name && (selects(one, other) || selects(other, one))
}

impl Kept {
    /// Whether it names the pods that it is about.
    #[must_use]
    pub fn is_apart(&self) -> bool {
        is_apart(&self.selector)
    }

    /// Whether a budget of that name is as it shall be.
    #[must_use]
    pub fn is(&self, budget: &Budget) -> bool {
        budget.selector.as_ref() == Some(&self.selector)
            && budget.limit == self.limit
            && budget.unhealthy_pod_eviction_policy == self.terms.unhealthy_pod_eviction_policy
    }
}

/// Whether a budget of ours with this selector names the pods that it is about.
#[must_use]
pub fn is_apart(selector: &LabelSelector) -> bool {
    selector.match_expressions.last().is_some_and(|each| each.key == POD_NAME)
}

#[cfg(test)]
mod tests;
