//! A selector, and a StatefulSet.

use quorate::budget::{Coverage, coverage};
use quorate::facts::{LabelSelector, Labels, Operator, StatefulSet};
use serde::Deserialize;

#[derive(Deserialize)]
struct Input {
    selector: Option<LabelSelector>,
    statefulset: StatefulSet,
}

/// Labels that a pod gets from its Node.
const OF_THE_NODE: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// What is said of the pods of a StatefulSet holds of each of them (L50, L137).
pub fn run(input: &[u8]) {
    let Ok(Input { selector, statefulset }) = serde_json::from_slice(input) else { return };
    let said = coverage(selector.as_ref(), &statefulset);
    let Some(selector) = selector else {
        assert_eq!(said, Coverage::Disjoint, "an absent selector selects nothing");
        return;
    };
    if selector.requirements().any(|(key, _, _)| OF_THE_NODE.contains(&key)) {
        assert_eq!(said, Coverage::Disjoint, "what the Nodes say isn't known");
        return;
    }
    // Which pods have which of two revisions isn't known.
    if !(1..=50).contains(&statefulset.replicas) || statefulset.current_revision != statefulset.update_revision {
        return;
    }
    let pods = pods(&statefulset);
    let selected = pods.iter().filter(|pod| selects(&selector, pod)).count();
    assert_eq!(selected, pods.iter().filter(|pod| selector.matches(pod)).count(), "selects as Kubernetes does");
    let truth = match selected {
        0 => Coverage::Disjoint,
        all if all == pods.len() => Coverage::Covers,
        some => Coverage::CoversSome(i32::try_from(some).unwrap_or(i32::MAX)),
    };
    assert_eq!(said, truth, "{selector:?} of {statefulset:?}");
}

/// The labels of each pod, as the StatefulSet controller writes them.
fn pods(statefulset: &StatefulSet) -> Vec<Labels> {
    let pod = |number: i32| {
        let ordinal = i64::from(statefulset.first_ordinal) + i64::from(number);
        let mut labels = statefulset.template.labels.clone();
        let revision = statefulset.current_revision.clone();
        labels.insert("controller-revision-hash".to_owned(), revision.unwrap_or_else(|| "none yet".to_owned()));
        labels.insert(
            "statefulset.kubernetes.io/pod-name".to_owned(),
            format!("{}-{ordinal}", statefulset.metadata.name),
        );
        labels.insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
        labels
    };
    (0..statefulset.replicas).map(pod).collect()
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
