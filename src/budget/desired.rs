//! Which budget each StatefulSet of a namespace shall have.
//!
//! Decided for a namespace as a whole, for no pod may have two budgets: every eviction of such a pod fails (L50).

use std::borrow::{Borrow, Cow};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use super::coverage::is_of_each_pod;
use super::{Coverage, coverage};
use crate::facts::{
    Amount, Budget, LabelSelector, Limit, Operator, POD_NAME, Requirement, StatefulSet, UnhealthyPodEvictionPolicy,
    budget_name,
};

/// A budget names no more pods than these; a StatefulSet that has more shares its budget with whoever has its labels.
const MOST_NAMED: i32 = 1_000;

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

/// Where several budgets would select the same pods, leaves one of them, or has each name the pods that it is about.
fn share(candidates: &[Candidate<'_>], pods: &Pods<'_>, wanted: &mut [Wanted]) {
    let selected: Vec<Vec<usize>> = (candidates.iter().zip(&*wanted))
        .map(|(candidate, wanted)| match wanted {
            Wanted::Budget(_) => pods.selected_by(&candidate.statefulset.selector),
            Wanted::None(_) => Vec::new(),
        })
        .collect();
    let name = |index: usize| candidates[index].statefulset.metadata.name.as_str();
    let mut order: Vec<usize> = (0..candidates.len()).filter(|index| !selected[*index].is_empty()).collect();
    order.sort_by_key(|index| (Reverse(selected[*index].len()), name(*index)));

    let apart = apart(candidates, &selected, wanted);
    for index in order.iter().copied().filter(|index| apart[*index]) {
        set_apart(candidates[index].statefulset, &mut wanted[index]);
    }
    // Whose budget selects the pods of which StatefulSet.
    let mut holders: HashMap<usize, usize> = HashMap::new();
    for index in order.into_iter().filter(|index| !apart[*index]) {
        match selected[index].iter().find_map(|pods_of| holders.get(pods_of).copied()) {
            Some(holder) => give_up(candidates, wanted, index, holder),
            None => holders.extend(selected[index].iter().map(|pods_of| (*pods_of, index))),
        }
    }
}

/// Which StatefulSets have a budget that names their pods: all of those that are tied by selectors, where one of them has to.
fn apart(candidates: &[Candidate<'_>], selected: &[Vec<usize>], wanted: &[Wanted]) -> Vec<bool> {
    let mut ties = Ties((0..candidates.len()).collect());
    for (index, selected) in selected.iter().enumerate() {
        for other in selected {
            ties.tie(index, *other);
        }
    }
    let mut groups = vec![Group::default(); candidates.len()];
    for (index, selected) in selected.iter().enumerate() {
        // A budget of ours over pods that somebody else's is about would be the second one on them.
        let somebody_elses = |index: &usize| {
            matches!(wanted[*index], Wanted::None(Reason::Covered { .. } | Reason::PartlyCovered { .. }))
        };
        let shares = selected.iter().any(|other| *other != index);
        let group = &mut groups[ties.root(index)];
        let has_to = if selected.iter().any(somebody_elses) { Apart::Yes } else { candidates[index].apart };
        group.apart = group.apart.max(has_to);
        group.is_shared |= shares;
        group.is_too_large |= shares && candidates[index].statefulset.replicas > MOST_NAMED;
    }
    (0..candidates.len()).map(|index| groups[ties.root(index)].is_apart()).collect()
}

/// StatefulSets that are tied by selectors.
#[derive(Clone, Copy, Default)]
struct Group {
    apart: Apart,
    is_shared: bool,
    is_too_large: bool,
}

impl Group {
    fn is_apart(self) -> bool {
        let has_to = match self.apart {
            Apart::No => false,
            Apart::IfShared => self.is_shared,
            Apart::Yes => true,
        };
        has_to && !self.is_too_large
    }
}

/// Which are tied to each other: each knows another one of its kind, up to one that stands for all.
struct Ties(Vec<usize>);

impl Ties {
    fn root(&mut self, mut index: usize) -> usize {
        while self.0[index] != index {
            self.0[index] = self.0[self.0[index]];
            index = self.0[index];
        }
        index
    }

    fn tie(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        self.0[one.max(other)] = one.min(other);
    }
}

/// Has a budget select the StatefulSet's own pods and no others with the same labels.
fn set_apart(statefulset: &StatefulSet, wanted: &mut Wanted) {
    let Wanted::Budget(kept) = wanted else { return };
    let replicas = statefulset.replicas;
    let (operator, values) = if replicas <= MOST_NAMED {
        let first = i64::from(statefulset.first_ordinal);
        let ordinals = first..first + i64::from(replicas);
        (Operator::In, ordinals.map(|ordinal| format!("{}-{ordinal}", statefulset.metadata.name)).collect())
    } else {
        (Operator::Exists, Vec::new())
    };
    kept.selector.match_expressions.push(Requirement { key: POD_NAME.to_owned(), operator, values });
    let available = replicas.saturating_sub(kept.terms.max_unavailable.of(replicas)).max(0);
    kept.limit = Limit::MinAvailable(Amount::Pods(available));
}

/// Leaves the pods of one StatefulSet to the budget of another one, on the stricter terms of both.
fn give_up(candidates: &[Candidate<'_>], wanted: &mut [Wanted], index: usize, holder: usize) {
    let with = candidates[holder].statefulset.metadata.name.clone();
    let Wanted::Budget(given_up) = std::mem::replace(&mut wanted[index], Wanted::None(Reason::Shares { with })) else {
        return;
    };
    let of = |index: usize| candidates[index].statefulset.replicas;
    if let Wanted::Budget(kept) = &mut wanted[holder] {
        let (mine, theirs) = (given_up.terms.max_unavailable.of(of(index)), kept.terms.max_unavailable.of(of(holder)));
        if mine < theirs {
            kept.terms = Terms { max_unavailable: Amount::Pods(mine), ..given_up.terms };
        } else if matches!(kept.terms.max_unavailable, Amount::Percent(_)) {
            // Kubernetes takes a percentage of all pods that the budget selects, and these are more.
            kept.terms.max_unavailable = Amount::Pods(theirs);
        }
        kept.limit = Limit::MaxUnavailable(kept.terms.max_unavailable);
    }
}

/// Whether a StatefulSet's selector selects the pods of another one, or the other way round.
#[must_use]
pub fn shares_pods(one: &StatefulSet, other: &StatefulSet) -> bool {
    let selects = |one: &StatefulSet, other: &StatefulSet| coverage(Some(&one.selector), other) != Coverage::Disjoint;
    one.metadata.name != other.metadata.name && (selects(one, other) || selects(other, one))
}

/// The pods of a namespace's StatefulSets, as their templates tell, found by a label.
struct Pods<'a> {
    candidates: &'a [Candidate<'a>],
    by_label: HashMap<&'a str, HashMap<&'a str, Vec<usize>>>,
    by_name: HashMap<&'a str, usize>,
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
        let names = candidates.iter().enumerate();
        let by_name = names.map(|(index, candidate)| (candidate.statefulset.metadata.name.as_str(), index)).collect();
        Self { candidates, by_label, by_name, all: (0..candidates.len()).collect() }
    }

    /// The StatefulSets of whose pods a selector selects all, or some.
    fn selected_by(&self, selector: &LabelSelector) -> Vec<usize> {
        let selects =
            |index: &usize| coverage(Some(selector), self.candidates[*index].statefulset) != Coverage::Disjoint;
        self.narrowed(selector).iter().copied().filter(selects).collect()
    }

    /// The fewest that can be told without looking at them: those with the rarest of the labels that the selector demands.
    fn narrowed(&self, selector: &LabelSelector) -> Cow<'_, [usize]> {
        let demands = selector.requirements().filter(|(_, operator, _)| *operator == Operator::In);
        let with_label = |key: &str, value: &str| {
            self.by_label.get(key).and_then(|values| values.get(value)).map_or(&[][..], Vec::as_slice)
        };
        let found = demands.filter_map(|(key, _, values)| match key {
            POD_NAME => {
                let name_of = |pod: &'_ String| Some(pod.rsplit_once('-')?.0.to_owned());
                let named =
                    values.iter().filter_map(name_of).filter_map(|name| self.by_name.get(name.as_str()).copied());
                let mut named: Vec<usize> = named.collect();
                named.sort_unstable();
                named.dedup();
                Some(Cow::Owned(named))
            }
            _ if is_of_each_pod(key) => None,
            _ => match values {
                [value] => Some(Cow::Borrowed(with_label(key, value))),
                values => {
                    let mut with_any: Vec<usize> =
                        values.iter().flat_map(|value| with_label(key, value)).copied().collect();
                    with_any.sort_unstable();
                    with_any.dedup();
                    Some(Cow::Owned(with_any))
                }
            },
        });
        found.min_by_key(|indices| indices.len()).unwrap_or(Cow::Borrowed(&self.all))
    }
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
