//! A Node, and which Nodes a pod template fits: its nodeSelector, required node affinity and tolerations, as the scheduler
//! takes them.

use serde::Deserialize;

use super::lenient::null_as_default;
use super::{Labels, Metadata};

/// What rules need of a Node. Not whether it is cordoned: a cordon passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its labels: those that selectors look at, and those that tell domains apart.
    pub labels: Labels,
    /// Its taints that keep pods away for good; see [`Taint::passes`].
    pub taints: Vec<Taint>,
}

/// A taint of a Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Taint {
    /// Its key.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key: String,
    /// Its value.
    #[serde(default, deserialize_with = "null_as_default")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub effect: String,
}

/// Which Nodes a pod template fits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFit {
    /// `spec.nodeSelector`: labels that the Node has.
    pub node_selector: Labels,
    /// `spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution`: one of the terms holds; absent asks for
    /// nothing.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// `spec.tolerations`.
    pub tolerations: Vec<Toleration>,
}

/// A `NodeSelectorTerm`: all of it holds. An empty one holds for no Node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeSelectorTerm {
    /// Requirements on labels.
    #[serde(deserialize_with = "null_as_default")]
    pub match_expressions: Vec<NodeRequirement>,
    /// Requirements on fields, of which `metadata.name` is the only one.
    #[serde(deserialize_with = "null_as_default")]
    pub match_fields: Vec<NodeRequirement>,
}

/// A `NodeSelectorRequirement`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct NodeRequirement {
    /// The label's key, or the field.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// How `values` relate to it.
    #[serde(deserialize_with = "null_as_default")]
    pub operator: NodeOperator,
    /// The values; one number for `Gt` and `Lt`.
    #[serde(deserialize_with = "null_as_default")]
    pub values: Vec<String>,
}

/// The operators of a node selector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum NodeOperator {
    /// It is there with one of the values.
    In,
    /// It is absent, or has none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// It is a number greater than the value.
    Gt,
    /// It is a number less than the value.
    Lt,
    /// One that Kubernetes does not have: holds for no Node. The API server rejects it, but after us.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A `Toleration`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// The taint's key; empty is every key.
    #[serde(deserialize_with = "null_as_default")]
    pub key: String,
    /// `Equal` where empty.
    #[serde(deserialize_with = "null_as_default")]
    pub operator: String,
    /// The taint's value.
    #[serde(deserialize_with = "null_as_default")]
    pub value: String,
    /// The taint's effect; empty is every effect.
    #[serde(deserialize_with = "null_as_default")]
    pub effect: String,
}

impl NodeFit {
    /// Whether pods of the template may run on the Node, now or once what passes has passed.
    #[must_use]
    pub fn fits(&self, node: &Node) -> bool {
        self.node_selector.iter().all(|(key, value)| node.labels.get(key) == Some(value))
            && self.node_affinity.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
            && node.taints.iter().all(|taint| self.tolerations.iter().any(|toleration| toleration.tolerates(taint)))
    }
}

/// The most that a StatefulSet may have of what is compared with every Node, by [`NodeFit::effort`]: with 5,000 Nodes that takes
/// some 50 ms. People write a few requirements; a list of a thousand host names is let pass.
pub const LONGEST_NODE_FIT: usize = 1 << 10;

impl NodeFit {
    /// How much there is to compare with each Node.
    #[must_use]
    pub fn effort(&self) -> usize {
        let requirements = |term: &NodeSelectorTerm| {
            let all = term.match_expressions.iter().chain(&term.match_fields);
            1 + all.map(|requirement| 1 + requirement.values.len()).sum::<usize>()
        };
        let terms = self.node_affinity.iter().flatten().map(requirements).sum::<usize>();
        1 + self.node_selector.len() + self.tolerations.len() + terms
    }
}

impl Taint {
    /// Whether the taint tells of a condition that comes and goes: a cordon, a Node that isn't ready, short of memory, or
    /// still being set up. A StatefulSet outlives those.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.key.starts_with("node.kubernetes.io/") || self.key == "node.cloudprovider.kubernetes.io/uninitialized"
    }
}

impl Toleration {
    fn tolerates(&self, taint: &Taint) -> bool {
        let effect = self.effect.is_empty() || self.effect == taint.effect;
        let key = self.key.is_empty() || self.key == taint.key;
        let value = match self.operator.as_str() {
            "" | "Equal" => !self.key.is_empty() && self.value == taint.value,
            // `Exists`, and comparisons of numbers, which are newer than what is promised here: rather feasible than not.
            _ => true,
        };
        effect && key && value
    }
}

impl NodeSelectorTerm {
    fn matches(&self, node: &Node) -> bool {
        let empty = self.match_expressions.is_empty() && self.match_fields.is_empty();
        let name = |field: &str| (field == "metadata.name").then_some(node.name.as_str());
        let label = |key: &str| node.labels.get(key).map(String::as_str);
        !empty
            && self.match_expressions.iter().all(|requirement| requirement.holds_for(label(&requirement.key)))
            && self.match_fields.iter().all(|requirement| requirement.holds_for(name(&requirement.key)))
    }
}

