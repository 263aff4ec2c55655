//! Which budget each StatefulSet of a namespace shall have.
//!
//! Decided for a namespace as a whole, for no pod may have two budgets: every eviction of such a pod fails (L50).

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use super::coverage::is_of_each_pod;
use super::{Coverage, coverage};
use crate::facts::{
    Amount, Budget, LabelSelector, Limit, Operator, StatefulSet, UnhealthyPodEvictionPolicy, budget_name,
};

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
    /// The StatefulSet's own selector, which can't change.
    pub selector: LabelSelector,
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
    /// Somebody else's budget selects some of its pods, depending on labels that each of them gets.
    MayBeCovered {
        /// The budget's name.
        by: String,
    },
    /// The budget of another StatefulSet selects its pods too.
    Shares {
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
            Self::MayBeCovered { .. } => "MayBeCovered",
            Self::Shares { .. } => "Shared",
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
            Self::MayBeCovered { by } => {
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
    for budget in budgets.iter().map(Borrow::borrow).filter(|budget| !budget.ours && !budget.orphaned) {
        let Some(selector) = &budget.selector else { continue };
        for (index, coverage) in pods.selected_by(selector) {
            wanted[index] =
                covered(std::mem::replace(&mut wanted[index], Wanted::None(Reason::NotAsked)), budget, coverage);
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
            terms: terms.clone(),
        }),
    }
}

fn covered(wanted: Wanted, budget: &Budget, coverage: Coverage) -> Wanted {
    let by = budget.name.clone();
    match (wanted, coverage) {
        (Wanted::Budget(_) | Wanted::None(Reason::MayBeCovered { .. }), Coverage::Covers) => {
            Wanted::None(Reason::Covered { by })
        }
        (Wanted::Budget(_), Coverage::MayCover) => Wanted::None(Reason::MayBeCovered { by }),
        (as_it_was, _) => as_it_was,
    }
}

/// Leaves one budget where several would select the same pods.
fn share(candidates: &[Candidate<'_>], pods: &Pods<'_>, wanted: &mut [Wanted]) {
    let selected: Vec<Vec<usize>> = (candidates.iter().zip(&*wanted))
        .map(|(candidate, wanted)| match wanted {
            Wanted::Budget(_) => pods.selected_by(&candidate.statefulset.selector).map(|(index, _)| index).collect(),
            Wanted::None(_) => Vec::new(),
        })
        .collect();
    let name = |index: usize| candidates[index].statefulset.metadata.name.as_str();
    let mut order: Vec<usize> = (0..candidates.len()).filter(|index| !selected[*index].is_empty()).collect();
    order.sort_by_key(|index| (Reverse(selected[*index].len()), name(*index)));

    // Whose budget selects the pods of which StatefulSet.
    let mut holders: HashMap<usize, usize> = HashMap::new();
    for index in order {
        let holder = selected[index].iter().find_map(|pods_of| holders.get(pods_of).copied());
        let Some(holder) = holder else {
            holders.extend(selected[index].iter().map(|pods_of| (*pods_of, index)));
            continue;
        };
        let shares = Wanted::None(Reason::Shares { with: name(holder).to_owned() });
        let Wanted::Budget(given_up) = std::mem::replace(&mut wanted[index], shares) else { continue };
        let of = |index: usize| candidates[index].statefulset.replicas;
        if let Wanted::Budget(kept) = &mut wanted[holder] {
            let (mine, theirs) =
                (given_up.terms.max_unavailable.of(of(index)), kept.terms.max_unavailable.of(of(holder)));
            if mine < theirs {
                kept.terms = Terms { max_unavailable: Amount::Pods(mine), ..given_up.terms };
            } else if matches!(kept.terms.max_unavailable, Amount::Percent(_)) {
                // Kubernetes takes a percentage of all pods that the budget selects, and these are more.
                kept.terms.max_unavailable = Amount::Pods(theirs);
            }
        }
    }
}

/// The pods of a namespace's StatefulSets, as their templates tell, found by a label.
struct Pods<'a> {
    candidates: &'a [Candidate<'a>],
    by_label: HashMap<&'a str, HashMap<&'a str, Vec<usize>>>,
    all: Vec<usize>,
}

impl<'a> Pods<'a> {
    fn of(candidates: &'a [Candidate<'a>]) -> Self {
        let mut by_label: HashMap<_, HashMap<_, Vec<usize>>> = HashMap::new();
        for (index, candidate) in candidates.iter().enumerate() {
            for (key, value) in &candidate.statefulset.template.labels {
                by_label.entry(key.as_str()).or_default().entry(value.as_str()).or_default().push(index);
            }
        }
        Self { candidates, by_label, all: (0..candidates.len()).collect() }
    }

    /// The StatefulSets of whose pods a selector selects all, or perhaps some.
    fn selected_by(&self, selector: &LabelSelector) -> impl Iterator<Item = (usize, Coverage)> {
        self.narrowed(selector).iter().filter_map(|&index| {
            let template = &self.candidates[index].statefulset.template.labels;
            let coverage = coverage(Some(selector), template);
            (coverage != Coverage::Disjoint).then_some((index, coverage))
        })
    }

    /// The fewest that can be told without looking at them: those with the rarest of the labels that the selector demands.
    fn narrowed(&self, selector: &LabelSelector) -> &[usize] {
        let equal = selector.match_labels.iter();
        let only = selector.match_expressions.iter().filter(|each| each.operator == Operator::In);
        let only = only.filter_map(|each| match each.values.as_slice() {
            [value] => Some((&each.key, value)),
            _ => None,
        });
        equal
            .chain(only)
            .filter(|(key, _)| !is_of_each_pod(key))
            .map(|(key, value)| self.by_label.get(key.as_str()).and_then(|values| values.get(value.as_str())))
            .map(|indices| indices.map_or(&[][..], Vec::as_slice))
            .min_by_key(|indices| indices.len())
            .unwrap_or(&self.all)
    }
}

impl Kept {
    /// Whether a budget of that name is as it shall be.
    #[must_use]
    pub fn is(&self, budget: &Budget) -> bool {
        budget.selector.as_ref() == Some(&self.selector)
            && budget.limit == Limit::MaxUnavailable(self.terms.max_unavailable)
            && budget.unhealthy_pod_eviction_policy == self.terms.unhealthy_pod_eviction_policy
    }
}

#[cfg(test)]
mod tests;
