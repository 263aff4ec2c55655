//! Which policies may match an object, without looking at all of them: a cluster may have a policy for each of its teams.

use std::collections::HashMap;
use std::sync::Arc;

use super::Policy;
use super::values::{NamePattern, PolicySelector};
use crate::facts::{Labels, Namespace};

/// Policies by what they can be told apart by. They go by their places in the list that this is an index of.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Those that ask for a label of the Namespace with a certain value.
    by_namespace: ByLabel,
    /// Of the others, those that ask for a label of the StatefulSet with a certain value.
    by_object: ByLabel,
    /// For each policy, whether it is neither.
    others: Vec<bool>,
    /// Each pattern of `excludeNamespaces`, once, and who has it.
    exclusions: Vec<(NamePattern, Vec<usize>)>,
}

/// Places by key and value.
type ByLabel = HashMap<String, HashMap<String, Vec<usize>>>;

impl Index {
    pub(super) fn of(policies: &[Arc<Policy>]) -> Self {
        let mut index = Self { others: vec![false; policies.len()], ..Self::default() };
        let mut exclusions: HashMap<&str, usize> = HashMap::new();
        for (place, policy) in policies.iter().enumerate() {
            let selection = &policy.spec.selection;
            if let Some((key, value)) = selection.namespace_selector.as_ref().and_then(PolicySelector::label) {
                put(&mut index.by_namespace, key, value, place);
            } else if let Some((key, value)) = selection.object_selector.as_ref().and_then(PolicySelector::label) {
                put(&mut index.by_object, key, value, place);
            } else {
                index.others[place] = true;
            }
            for pattern in &selection.exclude_namespaces {
                let number = *exclusions.entry(pattern.as_str()).or_insert_with(|| {
                    index.exclusions.push((pattern.clone(), Vec::new()));
                    index.exclusions.len() - 1
                });
                index.exclusions[number].1.push(place);
            }
        }
        index
    }

    /// The places of the policies that may match an object with these labels in the Namespace, in order. None of them excludes it.
    pub(super) fn candidates(&self, labels: &Labels, namespace: &Namespace) -> impl Iterator<Item = usize> + use<> {
        let mut may_match = self.others.clone();
        for place in found(&self.by_namespace, &namespace.labels).chain(found(&self.by_object, labels)) {
            may_match[place] = true;
        }
        for (_, places) in self.exclusions.iter().filter(|(pattern, _)| pattern.matches(&namespace.name)) {
            for &place in places {
                may_match[place] = false;
            }
        }
        may_match.into_iter().enumerate().filter_map(|(place, may_match)| may_match.then_some(place))
    }
}

fn put(by_label: &mut ByLabel, key: &str, value: &str, place: usize) {
    by_label.entry(key.to_owned()).or_default().entry(value.to_owned()).or_default().push(place);
}

fn found(by_label: &ByLabel, labels: &Labels) -> impl Iterator<Item = usize> {
    labels.iter().filter_map(|(key, value)| by_label.get(key)?.get(value)).flatten().copied()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;

    /// Matched by the namespace `shop` with `team: shop`, an object with `app: db`, or not.
    #[rstest]
    #[case::everything(&json!({}), true)]
    #[case::a_label_of_the_namespace(&json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}}), true)]
    #[case::another_value(&json!({"namespaceSelector": {"matchLabels": {"team": "bank"}}}), false)]
    #[case::another_key(&json!({"namespaceSelector": {"matchLabels": {"app": "db"}}}), false)]
    #[case::a_label_of_the_object(&json!({"objectSelector": {"matchLabels": {"app": "db"}}}), true)]
    #[case::not_of_the_object(&json!({"objectSelector": {"matchLabels": {"team": "shop"}}}), false)]
    #[case::expressions_take_a_look(
        &json!({"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}}), true
    )]
    #[case::excluded(&json!({"excludeNamespaces": ["x", "sh*"]}), false)]
    #[case::selected_and_excluded(
        &json!({"namespaceSelector": {"matchLabels": {"team": "shop"}}, "excludeNamespaces": ["sh*"]}), false
    )]
    #[case::not_excluded(&json!({"excludeNamespaces": ["sh"]}), true)]
    fn leaves_out_what_can_not_match(#[case] selection: &Value, #[case] expected: bool) {
        let policy = |selection: &Value| {
            let spec = from_value(json!({"match": selection})).unwrap();
            Arc::new(Policy { name: "p".to_owned(), spec })
        };
        let others = json!({"excludeNamespaces": ["sh*"]});
        let index = Index::of(&[policy(&others), policy(selection), policy(&json!({}))]);
        let namespace = from_value(json!({"metadata": {"name": "shop", "labels": {"team": "shop"}}})).unwrap();
        let labels = Labels::from([("app".to_owned(), "db".to_owned())]);
        let found: Vec<usize> = index.candidates(&labels, &namespace).collect();
        assert_eq!(found, if expected { vec![1, 2] } else { vec![2] });
    }
}
