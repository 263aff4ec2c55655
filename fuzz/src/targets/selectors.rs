//! A selector, and the labels of a pod template.

use quorate::budget::{Coverage, coverage};
use quorate::facts::{LabelSelector, Labels, Operator};
use serde::Deserialize;

/// What the StatefulSet controller gives to each pod, whatever the template says.
const OF_EACH_POD: [&str; 3] =
    ["controller-revision-hash", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];

#[derive(Deserialize)]
struct Input {
    selector: Option<LabelSelector>,
    #[serde(default)]
    labels: Labels,
}

/// What is said of the pods of a template holds of every pod that there could be (L50).
pub fn run(input: &[u8]) {
    let Ok(Input { selector, labels }) = serde_json::from_slice(input) else { return };
    let said = coverage(selector.as_ref(), &labels);
    let Some(selector) = selector else {
        assert_eq!(said, Coverage::Disjoint, "an absent selector selects nothing");
        return;
    };
    let Some(pods) = pods(&selector, &labels) else { return };
    let selected = pods.iter().filter(|pod| selects(&selector, pod)).count();
    assert_eq!(selected, pods.iter().filter(|pod| selector.matches(pod)).count(), "selects as Kubernetes does");
    let truth = match selected {
        0 => Coverage::Disjoint,
        all if all == pods.len() => Coverage::Covers,
        _ => Coverage::MayCover,
    };
    if said == Coverage::MayCover && truth != said {
        // Never wrong, only careful: about values that no pod has, or that exclude each other.
        assert!(is_odd(&selector), "{said:?}, but {truth:?}: {selector:?} of {labels:?}");
    } else {
        assert_eq!(said, truth, "{selector:?} of {labels:?}");
    }
}

/// Pods with every combination of the values that the selector tells apart; none where there are too many.
fn pods(selector: &LabelSelector, template: &Labels) -> Option<Vec<Labels>> {
    let mut pods = vec![template.clone()];
    for key in OF_EACH_POD {
        let mut values: Vec<&str> = selector.match_labels.get(key).map(String::as_str).into_iter().collect();
        let requirements = selector.match_expressions.iter().filter(|requirement| requirement.key == key);
        values.extend(requirements.flat_map(|requirement| &requirement.values).map(String::as_str));
        values.push("a value that no selector names");
        values.sort_unstable();
        values.dedup();
        if pods.len() * values.len() > 1000 {
            return None;
        }
        let with = |pod: &Labels, value: &str| {
            let mut pod = pod.clone();
            pod.insert(key.to_owned(), value.to_owned());
            pod
        };
        pods = pods.iter().flat_map(|pod| values.iter().map(move |value| with(pod, value))).collect();
    }
    Some(pods)
}

/// The semantics of Kubernetes, written down a second time.
fn selects(selector: &LabelSelector, pod: &Labels) -> bool {
    for (key, value) in &selector.match_labels {
        if pod.get(key) != Some(value) {
            return false;
        }
    }
    for requirement in &selector.match_expressions {
        let value = pod.get(&requirement.key);
        let among = value.is_some_and(|value| requirement.values.iter().any(|each| each == value));
        let holds = match requirement.operator {
            Operator::In => among,
            Operator::NotIn => !among,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Unknown => false,
        };
        if !holds {
            return false;
        }
    }
    true
}

/// Whether the selector asks for several things of one label, or compares with no value at all, which the API server rejects.
fn is_odd(selector: &LabelSelector) -> bool {
    OF_EACH_POD.iter().any(|key| {
        let of_key = || selector.match_expressions.iter().filter(|requirement| requirement.key == *key);
        let asked = of_key().count() + usize::from(selector.match_labels.contains_key(*key));
        asked > 1 || of_key().any(|requirement| requirement.values.is_empty())
    })
}
