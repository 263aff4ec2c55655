//! Which Nodes could overturn a denial that rests on Nodes.
//!
//! Such a denial says that the Nodes that fit have too few values of a topology key. Only Nodes with further values matter, and
//! the API server can be asked for those alone: with 5,000 Nodes, nearly always none.

use std::collections::BTreeSet;

use crate::facts::{ByName, Node, NodeFit, NodeOperator, NodeRequirement};

/// The longest selector that is sent. What is between here and the API server may refuse addresses of 8 kB.
const LONGEST: usize = 4000;

/// A label selector of the Nodes that may fit and have a value of the topology key that no fitting Node among `known` has.
/// `None` where it would be too long.
pub(super) fn selector(fit: &NodeFit, topology_key: &str, known: &ByName<Node>) -> Option<String> {
    let fitting = known.values().filter(|node| fit.fits(node));
    let values: BTreeSet<&str> = fitting.filter_map(|node| node.labels.get(topology_key)).map(String::as_str).collect();
    let mut parts = vec![topology_key.to_owned()];
    if !values.is_empty() {
        parts.push(set(topology_key, "notin", values));
    }
    parts.extend(fit.node_selector.iter().map(|(key, value)| format!("{key}={value}")));
    if let Some([term]) = fit.node_affinity.as_deref() {
        parts.extend(term.match_expressions.iter().filter_map(requirement));
    }
    let selector = parts.join(",");
    (selector.len() <= LONGEST).then_some(selector)
}

/// A requirement as a label selector has it, where it has it.
fn requirement(requirement: &NodeRequirement) -> Option<String> {
    let NodeRequirement { key, operator, values } = requirement;
    let values = || values.iter().map(String::as_str);
    match operator {
        NodeOperator::Exists => Some(key.clone()),
        NodeOperator::DoesNotExist => Some(format!("!{key}")),
        NodeOperator::In if values().next().is_some() => Some(set(key, "in", values())),
        NodeOperator::NotIn if values().next().is_some() => Some(set(key, "notin", values())),
        _ => None,
    }
}

fn set<'a>(key: &str, operator: &str, values: impl IntoIterator<Item = &'a str>) -> String {
    let values: Vec<_> = values.into_iter().collect();
    format!("{key} {operator} ({})", values.join(","))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::facts::StatefulSet;

    fn fit(pod: &Value) -> NodeFit {
        let set = json!({"metadata": {"name": "db"}, "spec": {"template": {"spec": pod}}});
        serde_json::from_value::<StatefulSet>(set).unwrap().template.node_fit
    }

    fn nodes(count: usize) -> ByName<Node> {
        let node = |number: usize| {
            let labels = json!({"zone": format!("zone-{number}"), "pool": "db"});
            let node: Node =
                serde_json::from_value(json!({"metadata": {"name": number.to_string(), "labels": labels}})).unwrap();
            (number.to_string(), Arc::new(node))
        };
        Arc::new((0..count).map(node).collect())
    }

    #[test]
    fn asks_for_further_values_only() {
        assert_eq!(selector(&fit(&json!({})), "zone", &nodes(2)).unwrap(), "zone,zone notin (zone-0,zone-1)");
        assert_eq!(selector(&fit(&json!({})), "zone", &nodes(0)).unwrap(), "zone");
        assert_eq!(selector(&fit(&json!({})), "zone", &nodes(5000)), None);
    }

    #[test]
    fn asks_for_nodes_that_may_fit() {
        let term = json!({"matchExpressions": [
            {"key": "disk", "operator": "In", "values": ["ssd", "nvme"]},
            {"key": "gpu", "operator": "DoesNotExist"},
            {"key": "cores", "operator": "Gt", "values": ["8"]},
        ]});
        let affinity = |terms: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        let one = fit(&json!({"nodeSelector": {"pool": "db"}, "affinity": affinity(json!([term]))}));
        assert_eq!(selector(&one, "zone", &nodes(0)).unwrap(), "zone,pool=db,disk in (ssd,nvme),!gpu");
        // Of several terms one is enough.
        let two = fit(&json!({"affinity": affinity(json!([term, term]))}));
        assert_eq!(selector(&two, "zone", &nodes(0)).unwrap(), "zone");
    }
}
