use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;
use crate::budget::{Apart, Candidate, Terms, desired};
use crate::facts::{Amount, UnhealthyPodEvictionPolicy};

fn statefulset(replicas: i32) -> Arc<StatefulSet> {
    Arc::new(
        from_value(json!({
            "metadata": {"name": "db", "namespace": "shop", "uid": "s1"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": "db"}},
                "template": {"metadata": {"labels": {"app": "db"}}},
            },
            "status": {"replicas": replicas, "readyReplicas": replicas},
        }))
        .unwrap(),
    )
}

fn owner(uid: &str) -> Value {
    json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": uid, "controller": true}])
}

fn ours(changes: &Value) -> Budget {
    let mut budget = json!({
        "metadata": {
            "name": "db-quorate",
            "namespace": "shop",
            "uid": "b1",
            "labels": {"app.kubernetes.io/managed-by": "quorate"},
            "ownerReferences": owner("s1"),
        },
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": {"app": "db"}},
        },
    });
    json_patch::merge(&mut budget, changes);
    from_value(budget).unwrap()
}

/// Ours, being deleted, which a finalizer prevents.
fn held(changes: &Value) -> Budget {
    let finalizers = vec!["example.com/a".to_owned()];
    Budget { terminating: true, finalizers, ..ours(changes) }
}

/// One that somebody filled up.
fn full(mut budget: Budget) -> Budget {
    budget.written.others = 1_500_000;
    budget
}

fn theirs(name: &str, spec: &Value, status: &Value) -> Budget {
    from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec, "status": status})).unwrap()
}

fn steps(replicas: i32, budgets: &[Budget]) -> Vec<String> {
    let sets = [statefulset(replicas)];
    let terms = Terms {
        max_unavailable: Amount::Pods(1),
        unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy::AlwaysAllow,
        policy: "baseline".to_owned(),
    };
    let wanted = desired(&[Candidate { statefulset: &sets[0], terms: Ok(&terms), apart: Apart::No }], budgets);
    plan(&sets, &wanted, budgets).iter().map(word).collect()
}

fn word(step: &Step) -> String {
    match step {
        Step::Delete { reason, .. } => format!("delete {}", reason.as_ref().map_or("", Reason::name)),
        Step::Correct { budget, spec: Spec::Kept(_), .. } => format!("correct {}", budget.uid),
        Step::Correct { budget, spec: Spec::Empty, .. } => format!("empty {}", budget.uid),
        Step::Correct { budget, spec: Spec::Same, .. } => format!("slim {}", budget.uid),
        Step::Held { budget, .. } => format!("held by {}", budget.finalizers.join(" ")),
        Step::Apply { uid, .. } => format!("apply {uid}"),
        Step::Create { kept, .. } => format!("create {}", kept.name),
        Step::Taken { name, .. } => format!("taken {name}"),
        Step::Shared { .. } => "shared".to_owned(),
        Step::Stuck { by, .. } => format!("stuck {by}"),
    }
}

