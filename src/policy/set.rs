//! A set of policies, and which of them match an object.

use std::sync::Arc;

use super::index::Index;
use super::{Mutate, OnInternalError, Policy};
use crate::facts::{Labels, Metadata, Namespace};

/// Policies in the order of their names, so that no result depends on the order of files.
#[derive(Debug, Clone, Default)]
pub struct PolicySet {
    policies: Vec<Arc<Policy>>,
    index: Index,
    on_internal_error: OnInternalError,
    own_namespace: Option<String>,
}

impl PolicySet {
    /// A set of these policies.
    #[must_use]
    pub fn new(policies: Vec<Policy>) -> Self {
        let mut policies: Vec<_> = policies.into_iter().map(Arc::new).collect();
        policies.sort_by(|left, right| left.name.cmp(&right.name));
        Self {
            index: Index::of(&policies),
            on_internal_error: policies.iter().map(|policy| policy.spec.on_internal_error).max().unwrap_or_default(),
            policies,
            own_namespace: None,
        }
    }

    /// The same set, governing nothing in the namespace where Quorate itself runs (L20).
    #[must_use]
    pub fn without_own_namespace(self, namespace: &str) -> Self {
        Self { own_namespace: Some(namespace.to_owned()), ..self }
    }

    /// Every policy, by name.
    #[must_use]
    pub fn all(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// Whether StatefulSets in the namespace are governed at all: those of `kube-*` and Quorate's own never are (L20).
    #[must_use]
    pub fn governs(&self, namespace: &str) -> bool {
        !namespace.starts_with("kube-") && self.own_namespace.as_deref() != Some(namespace)
    }

    /// Whether it takes the Namespace's labels to tell which policies match.
    #[must_use]
    pub fn needs_namespace_labels(&self) -> bool {
        self.by_namespace_labels().next().is_some()
    }

    /// The policies of which only the Namespace's labels tell whether they match, by name.
    pub fn by_namespace_labels(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().map(Arc::as_ref).filter(|policy| policy.spec.selection.namespace_selector.is_some())
    }

    /// The policies that match a StatefulSet, by name.
    #[must_use]
    pub fn matching(&self, statefulset: &Metadata, namespace: &Namespace) -> Vec<Arc<Policy>> {
        if !self.governs(&namespace.name) {
            return Vec::new();
        }
        let candidates = self.index.candidates(&statefulset.labels, namespace).map(|place| &self.policies[place]);
        candidates.filter(|policy| policy.matches(statefulset, namespace)).cloned().collect()
    }

    /// The policies that are about a Namespace, whichever of its StatefulSets they are about, by name.
    pub fn of_namespace<'a>(&'a self, namespace: &'a Namespace) -> impl Iterator<Item = &'a Policy> {
        let is_about = |policy: &&Policy| {
            let selection = &policy.spec.selection;
            selection.namespace_selector.as_ref().is_none_or(|selector| selector.matches(&namespace.labels))
                && !selection.exclude_namespaces.iter().any(|pattern| pattern.matches(&namespace.name))
        };
        let policies = if self.governs(&namespace.name) { self.policies.as_slice() } else { &[] };
        policies.iter().map(Arc::as_ref).filter(is_about)
    }

    /// What to answer about an object of which too little is known to tell which policies match: the strictest word of any.
    #[must_use]
    pub fn on_internal_error(&self) -> OnInternalError {
        self.on_internal_error
    }
}

impl Policy {
    /// Whether there is something that it denies.
    #[must_use]
    pub fn denies(&self) -> bool {
        let infeasible = |wish: &super::AntiAffinity| wish.when_infeasible == super::WhenInfeasible::Deny;
        self.spec.validate.denies()
            || self.spec.exemptions.is_some()
            || self.spec.mutate.pod_anti_affinity.iter().any(infeasible)
    }

    /// Whether it has anything written into StatefulSets: terms and constraints, and the annotation about owners, which goes with
    /// budgets.
    #[must_use]
    pub fn mutates(&self) -> bool {
        let Mutate { pod_anti_affinity, topology_spread_constraints, .. } = &self.spec.mutate;
        !pod_anti_affinity.is_empty()
            || !topology_spread_constraints.is_empty()
            || self.spec.pod_disruption_budget.is_some()
    }

    /// Whether it is about a StatefulSet of this metadata in this Namespace.
    #[must_use]
    pub fn matches(&self, statefulset: &Metadata, namespace: &Namespace) -> bool {
        let selection = &self.spec.selection;
        let selected = |selector: &Option<super::values::PolicySelector>, labels: &Labels| {
            selector.as_ref().is_none_or(|selector| selector.matches(labels))
        };
        selected(&selection.namespace_selector, &namespace.labels)
            && selected(&selection.object_selector, &statefulset.labels)
            && !selection.exclude_names.iter().any(|pattern| pattern.matches(&statefulset.name))
    }
}
