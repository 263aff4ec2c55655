//! StatefulSets that select each other's pods: one budget for all of them, or one for each that names its pods.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::pods::Pods;
use super::{Apart, Candidate, Reason, Terms, Wanted};
use crate::facts::{Amount, Limit, Operator, POD_NAME, Requirement, StatefulSet};

/// A budget names no more pods than these.
const MOST_NAMED: i32 = 1_000;

/// Where several budgets would select the same pods, leaves one of them, or has each name the pods that it is about.
pub(super) fn share(candidates: &[Candidate<'_>], pods: &Pods<'_>, wanted: &mut [Wanted]) {
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
        let others = selected[index].iter().filter(|other| **other != index);
        let others: Vec<_> = others.map(|other| candidates[*other].statefulset).collect();
        set_apart(candidates[index].statefulset, &others, &mut wanted[index]);
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
    }
    (0..candidates.len()).map(|index| groups[ties.root(index)].is_apart()).collect()
}

/// StatefulSets that are tied by selectors.
#[derive(Clone, Copy, Default)]
struct Group {
    apart: Apart,
    is_shared: bool,
}

impl Group {
    fn is_apart(self) -> bool {
        match self.apart {
            Apart::No => false,
            Apart::IfShared => self.is_shared,
            Apart::Yes => true,
        }
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

/// Has a budget select the StatefulSet's own pods and not those of others with the same labels: it names its own, or else the
/// others'. Where they are too many either way there is none, as one for all would let the pods of one block the drain of another.
fn set_apart(statefulset: &StatefulSet, others: &[&StatefulSet], wanted: &mut Wanted) {
    let Wanted::Budget(kept) = wanted else { return };
    let replicas = statefulset.replicas;
    let requirement = |operator, values| Requirement { key: POD_NAME.to_owned(), operator, values };
    let requirements = if replicas <= MOST_NAMED {
        vec![requirement(Operator::In, pod_names(statefulset).collect())]
    } else {
        let total = others.iter().fold(0, |total: i32, other| total.saturating_add(other.replicas.max(0)));
        if let Some(largest) = others.iter().max_by_key(|other| other.replicas).filter(|_| total > MOST_NAMED) {
            *wanted = Wanted::None(Reason::TooMany { with: largest.metadata.name.clone() });
            return;
        }
        let names: Vec<_> = others.iter().flat_map(|other| pod_names(other)).collect();
        // Pods that no StatefulSet owns have no such label.
        let exists = requirement(Operator::Exists, Vec::new());
        if names.is_empty() { vec![exists] } else { vec![exists, requirement(Operator::NotIn, names)] }
    };
    kept.selector.match_expressions.extend(requirements);
    let available = replicas.saturating_sub(kept.terms.max_unavailable.of(replicas)).max(0);
    kept.limit = Limit::MinAvailable(Amount::Pods(available));
}

fn pod_names(statefulset: &StatefulSet) -> impl Iterator<Item = String> {
    let first = i64::from(statefulset.first_ordinal);
    let ordinals = first..first + i64::from(statefulset.replicas.max(0));
    ordinals.map(|ordinal| format!("{}-{ordinal}", statefulset.metadata.name))
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