#[rstest]
#[case::absent(3, &[], &["create db-quorate"])]
#[case::as_it_shall_be(3, &[ours(&json!({}))], &[])]
#[case::edited(3, &[ours(&json!({"spec": {"maxUnavailable": 0}}))], &["apply b1"])]
#[case::min_available_added(3, &[ours(&json!({"spec": {"maxUnavailable": null, "minAvailable": 3}}))], &["apply b1"])]
#[case::lost_its_owner(3, &[ours(&json!({"metadata": {"ownerReferences": null}}))], &["apply b1"])]
#[case::lost_its_label(3, &[ours(&json!({"metadata": {"labels": null}}))], &[])]
#[case::of_a_former_one(3, &[ours(&json!({"metadata": {"ownerReferences": owner("s0")}}))], &["delete "])]
#[case::being_deleted(3, &[ours(&json!({"metadata": {"deletionTimestamp": "2027-01-01T00:00:00Z"}}))], &[])]
#[case::being_deleted_and_edited(3, &[held(&json!({"spec": {"maxUnavailable": 0}}))], &["correct b1", "held by example.com/a"])]
#[case::being_deleted_and_held(3, &[held(&json!({}))], &["held by example.com/a"])]
#[case::being_deleted_and_not_wanted(1, &[held(&json!({}))], &["empty b1", "held by example.com/a"])]
#[case::being_deleted_and_empty(1, &[held(&json!({"spec": {"selector": null}}))], &["held by example.com/a"])]
#[case::being_deleted_of_a_former_one(
    3,
    &[held(&json!({"metadata": {"ownerReferences": owner("s0")}, "spec": {"minAvailable": "100%", "maxUnavailable": null}}))],
    &["correct b1", "held by example.com/a"]
)]
#[case::being_deleted_beside_theirs(
    3,
    &[held(&json!({})), theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"disruptionsAllowed": 1}))],
    &["empty b1", "held by example.com/a"]
)]
#[case::filled_up(3, &[full(ours(&json!({})))], &["slim b1"])]
#[case::filled_up_and_edited(3, &[full(ours(&json!({"spec": {"maxUnavailable": 0}})))], &["correct b1"])]
#[case::filled_up_and_not_wanted(1, &[full(ours(&json!({})))], &["empty b1"])]
#[case::filled_up_and_empty(1, &[full(ours(&json!({"spec": {"selector": null}})))], &["slim b1"])]
#[case::filled_up_and_held(3, &[full(held(&json!({})))], &["slim b1", "held by example.com/a"])]
#[case::filled_up_without_an_owner(3, &[full(ours(&json!({"metadata": {"ownerReferences": null}})))], &["slim b1"])]
#[case::scaled_down(1, &[ours(&json!({}))], &["delete TooFewReplicas"])]
#[case::scaled_down_without_owner(1, &[ours(&json!({"metadata": {"ownerReferences": null}}))], &["delete TooFewReplicas"])]
#[case::theirs_came(
    3,
    &[ours(&json!({})), theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"disruptionsAllowed": 1}))],
    &["delete Covered"]
)]
#[case::theirs_is_stuck(
    3,
    &[theirs("x", &json!({"selector": {}, "maxUnavailable": 1}), &json!({"expectedPods": 3, "disruptionsAllowed": 0}))],
    &["stuck x"]
)]
#[case::name_taken(
    3,
    &[theirs("db-quorate", &json!({"selector": {"matchLabels": {"app": "web"}}}), &json!({}))],
    &["taken db-quorate"]
)]
fn leads_to_what_is_wanted_l51_l54_l57_l96_l138(
    #[case] replicas: i32,
    #[case] budgets: &[Budget],
    #[case] expected: &[&str],
) {
    assert_eq!(steps(replicas, budgets), expected);
}

/// L138: while the StatefulSet is being deleted, its pods may run on for long, and none is made.
#[rstest]
#[case::as_it_was(3, 1, &[])]
#[case::edited(3, 0, &["empty b1"])]
#[case::scaled_up(100, 1, &["empty b1"])]
#[case::scaled_up_by_one(4, 1, &["empty b1"])]
#[case::scaled_down(2, 1, &[])]
fn one_that_blocks_what_is_being_deleted_is_emptied_l138(
    #[case] replicas: i32,
    #[case] max_unavailable: i32,
    #[case] expected: &[&str],
) {
    let mut set = StatefulSet::clone(&statefulset(3));
    set.metadata.terminating = true;
    set.replicas = replicas;
    let wanted = [Wanted::None(Reason::Terminating)];
    let changes = json!({"spec": {"maxUnavailable": max_unavailable}});
    for budget in [ours(&changes), Budget { finalizers: Vec::new(), ..held(&changes) }] {
        let steps = plan(&[Arc::new(set.clone())], &wanted, &[budget]);
        assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_is_left_and_can_not_go_is_emptied_l138() {
    let steps = plan(&[], &[], &[held(&json!({})), held(&json!({"spec": {"selector": null}}))]);
    assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["empty b1"]);
}

#[test]
fn what_no_statefulset_is_left_for_goes() {
    let steps = plan(&[], &[], &[ours(&json!({})), theirs("x", &json!({"selector": {}}), &json!({}))]);
    assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["delete "]);
    // A deletion that finalizers hold up is a write, too.
    let steps = plan(&[], &[], &[full(ours(&json!({})))]);
    assert_eq!(steps.iter().map(word).collect::<Vec<_>>(), ["empty b1"]);
}
