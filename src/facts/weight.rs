//! How much memory facts take: what a cache keeps of a namespace has a bound (L132).

use std::collections::BTreeMap;

use super::{
    Autoscaler, Budget, Container, LabelSelector, Metadata, Namespace, Node, NodeFit, NodeRequirement,
    NodeSelectorTerm, Owner, PodAffinityTerm, PodAntiAffinity, PodTemplate, Requirement, Service, StatefulSet, Taint,
    Toleration, TopologySpreadConstraint, WeightedPodAffinityTerm,
};

/// The least that an allocation takes beside what is asked for: the allocator rounds up.
const ALLOCATION: usize = 16;

/// What has a weight.
pub trait Weight: Sized {
    /// About how many bytes belong to it beside those of the value itself.
    fn heap(&self) -> usize;

    /// About how many bytes it takes.
    fn weight(&self) -> usize {
        size_of::<Self>() + self.heap()
    }
}

impl Weight for serde::de::IgnoredAny {
    fn heap(&self) -> usize {
        0
    }
}

impl Weight for String {
    fn heap(&self) -> usize {
        if self.is_empty() { 0 } else { ALLOCATION + self.len() }
    }
}

impl<T: Weight> Weight for Option<T> {
    fn heap(&self) -> usize {
        self.as_ref().map_or(0, Weight::heap)
    }
}

impl<T: Weight> Weight for Vec<T> {
    fn heap(&self) -> usize {
        self.iter().map(Weight::weight).sum()
    }
}

impl<K: Weight, V: Weight> Weight for BTreeMap<K, V> {
    fn heap(&self) -> usize {
        // A node of the tree has room for eleven, and may hold five.
        let member = |(key, value): (&K, &V)| 3 * (size_of::<K>() + size_of::<V>()) / 2 + key.heap() + value.heap();
        self.iter().map(member).sum()
    }
}

macro_rules! weight {
    ($($facts:ident: $($field:ident)*;)*) => {
        $(impl Weight for $facts {
            fn heap(&self) -> usize {
                let mut heap = 0;
                $(heap += self.$field.heap();)*
                heap
            }
        })*
    };
}

weight! {
    Autoscaler: namespace name resource_version target;
    Budget: namespace name uid resource_version finalizers controller selector;
    Container: name;
    LabelSelector: match_labels match_expressions;
    Metadata: namespace name uid resource_version labels annotations controller;
    Namespace: name labels;
    Node: name labels taints;
    NodeFit: node_selector node_affinity tolerations;
    NodeRequirement: key values;
    NodeSelectorTerm: match_expressions match_fields;
    Owner: api_version kind name uid;
    PodAffinityTerm: label_selector topology_key namespaces namespace_selector match_label_keys mismatch_label_keys;
    PodAntiAffinity: required preferred;
    PodTemplate: labels pod_anti_affinity topology_spread_constraints node_fit containers;
    Requirement: key values;
    Service: namespace name kind cluster_ip selector;
    StatefulSet:
        metadata service_name selector template volume_claim_templates current_revision update_revision;
    Taint: key value effect;
    Toleration: key operator value effect;
    TopologySpreadConstraint:
        label_selector topology_key when_unsatisfiable node_affinity_policy node_taints_policy match_label_keys;
    WeightedPodAffinityTerm: pod_affinity_term;
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_a_tenant_makes_large_weighs_much() {
        let budget = |values: usize| -> Budget {
            let values: Vec<_> = (0..values).map(|number| number.to_string()).collect();
            let expression = json!({"key": "app", "operator": "NotIn", "values": values});
            from_value(json!({"metadata": {"name": "db"}, "spec": {"selector": {"matchExpressions": [expression]}}}))
                .unwrap()
        };
        let (light, heavy) = (budget(1).weight(), budget(8_000).weight());
        assert!(light < 1_000, "{light}");
        assert!(heavy > 8_000 * 40, "{heavy}");
    }
}
