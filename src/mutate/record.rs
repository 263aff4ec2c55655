//! What Quorate injected, as the StatefulSet's own annotation tells.

use std::collections::HashSet;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::edit::present_in;
use crate::facts::{
    LabelSelector, Metadata, PodAffinityTerm, PodTemplate, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

/// The annotation of a StatefulSet that records what was injected into its pod template.
pub const RECORD: &str = "quorate.dev/injected";

/// The most terms of a kind that a record may list. Policies ask for a few; more was written by somebody else, to keep us busy.
const MOST: usize = 1000;

/// What Quorate adds to a pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Injected {
    /// Terms of `requiredDuringSchedulingIgnoredDuringExecution`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<PodAffinityTerm>,
    /// Terms of `preferredDuringSchedulingIgnoredDuringExecution`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<WeightedPodAffinityTerm>,
    /// `topologySpreadConstraints`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Where the soft form was chosen because the cluster could not satisfy the hard one: `anti-affinity on
    /// kubernetes.io/hostname`. What was decided is kept: Nodes that come later harden nothing (L64).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub infeasible: Vec<String>,
}

impl Injected {
    /// What the annotation of an object says. An unreadable or endless one, which somebody else must have written, says nothing.
    #[must_use]
    pub fn recorded(metadata: &Metadata) -> Self {
        let record = metadata.annotations.get(RECORD).and_then(|text| serde_json::from_str(text).ok());
        record.filter(Self::is_modest).unwrap_or_default()
    }

    fn is_modest(&self) -> bool {
        let Self { required, preferred, topology_spread_constraints, infeasible } = self;
        [required.len(), preferred.len(), topology_spread_constraints.len(), infeasible.len()]
            .iter()
            .all(|count| *count <= MOST)
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The part of it that a pod template has.
    #[must_use]
    pub fn present_in(&self, template: &PodTemplate) -> Self {
        let terms = &template.pod_anti_affinity;
        Self {
            required: present(&self.required, &terms.required),
            preferred: present(&self.preferred, &terms.preferred),
            topology_spread_constraints: present(
                &self.topology_spread_constraints,
                &template.topology_spread_constraints,
            ),
            infeasible: self.infeasible.clone(),
        }
    }

    /// The part of it that `other` has too. What was infeasible is for the record itself to say.
    pub(super) fn within(&self, other: &Self) -> Self {
        Self {
            required: present(&self.required, &other.required),
            preferred: present(&self.preferred, &other.preferred),
            topology_spread_constraints: present(&self.topology_spread_constraints, &other.topology_spread_constraints),
            infeasible: self.infeasible.clone(),
        }
    }

    /// All that is in one or the other.
    pub(super) fn and(mut self, other: Self) -> Self {
        add(&mut self.required, other.required);
        add(&mut self.preferred, other.preferred);
        add(&mut self.topology_spread_constraints, other.topology_spread_constraints);
        add(&mut self.infeasible, other.infeasible);
        self
    }

    /// Whether everything in it is in `other` too.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        self.required.iter().all(|term| other.required.contains(term))
            && self.preferred.iter().all(|term| other.preferred.contains(term))
            && self.topology_spread_constraints.iter().all(|each| other.topology_spread_constraints.contains(each))
    }

    /// Whether any of it is soft.
    #[must_use]
    pub fn has_soft(&self) -> bool {
        !self.preferred.is_empty() || self.topology_spread_constraints.iter().any(|each| !each.is_required())
    }

    /// What a revision's template has, `template` lacks, and looks like an injection on a topology key that `is_wanted` knows:
    /// what was ours when the record was lost with the StatefulSet (L94).
    pub(super) fn recognised(
        revision: &PodTemplate,
        template: &PodTemplate,
        selector: &LabelSelector,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Self {
        let is_term = |term: &PodAffinityTerm| {
            is_wanted(&term.topology_key) && *term == PodAffinityTerm::by(selector, &term.topology_key)
        };
        let is_constraint = |constraint: &TopologySpreadConstraint| {
            let plain = TopologySpreadConstraint {
                label_selector: Some(selector.clone()),
                topology_key: constraint.topology_key.clone(),
                max_skew: constraint.max_skew,
                when_unsatisfiable: constraint.when_unsatisfiable.clone(),
                ..TopologySpreadConstraint::default()
            };
            is_wanted(&constraint.topology_key) && *constraint == plain
        };
        let (was, is) = (&revision.pod_anti_affinity, &template.pod_anti_affinity);
        Self {
            required: lost(&was.required, &is.required, is_term),
            preferred: lost(&was.preferred, &is.preferred, |term| is_term(&term.pod_affinity_term)),
            topology_spread_constraints: lost(
                &revision.topology_spread_constraints,
                &template.topology_spread_constraints,
                is_constraint,
            ),
            infeasible: Vec::new(),
        }
    }
}

fn present<T: Eq + Hash + Clone>(ours: &[T], list: &[T]) -> Vec<T> {
    let there = present_in(list, ours);
    ours.iter().filter(|item| there.contains(item)).cloned().collect()
}

fn add<T: PartialEq>(list: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if !list.contains(&other) {
            list.push(other);
        }
    }
}

fn lost<T: Eq + Hash + Clone>(was: &[T], is: &[T], looks_ours: impl Fn(&T) -> bool) -> Vec<T> {
    let is: HashSet<&T> = is.iter().collect();
    was.iter().filter(|item| looks_ours(item) && !is.contains(item)).cloned().collect()
}
