//! Label selectors with the full semantics of Kubernetes.

use serde::{Deserialize, Serialize};

use super::Labels;
use super::lenient::{labels, null_as_default};

/// A `LabelSelector`: every requirement must hold. An empty one selects everything; an absent one, which is not a value of
/// this type, selects nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels that must be there with these values.
    #[serde(default, deserialize_with = "labels", skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    /// Requirements on labels.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<Requirement>,
}

/// The longest selector of a StatefulSet that is judged, by [`LabelSelector::length`]: in a namespace may be thousands, and what is
/// compared with one of them is compared with all (L141). People write a few labels.
pub const LONGEST_SELECTOR: usize = 1 << 8;

/// The longest one of a budget. One of ours is a StatefulSet's own, and the names of up to 1,000 pods.
pub const LONGEST_OF_A_BUDGET: usize = 1 << 9;

/// The label with a pod's own name. The StatefulSet controller writes it over the template's.
/// (`pkg/controller/statefulset/stateful_set_utils.go`)
pub const POD_NAME: &str = "statefulset.kubernetes.io/pod-name";

/// One of a selector's `matchExpressions`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// The label's key.
    #[serde(default, deserialize_with = "null_as_default")]
    pub key: String,
    /// How `values` relate to the label.
    #[serde(default, deserialize_with = "null_as_default")]
    pub operator: Operator,
    /// The values of `In` and `NotIn`; empty for the others.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// The operators of a label selector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The label is there with one of the values.
    In,
    /// The label is absent, or has none of the values.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is absent.
    DoesNotExist,
    /// One that Kubernetes does not have: the requirement holds for no object. The API server rejects it, but after us.
    #[default]
    #[serde(other)]
    Unknown,
}

impl LabelSelector {
    /// Every requirement, `matchLabels` included: a key, how its label relates to values, and the values.
    pub fn requirements(&self) -> impl Iterator<Item = (&str, Operator, &[String])> {
        let labels =
            self.match_labels.iter().map(|(key, value)| (key.as_str(), Operator::In, std::slice::from_ref(value)));
        let expressions = self.match_expressions.iter();
        labels.chain(expressions.map(|each| (each.key.as_str(), each.operator, each.values.as_slice())))
    }

    /// How many values and requirements there are: a comparison with a StatefulSet costs so much. Names of pods are told at a
    /// glance from those of others.
    #[must_use]
    pub fn length(&self) -> usize {
        let cost = |each: &Requirement| 1 + each.values.len() / if each.key == POD_NAME { 4 } else { 1 };
        self.match_labels.len() + self.match_expressions.iter().map(cost).sum::<usize>()
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether nothing is required, so that everything is selected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

impl Requirement {
    /// Whether it holds for an object with these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.operator.holds(&self.values, labels.get(&self.key).map(String::as_str))
    }
}

impl Operator {
    /// Whether a requirement with these values holds for a label with this value, or for an object without the label.
    #[must_use]
    pub fn holds(self, values: &[String], label: Option<&str>) -> bool {
        let is_among = |label: &str| values.iter().any(|value| value == label);
        match self {
            Self::In => label.is_some_and(is_among),
            Self::NotIn => !label.is_some_and(is_among),
            Self::Exists => label.is_some(),
            Self::DoesNotExist => label.is_none(),
            Self::Unknown => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;

    #[rstest]
    #[case::empty_selects_everything(json!({}), true)]
    #[case::label_with_its_value(json!({"matchLabels": {"app": "db"}}), true)]
    #[case::label_with_another_value(json!({"matchLabels": {"app": "web"}}), false)]
    #[case::label_that_is_absent(json!({"matchLabels": {"zone": "a"}}), false)]
    #[case::in_with_the_value(json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["x", "db"]}]}), true)]
    #[case::in_without_the_label(json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}), false)]
    #[case::not_in_with_the_value(json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["db"]}]}), false)]
    #[case::not_in_without_the_label(json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]}), true)]
    #[case::exists(json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), true)]
    #[case::does_not_exist(json!({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), false)]
    #[case::null_is_empty(json!({"matchLabels": null, "matchExpressions": null}), true)]
    #[case::all_must_hold(
        json!({"matchLabels": {"app": "db"}, "matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
        false
    )]
    fn selects(#[case] selector: Value, #[case] selected: bool) {
        let selector: LabelSelector = from_value(selector).unwrap();
        let labels = Labels::from([("app".to_owned(), "db".to_owned())]);
        assert_eq!(selector.matches(&labels), selected);
    }
}
