//! L50, L109, L137

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;
use crate::facts::{Labels, Requirement};

/// `db-3`, `db-4` and `db-5`: two of the update revision, one of the current.
fn database() -> StatefulSet {
    from_value(json!({
        "metadata": {"name": "db"},
        "spec": {
            "replicas": 3,
            "ordinals": {"start": 3},
            "template": {"metadata": {"labels": {
                "app": "db",
                "topology.kubernetes.io/zone": "a",
                "statefulset.kubernetes.io/pod-name": "nobody",
            }}},
        },
        "status": {"currentRevision": "db-old", "updateRevision": "db-new", "updatedReplicas": 2},
    }))
    .unwrap()
}

fn label(key: &str, value: &str) -> Value {
    json!({"matchLabels": {key: value}})
}

fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
    json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
}

#[rstest]
#[case::nobodys_pod(label(POD_NAME, "nobody-0"), Coverage::Disjoint)]
#[case::of_the_template(label(POD_NAME, "nobody"), Coverage::Disjoint)]
#[case::one_pod(label(POD_NAME, "db-3"), Coverage::CoversSome(1))]
#[case::before_the_first(label(POD_NAME, "db-2"), Coverage::Disjoint)]
#[case::beyond_the_last(label(POD_NAME, "db-6"), Coverage::Disjoint)]
#[case::leading_zero(label(POD_NAME, "db-03"), Coverage::Disjoint)]
#[case::signed(label(POD_INDEX, "+3"), Coverage::Disjoint)]
#[case::beyond_numbers(label(POD_INDEX, "99999999999999999999"), Coverage::Disjoint)]
#[case::every_pod(expression(POD_NAME, "In", &["db-3", "db-4", "db-5", "db-5", "web-0"]), Coverage::Covers)]
#[case::two_pods(expression(POD_NAME, "In", &["db-3", "db-4"]), Coverage::CoversSome(2))]
#[case::all_but_one(expression(POD_NAME, "NotIn", &["db-3"]), Coverage::CoversSome(2))]
#[case::all_but_nobodys(expression(POD_NAME, "NotIn", &["nobody-0"]), Coverage::Covers)]
#[case::all_but_all(expression(POD_INDEX, "NotIn", &["3", "4", "5"]), Coverage::Disjoint)]
#[case::named(expression(POD_NAME, "Exists", &[]), Coverage::Covers)]
#[case::nameless(expression(POD_INDEX, "DoesNotExist", &[]), Coverage::Disjoint)]
#[case::together_none(
    json!({"matchLabels": {POD_NAME: "db-3", POD_INDEX: "4"}}),
    Coverage::Disjoint
)]
#[case::together_one(
    json!({"matchExpressions": [
        {"key": POD_NAME, "operator": "In", "values": ["db-3", "db-4"]},
        {"key": POD_INDEX, "operator": "NotIn", "values": ["3"]},
    ]}),
    Coverage::CoversSome(1)
)]
#[case::updated(label(REVISION, "db-new"), Coverage::CoversSome(2))]
#[case::not_updated(label(REVISION, "db-old"), Coverage::CoversSome(1))]
#[case::either_revision(expression(REVISION, "In", &["db-old", "db-new"]), Coverage::Covers)]
#[case::another_revision(label(REVISION, "web-new"), Coverage::Disjoint)]
#[case::but_another_revision(expression(REVISION, "NotIn", &["web-new"]), Coverage::Covers)]
#[case::zone_of_the_template(label("topology.kubernetes.io/zone", "a"), Coverage::Disjoint)]
#[case::any_zone(expression("topology.kubernetes.io/zone", "Exists", &[]), Coverage::Disjoint)]
#[case::no_region(expression("topology.kubernetes.io/region", "DoesNotExist", &[]), Coverage::Disjoint)]
fn goes_by_the_pods_that_there_really_are_l137(#[case] selector: Value, #[case] expected: Coverage) {
    let selector: LabelSelector = from_value(selector).unwrap();
    assert_eq!(coverage(Some(&selector), &database()), expected);
}

