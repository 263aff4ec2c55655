//! What a selector says of a template is what it says of every pod that can be made of it, counted out.

use proptest::prelude::*;
use quorate::budget::{Coverage, coverage};
use quorate::facts::{LabelSelector, Labels};
use serde_json::{Value, from_value, json};

const PER_POD: [&str; 3] =
    ["apps.kubernetes.io/pod-index", "controller-revision-hash", "statefulset.kubernetes.io/pod-name"];
const KEYS: [&str; 3] = ["app", "tier", "zone"];
const VALUES: [&str; 3] = ["a", "b", "c"];

/// Every pod that can be made of a template: each label of a pod's own has any value.
fn pods(template: &Labels) -> Vec<Labels> {
    let mut pods = vec![template.clone()];
    for key in PER_POD {
        pods = pods
            .iter()
            .flat_map(|pod| {
                VALUES.map(|value| {
                    let mut pod = pod.clone();
                    pod.insert(key.to_owned(), value.to_owned());
                    pod
                })
            })
            .collect();
    }
    pods
}

/// Some labels of the template, now and then one that the controller overwrites.
fn template() -> impl Strategy<Value = Labels> {
    let keys = proptest::sample::select([KEYS.as_slice(), &PER_POD[..1]].concat());
    proptest::collection::btree_map(keys.prop_map(str::to_owned), value().prop_map(str::to_owned), 0..4)
}

fn value() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(VALUES.as_slice())
}

/// A selector with any operator about labels of the template, and one requirement at most about each label of a pod's own:
/// two could contradict each other, which the API server accepts and nobody means.
fn selector() -> impl Strategy<Value = Value> {
    let requirement = |key: &'static str| {
        let operator = proptest::sample::select(["In", "NotIn", "Exists", "DoesNotExist"].as_slice());
        (operator, proptest::sample::subsequence(VALUES.as_slice(), 1..=2)).prop_map(move |(operator, values)| {
            match operator {
                "In" | "NotIn" => json!({"key": key, "operator": operator, "values": values}),
                _ => json!({"key": key, "operator": operator}),
            }
        })
    };
    let labels = proptest::collection::btree_map(proptest::sample::select(KEYS.as_slice()), value(), 0..2);
    let about_template =
        proptest::collection::vec(proptest::sample::select(KEYS.as_slice()).prop_flat_map(requirement), 0..3);
    let about_pods = PER_POD.map(|key| proptest::option::weighted(0.3, requirement(key)));
    (labels, about_template, about_pods, proptest::option::weighted(0.2, value())).prop_map(
        |(mut labels, about_template, about_pods, index)| {
            let mut expressions = about_template;
            let [pod_index, others @ ..] = about_pods;
            match index {
                Some(value) => drop(labels.insert(PER_POD[0], value)),
                None => expressions.extend(pod_index),
            }
            expressions.extend(others.into_iter().flatten());
            json!({"matchLabels": labels, "matchExpressions": expressions})
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn says_of_a_template_what_holds_for_every_pod_of_it_l50(template in template(), selector in selector()) {
        let parsed: LabelSelector = from_value(selector.clone()).unwrap();
        let pods = pods(&template);
        let selected = pods.iter().filter(|pod| parsed.matches(pod)).count();
        let expected = match selected {
            0 => Coverage::Disjoint,
            all if all == pods.len() => Coverage::Covers,
            _ => Coverage::MayCover,
        };
        prop_assert_eq!(coverage(Some(&parsed), &template), expected, "{}", selector);
    }
}

#[test]
fn an_absent_selector_selects_nothing_and_an_empty_one_everything_l50() {
    let template = Labels::from([("app".to_owned(), "db".to_owned())]);
    assert_eq!(coverage(None, &template), Coverage::Disjoint);
    assert_eq!(coverage(Some(&LabelSelector::default()), &template), Coverage::Covers);
}
