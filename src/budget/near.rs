//! The budgets that select pods of a StatefulSet, found without comparing each budget of the namespace (L141).

use std::collections::HashMap;
use std::sync::Arc;

use super::coverage::is_of_each_pod;
use super::{Coverage, coverage};
use crate::facts::{Budget, ByName, LabelSelector, Labels, Operator, StatefulSet};

/// Of the budgets that select pods of one StatefulSet, so many are looked at where the request changes only one of them: that
/// two overlap, two tell, and a message names few.
pub const MOST_NEAR: usize = 8;

/// Things that select, by a label that each of them demands: most labels are demanded by few.
#[derive(Debug)]
pub struct BySelector<T> {
    demanding: HashMap<String, HashMap<String, Vec<T>>>,
    others: Vec<T>,
}

impl<T> Default for BySelector<T> {
    fn default() -> Self {
        Self { demanding: HashMap::new(), others: Vec::new() }
    }
}

impl<T> BySelector<T> {
    /// Adds what selects by this selector.
    pub fn insert(&mut self, selector: &LabelSelector, what: T) {
        let demands = selector
            .requirements()
            .filter(|(key, operator, values)| *operator == Operator::In && values.len() == 1 && !is_of_each_pod(key));
        // The label with the longest value is likely the rarest: a name tells more than `tier: db`.
        match demands.max_by_key(|(_, _, values)| values[0].len()) {
            Some((key, _, values)) => {
                let by_value = self.demanding.entry(key.to_owned()).or_default();
                by_value.entry(values[0].clone()).or_default().push(what);
            }
            None => self.others.push(what),
        }
    }

    /// What may select an object with these labels, and all that does.
    pub fn for_labels(&self, labels: &Labels) -> impl Iterator<Item = &T> {
        let demanding = labels.iter().filter_map(|(key, value)| self.demanding.get(key)?.get(value)).flatten();
        demanding.chain(&self.others)
    }
}

/// The budgets of a namespace, sorted.
#[derive(Debug)]
pub struct Near {
    budgets: ByName<Budget>,
    by_selector: BySelector<Arc<Budget>>,
}

impl Near {
    /// Sorts a namespace's budgets.
    #[must_use]
    pub fn of(budgets: &ByName<Budget>) -> Self {
        let mut by_selector = BySelector::default();
        for budget in budgets.values() {
            if let Some(selector) = &budget.selector {
                by_selector.insert(selector, Arc::clone(budget));
            }
        }
        Self { budgets: Arc::clone(budgets), by_selector }
    }

    /// Of the budgets that select pods of the StatefulSet, `most`, and always the one of this name.
    #[must_use]
    pub fn to(&self, statefulset: &StatefulSet, most: usize, always: Option<&str>) -> ByName<Budget> {
        let is_near = |budget: &&Arc<Budget>| coverage(budget.selector.as_ref(), statefulset) != Coverage::Disjoint;
        let near = self.by_selector.for_labels(&statefulset.template.labels).filter(is_near).take(most);
        let always = always.and_then(|name| self.budgets.get(name));
        Arc::new(near.chain(always).map(|budget| (budget.name.clone(), Arc::clone(budget))).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn budgets(count: usize, selector: &Value) -> ByName<Budget> {
        let budget = |number: usize| {
            let name = format!("b{number}");
            let budget = json!({"metadata": {"name": name}, "spec": {"selector": selector, "maxUnavailable": 1}});
            (name, Arc::new(from_value(budget).unwrap()))
        };
        Arc::new((0..count).map(budget).collect())
    }

    fn statefulset() -> StatefulSet {
        from_value(json!({"metadata": {"name": "db"}, "spec": {"template": {"metadata": {"labels": {"app": "db", "tier": "x"}}}}}))
            .unwrap()
    }

    #[test]
    fn finds_those_that_select_its_pods_l141() {
        for (selector, count) in [
            (json!({"matchLabels": {"app": "db"}}), 20),
            (json!({"matchLabels": {"app": "db", "tier": "y"}}), 0),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}), 20),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), 20),
            (json!({"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}), 20),
            (json!({"matchLabels": {"statefulset.kubernetes.io/pod-name": "web-0"}}), 0),
            (json!({}), 20),
            (json!(null), 0),
        ] {
            let all = budgets(20, &selector);
            let near = Near::of(&all);
            assert_eq!(near.to(&statefulset(), usize::MAX, None).len(), count, "{selector}");
            assert_eq!(near.to(&statefulset(), 3, None).len(), count.min(3), "{selector}");
            assert!(near.to(&statefulset(), 3, Some("b19")).contains_key("b19"), "{selector}");
        }
    }
}