#[test]
fn before_the_first_status_no_revision_is_named_l137() {
    let mut new = database();
    (new.current_revision, new.update_revision) = (None, None);
    let of = |selector: Value| coverage(Some(&from_value(selector).unwrap()), &new);
    assert_eq!(of(label(REVISION, "db-new")), Coverage::Disjoint);
    assert_eq!(of(expression(REVISION, "NotIn", &["db-new"])), Coverage::Covers);
}

#[test]
fn two_billion_pods_are_not_counted_one_by_one_l137() {
    let mut many = database();
    (many.replicas, many.first_ordinal) = (i32::MAX, i32::MAX);
    let but_one: LabelSelector = from_value(expression(POD_INDEX, "NotIn", &["2147483647"])).unwrap();
    assert_eq!(coverage(Some(&but_one), &many), Coverage::CoversSome(i32::MAX - 1));
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let key = prop::sample::select(vec![POD_NAME, POD_INDEX, REVISION, "app", "tier"]);
    let values = vec!["db-0", "db-1", "db-2", "db-3", "web-0", "0", "1", "2", "3", "01", "old", "new", "db", "x"];
    let values = prop::collection::vec(prop::sample::select(values), 0..4);
    let operators = vec![Operator::In, Operator::NotIn, Operator::Exists, Operator::DoesNotExist, Operator::Unknown];
    (key, prop::sample::select(operators), values).prop_map(|(key, operator, values)| Requirement {
        key: key.to_owned(),
        operator,
        values: values.into_iter().map(str::to_owned).collect(),
    })
}

proptest! {
    /// What is said is what there is, pod by pod.
    #[test]
    fn is_that_of_each_pod_l137(
        replicas in 1..4_i32,
        first in 0..3_i32,
        updated in 0..4_i32,
        same in any::<bool>(),
        match_labels in prop::collection::btree_map("app|tier", "db|x", 0..2),
        match_expressions in prop::collection::vec(requirement(), 0..4),
    ) {
        let updated = updated.min(replicas);
        let (current, update) = if same { ("new", "new") } else { ("old", "new") };
        let statefulset: StatefulSet = from_value(json!({
            "metadata": {"name": "db"},
            "spec": {
                "replicas": replicas,
                "ordinals": {"start": first},
                "template": {"metadata": {"labels": {"app": "db"}}},
            },
            "status": {"currentRevision": current, "updateRevision": update, "updatedReplicas": updated},
        })).unwrap();
        let selector = LabelSelector { match_labels, match_expressions };
        let pods = |updated: i32| (0..replicas).map(move |number| {
            let ordinal = first + number;
            // The highest ordinals are updated first.
            let revision = if number >= replicas - updated { update } else { current };
            BTreeMap::from([
                ("app".to_owned(), "db".to_owned()),
                (POD_NAME.to_owned(), format!("db-{ordinal}")),
                (POD_INDEX.to_owned(), ordinal.to_string()),
                (REVISION.to_owned(), revision.to_owned()),
            ])
        }).collect::<Vec<Labels>>();
        let selected = |updated: i32| pods(updated).iter().filter(|labels| selector.matches(labels)).count();
        let by_revision = !same && selector.match_expressions.iter().any(|each| each.key == REVISION);
        match coverage(Some(&selector), &statefulset) {
            Coverage::Covers => prop_assert_eq!(selected(updated), usize::try_from(replicas).unwrap()),
            // Which pods are of which revision isn't known: some arrangement has some of them.
            Coverage::CoversSome(_) if by_revision => prop_assert!((0..=replicas).any(|updated| selected(updated) > 0)),
            Coverage::CoversSome(count) => {
                prop_assert!(count < replicas);
                prop_assert_eq!(selected(updated), usize::try_from(count).unwrap());
            }
            Coverage::Disjoint => prop_assert_eq!(selected(updated), 0),
        }
    }
}
