//! What becomes of the lists of a pod template: which elements stay, which go, and where new ones come.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::facts::{PodAffinityTerm, PodTemplate, TopologySpreadConstraint, WeightedPodAffinityTerm};

use super::Injected;

/// One element of a list as it shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item<T> {
    /// The element that has this index now. Indices ascend; elements of which none is named go.
    Kept(usize),
    /// A new one.
    New(T),
}

/// The lists of a pod template as they shall be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edits {
    /// `requiredDuringSchedulingIgnoredDuringExecution` of `podAntiAffinity`.
    pub required: Vec<Item<PodAffinityTerm>>,
    /// `preferredDuringSchedulingIgnoredDuringExecution` of `podAntiAffinity`.
    pub preferred: Vec<Item<WeightedPodAffinityTerm>>,
    /// `topologySpreadConstraints`.
    pub topology_spread_constraints: Vec<Item<TopologySpreadConstraint>>,
}

impl Edits {
    /// `template` with what is `wanted` of ours and nothing else of ours. What stays keeps its place, what is new comes last.
    pub(super) fn replace(template: &PodTemplate, ours: &Injected, wanted: &Injected) -> Self {
        let terms = &template.pod_anti_affinity;
        Self {
            required: replace(&terms.required, &ours.required, &wanted.required),
            preferred: replace(&terms.preferred, &ours.preferred, &wanted.preferred),
            topology_spread_constraints: replace(
                &template.topology_spread_constraints,
                &ours.topology_spread_constraints,
                &wanted.topology_spread_constraints,
            ),
        }
    }

    /// `template` with `ours` where `old` has it.
    pub(super) fn restore(template: &PodTemplate, old: &PodTemplate, ours: &Injected) -> Self {
        let (terms, old_terms) = (&template.pod_anti_affinity, &old.pod_anti_affinity);
        Self {
            required: restore(&terms.required, &old_terms.required, &ours.required),
            preferred: restore(&terms.preferred, &old_terms.preferred, &ours.preferred),
            topology_spread_constraints: restore(
                &template.topology_spread_constraints,
                &old.topology_spread_constraints,
                &ours.topology_spread_constraints,
            ),
        }
    }

    /// Whether `template` is to stay as it is.
    pub(super) fn change_nothing(&self, template: &PodTemplate) -> bool {
        is_same(&self.required, template.pod_anti_affinity.required.len())
            && is_same(&self.preferred, template.pod_anti_affinity.preferred.len())
            && is_same(&self.topology_spread_constraints, template.topology_spread_constraints.len())
    }
}

/// Which elements of a list are ours. Of equal ones it is the last, as ours are appended.
pub(super) fn ours_in<T: Eq + Hash>(list: &[T], ours: &[T]) -> Vec<bool> {
    let mut marks = vec![false; list.len()];
    if ours.is_empty() {
        return marks;
    }
    let mut counts = counted(ours);
    for (mark, item) in marks.iter_mut().zip(list).rev() {
        *mark = take(&mut counts, item);
    }
    marks
}

/// The elements of a list that are ours.
pub(super) fn present_in<'a, T: Eq + Hash>(list: &'a [T], ours: &[T]) -> HashSet<&'a T> {
    list.iter().zip(ours_in(list, ours)).filter_map(|(item, is_ours)| is_ours.then_some(item)).collect()
}

/// How often each element is there. Lists and records are written by users: whatever is done with them must not take the
/// product of their lengths.
fn counted<'a, T: Eq + Hash>(items: impl IntoIterator<Item = &'a T>) -> HashMap<&'a T, usize> {
    let mut counts = HashMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}

/// Takes one of an element away, if there is one left.
fn take<T: Eq + Hash>(counts: &mut HashMap<&T, usize>, item: &T) -> bool {
    match counts.get_mut(item) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// The template without what is ours: the user's own.
pub(super) fn without(template: &mut PodTemplate, ours: &Injected) {
    drop_ours(&mut template.pod_anti_affinity.required, &ours.required);
    drop_ours(&mut template.pod_anti_affinity.preferred, &ours.preferred);
    drop_ours(&mut template.topology_spread_constraints, &ours.topology_spread_constraints);
}

fn drop_ours<T: Eq + Hash>(list: &mut Vec<T>, ours: &[T]) {
    let marks = ours_in(list, ours);
    drop_marked(list, &marks);
}

/// The list without the elements that are marked; each has a mark.
pub(super) fn drop_marked<T>(list: &mut Vec<T>, marks: &[bool]) {
    let mut marks = marks.iter();
    list.retain(|_| marks.next() != Some(&true));
}

fn replace<T: Eq + Hash + Clone>(list: &[T], ours: &[T], wanted: &[T]) -> Vec<Item<T>> {
    let marks = ours_in(list, ours);
    let stays = |(item, is_ours): (&T, &bool)| !is_ours || wanted.contains(item);
    let mut items: Vec<Item<T>> = list
        .iter()
        .zip(&marks)
        .enumerate()
        .filter(|(_, element)| stays(*element))
        .map(|(index, _)| Item::Kept(index))
        .collect();
    let there = present_in(list, ours);
    items.extend(wanted.iter().filter(|item| !there.contains(item)).cloned().map(Item::New));
    items
}

fn restore<T: Eq + Hash + Clone>(list: &[T], before: &[T], ours: &[T]) -> Vec<Item<T>> {
    let there = present_in(list, ours);
    let gone: Vec<&T> = ours.iter().filter(|item| !there.contains(item)).collect();
    let mut left = counted(gone.iter().copied());
    let mut kept = (0..list.len()).map(Item::Kept);
    let mut items = Vec::new();
    for (item, is_ours) in before.iter().zip(ours_in(before, ours)) {
        if is_ours && take(&mut left, item) {
            items.push(Item::New(item.clone()));
        } else {
            items.extend(kept.next());
        }
    }
    items.extend(kept);
    items.extend(gone.into_iter().filter(|item| take(&mut left, item)).cloned().map(Item::New));
    items
}

fn is_same<T>(items: &[Item<T>], length: usize) -> bool {
    items.len() == length && items.iter().all(|item| matches!(item, Item::Kept(_)))
}