impl NodeRequirement {
    fn holds_for(&self, present: Option<&str>) -> bool {
        let is_among = |value| self.values.iter().any(|each| each == value);
        match self.operator {
            NodeOperator::In => present.is_some_and(is_among),
            NodeOperator::NotIn => !present.is_some_and(is_among),
            NodeOperator::Exists => present.is_some(),
            NodeOperator::DoesNotExist => present.is_none(),
            NodeOperator::Gt => self.compared(present).is_some_and(|(present, bound)| present > bound),
            NodeOperator::Lt => self.compared(present).is_some_and(|(present, bound)| present < bound),
            NodeOperator::Unknown => false,
        }
    }

    fn compared(&self, present: Option<&str>) -> Option<(i64, i64)> {
        let [bound] = self.values.as_slice() else { return None };
        Some((present?.parse().ok()?, bound.parse().ok()?))
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<WireSpec>,
}

#[derive(Default, Deserialize)]
struct WireSpec {
    #[serde(default, deserialize_with = "null_as_default")]
    taints: Vec<Taint>,
}

impl From<Wire> for Node {
    fn from(Wire { metadata, spec }: Wire) -> Self {
        let mut taints = spec.unwrap_or_default().taints;
        taints.retain(|taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute") && !taint.passes());
        Self { name: metadata.name, labels: metadata.labels, taints }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::facts::StatefulSet;

    fn node() -> Value {
        json!({
            "metadata": {"name": "n1", "labels": {"disk": "ssd", "cores": "8"}},
            "spec": {
                "unschedulable": true,
                "taints": [
                    {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"},
                    {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"},
                    {"key": "soft", "effect": "PreferNoSchedule"}
                ]
            }
        })
    }

    fn affinity(terms: &Value) -> Value {
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        affinity(&json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
    }

    fn fits(pod: &Value, node: Value) -> bool {
        let node: Node = from_value(node).unwrap();
        let object: StatefulSet = from_value(json!({"spec": {"template": {"spec": pod}}})).unwrap();
        object.template.node_fit.fits(&node)
    }

    #[rstest]
    #[case::nothing_asked_cordoned_and_not_ready(json!({}), true)]
    #[case::null(json!({"nodeSelector": null, "tolerations": null, "affinity": {"nodeAffinity": null}}), true)]
    #[case::selector(json!({"nodeSelector": {"disk": "ssd"}}), true)]
    #[case::selector_of_others(json!({"nodeSelector": {"disk": "hdd"}}), false)]
    #[case::is_in(expression("disk", "In", &["hdd", "ssd"]), true)]
    #[case::is_in_but_absent(expression("gpu", "In", &["a"]), false)]
    #[case::not_in(expression("disk", "NotIn", &["ssd"]), false)]
    #[case::not_in_and_absent(expression("gpu", "NotIn", &["a"]), true)]
    #[case::exists(expression("disk", "Exists", &[]), true)]
    #[case::does_not_exist(expression("disk", "DoesNotExist", &[]), false)]
    #[case::greater(expression("cores", "Gt", &["7"]), true)]
    #[case::not_greater(expression("cores", "Gt", &["8"]), false)]
    #[case::less(expression("cores", "Lt", &["9"]), true)]
    #[case::less_than_no_number(expression("disk", "Lt", &["9"]), false)]
    #[case::unknown_operator(expression("disk", "Near", &["ssd"]), false)]
    #[case::by_name(affinity(&json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}])), true)]
    #[case::by_another_name(affinity(&json!([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n1"]}]}])), false)]
    #[case::one_term_of_two(
        affinity(&json!([{}, {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}])), true
    )]
    #[case::empty_term(affinity(&json!([{}])), false)]
    #[case::no_terms(affinity(&json!([])), false)]
    fn a_template_fits_a_node(#[case] pod: Value, #[case] expected: bool) {
        assert_eq!(fits(&pod, node()), expected);
    }

    #[rstest]
    #[case::none(json!([]), false)]
    #[case::equal(json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]), true)]
    #[case::another_value(json!([{"key": "dedicated", "operator": "Equal", "value": "web"}]), false)]
    #[case::every_value(json!([{"key": "dedicated", "operator": "Exists"}]), true)]
    #[case::every_key(json!([{"operator": "Exists"}]), true)]
    #[case::another_effect(json!([{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]), false)]
    fn a_taint_needs_a_toleration(#[case] tolerations: Value, #[case] expected: bool) {
        let mut tainted = node();
        tainted["spec"]["taints"] = json!([{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]);
        assert_eq!(fits(&json!({"tolerations": tolerations}), tainted), expected);
    }
}
