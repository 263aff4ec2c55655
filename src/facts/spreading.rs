//! How a pod template spreads its pods: anti-affinity terms and topology spread constraints.
//!
//! These types are both read (what the user has) and written (what Quorate injects), so they keep the shape of Kubernetes'.

use serde::{Deserialize, Serialize};

use super::lenient::null_as_default;
use super::{LabelSelector, Labels};

/// `affinity.podAntiAffinity`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodAntiAffinity {
    /// `requiredDuringSchedulingIgnoredDuringExecution`.
    pub required: Vec<PodAffinityTerm>,
    /// `preferredDuringSchedulingIgnoredDuringExecution`.
    pub preferred: Vec<WeightedPodAffinityTerm>,
}

/// A `PodAffinityTerm`: pods that `label_selector` selects, apart from each other on `topology_key`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// Which pods; absent selects none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// The label of nodes whose value tells the domains apart.
    #[serde(default, deserialize_with = "null_as_default")]
    pub topology_key: String,
    /// The namespaces of the pods; empty, with no `namespace_selector`, is the pod's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// The namespaces of the pods, by their labels; an empty selector is every namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Keys whose values of the incoming pod narrow the selector: `key in (value)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_label_keys: Option<Vec<String>>,
    /// Keys whose values of the incoming pod narrow the selector: `key notin (value)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch_label_keys: Option<Vec<String>>,
}

/// A `WeightedPodAffinityTerm`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightedPodAffinityTerm {
    /// 1 to 100: how much the scheduler prefers it.
    #[serde(default, deserialize_with = "null_as_default")]
    pub weight: i32,
    /// The term.
    #[serde(default, deserialize_with = "null_as_default")]
    pub pod_affinity_term: PodAffinityTerm,
}

/// A `TopologySpreadConstraint`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TopologySpreadConstraint {
    /// Which pods are counted; absent selects none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<LabelSelector>,
    /// By how many pods domains may differ.
    #[serde(default, deserialize_with = "null_as_default")]
    pub max_skew: i32,
    /// The label of nodes whose value tells the domains apart.
    #[serde(default, deserialize_with = "null_as_default")]
    pub topology_key: String,
    /// `DoNotSchedule` or `ScheduleAnyway`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub when_unsatisfiable: String,
    /// The fewest domains there must be, with `DoNotSchedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_domains: Option<i32>,
    /// Whether Nodes that the pod's node affinity leaves out are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_affinity_policy: Option<String>,
    /// Whether Nodes with taints that the pod doesn't tolerate are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_taints_policy: Option<String>,
    /// Keys whose values of the incoming pod narrow the selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_label_keys: Option<Vec<String>>,
}

impl PodAffinityTerm {
    /// The term about the pods of this selector in their own namespace.
    #[must_use]
    pub fn by(selector: &LabelSelector, topology_key: &str) -> Self {
        Self { label_selector: Some(selector.clone()), topology_key: topology_key.to_owned(), ..Self::default() }
    }

    /// Whether the term is about pods with these labels in this namespace: it keeps the pods of one template apart.
    #[must_use]
    pub fn is_about(&self, namespace: &str, labels: &Labels) -> bool {
        let own_namespace = match (&self.namespaces, &self.namespace_selector) {
            (Some(names), _) if names.iter().any(|name| name == namespace) => true,
            (_, Some(selector)) => selector.is_empty(),
            (names, None) => names.as_ref().is_none_or(Vec::is_empty),
        };
        own_namespace
            && self.mismatch_label_keys.as_ref().is_none_or(Vec::is_empty)
            && self.label_selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

impl TopologySpreadConstraint {
    /// Whether the constraint counts pods with these labels.
    #[must_use]
    pub fn is_about(&self, labels: &Labels) -> bool {
        self.label_selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// Whether the scheduler leaves a pod Pending rather than break it.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.when_unsatisfiable == "DoNotSchedule"
    }

    /// Whether it keeps pods apart at all costs: only a `DoNotSchedule` with a skew of 1 does.
    #[must_use]
    pub fn is_hard(&self) -> bool {
        self.is_required() && self.max_skew <= 1
    }
}
