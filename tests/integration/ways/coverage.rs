//! How a selector relates to a StatefulSet is how it relates to each of its pods, counted out.

use proptest::prelude::*;
use quorate::budget::{Coverage, coverage};
use quorate::facts::{LabelSelector, Labels, StatefulSet};
use serde_json::{Value, from_value, json};

const PER_POD: [&str; 3] =
    ["apps.kubernetes.io/pod-index", "controller-revision-hash", "statefulset.kubernetes.io/pod-name"];
const KEYS: [&str; 3] = ["app", "tier", "zone"];
const VALUES: [&str; 3] = ["a", "b", "c"];

/// The StatefulSet `db` of three pods with this template, all of one revision.
fn statefulset(template: &Labels) -> StatefulSet {
    from_value(json!({
        "metadata": {"name": "db"},
        "spec": {"replicas": 3, "template": {"metadata": {"labels": template}}},
        "status": {"currentRevision": "a", "updateRevision": "a", "updatedReplicas": 3},
    }))
    .unwrap()
}

/// Its pods, as the StatefulSet controller makes them.
fn pods(template: &Labels) -> Vec<Labels> {
    let pod = |ordinal: u32| {
        let mut pod = template.clone();
        let values = [ordinal.to_string(), "a".to_owned(), format!("db-{ordinal}")];
        pod.extend(PER_POD.map(str::to_owned).into_iter().zip(values));
        pod
    };
    (0..3).map(pod).collect()
}

/// Values that some pod has, and one that none has.
fn values(key: &str) -> &'static [&'static str] {
    match key {
        "apps.kubernetes.io/pod-index" => &["0", "2", "3"],
        "statefulset.kubernetes.io/pod-name" => &["db-0", "db-1", "db-2", "nobody-0"],
        _ => &VALUES,
    }
}

/// Some labels of the template, now and then one that the controller overwrites.
fn template() -> impl Strategy<Value = Labels> {
    let keys = proptest::sample::select([KEYS.as_slice(), &PER_POD[..1]].concat());
    proptest::collection::btree_map(keys.prop_map(str::to_owned), value().prop_map(str::to_owned), 0..4)
}

fn value() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(VALUES.as_slice())
}

/// A selector with any operator about labels of the template and about labels of a pod's own.
fn selector() -> impl Strategy<Value = Value> {
    let requirement = |key: &'static str| {
        let operator = proptest::sample::select(["In", "NotIn", "Exists", "DoesNotExist"].as_slice());
        (operator, proptest::sample::subsequence(values(key), 1..=3)).prop_map(move |(operator, values)| match operator
        {
            "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
            _ => json!({"key": key, "operator": operator}),
        })
    };
    let labels = proptest::collection::btree_map(proptest::sample::select(KEYS.as_slice()), value(), 0..2);
    let about_template =
        proptest::collection::vec(proptest::sample::select(KEYS.as_slice()).prop_flat_map(requirement), 0..3);
    let about_pods = PER_POD.map(|key| proptest::option::weighted(0.3, requirement(key)));
    (labels, about_template, about_pods, proptest::option::weighted(0.2, proptest::sample::select(values(PER_POD[0]))))
        .prop_map(|(mut labels, about_template, about_pods, index)| {
            let mut expressions = about_template;
            let [pod_index, others @ ..] = about_pods;
            match index {
                Some(value) => drop(labels.insert(PER_POD[0], value)),
                None => expressions.extend(pod_index),
            }
            expressions.extend(others.into_iter().flatten());
            json!({"matchLabels": labels, "matchExpressions": expressions})
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn is_that_of_each_pod_l50_l137(template in template(), selector in selector()) {
        let parsed: LabelSelector = from_value(selector.clone()).unwrap();
        let pods = pods(&template);
        let selected = pods.iter().filter(|pod| parsed.matches(pod)).count();
        let expected = match selected {
            0 => Coverage::Disjoint,
            all if all == pods.len() => Coverage::Covers,
            some => Coverage::CoversSome(i32::try_from(some).unwrap()),
        };
        prop_assert_eq!(coverage(Some(&parsed), &statefulset(&template)), expected, "{}", selector);
    }
}

#[test]
fn an_absent_selector_selects_nothing_and_an_empty_one_everything_l50() {
    let template = statefulset(&Labels::from([("app".to_owned(), "db".to_owned())]));
    assert_eq!(coverage(None, &template), Coverage::Disjoint);
    assert_eq!(coverage(Some(&LabelSelector::default()), &template), Coverage::Covers);
}
