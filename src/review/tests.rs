//! Tables over operations: what is denied, what is eased, and why.

use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;
use crate::facts::{Namespace, Old, StatefulSet};
use crate::policy::Spec;

const NOW: &str = "2026-11-23T12:00:00Z";

fn statefulset(replicas: i32) -> StatefulSet {
    from_value(json!({
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {"metadata": {"labels": {"app": "db"}}}
        }
    }))
    .unwrap()
}

fn policy(name: &str, spec: Value) -> Policy {
    let spec: Spec = from_value(spec).unwrap();
    Policy { name: name.to_owned(), spec }
}

fn surroundings() -> Surroundings {
    Surroundings { namespace: Namespace::bare("shop"), service: None }
}

fn create(object: &StatefulSet) -> Request<'_> {
    Request { object, old: None, dry_run: false }
}

fn update<'a>(object: &'a StatefulSet, old: &'a StatefulSet) -> Request<'a> {
    let spec_changed = object.replicas != old.replicas || object.template != old.template;
    let template_changed = object.template != old.template;
    Request { object, old: Some(Old { object: old, spec_changed, template_changed }), dry_run: false }
}

fn decide(request: &Request<'_>, policies: Vec<Policy>) -> Decision {
    evaluate(request, &surroundings(), &PolicySet::new(policies), NOW.parse().unwrap())
}

fn minimum_of_three() -> Policy {
    policy("three", json!({"validate": {"replicas": {"action": "Deny", "minimum": 3}}}))
}

#[rstest]
#[case::worse(2, 1, Verdict::Deny)]
#[case::better(1, 2, Verdict::Warn)]
#[case::from_enough_to_too_few(3, 2, Verdict::Deny)]
#[case::good(3, 5, Verdict::Allow)]
#[case::from_zero_is_growth(0, 1, Verdict::Warn)]
#[case::to_zero_is_legal(3, 0, Verdict::Allow)]
fn the_ratchet_goes_by_degree_l83(#[case] old: i32, #[case] new: i32, #[case] verdict: Verdict) {
    let (old, new) = (statefulset(old), statefulset(new));
    assert_eq!(decide(&update(&new, &old), vec![minimum_of_three()]).verdict(), verdict);
}

#[rstest]
#[case::not_yet("2026-11-23", 2, Verdict::Warn)]
#[case::over("2026-11-22", 2, Verdict::Deny)]
#[case::over_but_better("2026-11-22", 1, Verdict::Warn)]
fn the_ratchet_ends_with_its_day(#[case] day: &str, #[case] old: i32, #[case] verdict: Verdict) {
    let mut policy = minimum_of_three();
    policy.spec.existing = from_value(json!({"enforceAfter": day})).unwrap();
    let (old, mut new) = (statefulset(old), statefulset(2));
    new.template.labels.insert("changed".to_owned(), "yes".to_owned());
    assert_eq!(decide(&update(&new, &old), vec![policy]).verdict(), verdict);
}

#[test]
fn what_cannot_be_updated_is_never_held_against_an_update_l8() {
    let policy = policy(
        "old",
        json!({"validate": {"headlessService": {"action": "Deny"}}, "existing": {"enforceAfter": "2020-01-01"}}),
    );
    let (old, new) = (statefulset(2), statefulset(3));
    assert_eq!(decide(&create(&new), vec![policy.clone()]).verdict(), Verdict::Deny);
    assert_eq!(decide(&update(&new, &old), vec![policy]).verdict(), Verdict::Warn);
}

#[test]
fn metadata_only_updates_and_terminating_objects_pass_l22() {
    let (old, mut new) = (statefulset(1), statefulset(1));
    new.metadata.labels.insert("team".to_owned(), "a".to_owned());
    let decision = decide(&update(&new, &old), vec![minimum_of_three()]);
    assert!(decision.violations.is_empty());
    let mut worse = statefulset(0);
    worse.metadata.terminating = true;
    let policies = vec![policy(
        "never-zero",
        json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "allowZero": false}}}),
    )];
    assert!(decide(&update(&worse, &old), policies).violations.is_empty());
}

#[test]
fn a_dry_run_cannot_be_denied_for_what_is_absent_l91() {
    let policies = || vec![policy("strict", json!({"validate": {"headlessService": {"action": "Deny"}}}))];
    let object = statefulset(3);
    assert_eq!(decide(&create(&object), policies()).verdict(), Verdict::Deny);
    let dry_run = Request { dry_run: true, ..create(&object) };
    assert_eq!(decide(&dry_run, policies()).verdict(), Verdict::Warn);
    let mut nameless = object.clone();
    nameless.service_name = None;
    let dry_run = Request { dry_run: true, ..create(&nameless) };
    assert_eq!(decide(&dry_run, policies()).verdict(), Verdict::Deny);
}

#[test]
fn the_strictest_of_several_policies_wins_whatever_their_order() {
    let warns = policy("a", json!({"validate": {"replicas": {"action": "Warn", "minimum": 5}}}));
    let denies = policy("b", json!({"validate": {"replicas": {"action": "Deny", "minimum": 2}}}));
    let denies_more = policy("c", json!({"validate": {"replicas": {"action": "Deny", "minimum": 3}}}));
    let object = statefulset(1);
    for policies in [
        vec![warns.clone(), denies.clone(), denies_more.clone()],
        vec![denies_more.clone(), denies.clone(), warns.clone()],
    ] {
        let decision = decide(&create(&object), policies);
        let said: Vec<String> = decision.violations.iter().map(ToString::to_string).collect();
        assert_eq!(said, ["spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or more (policy c)"]);
    }
}

#[test]
fn all_violations_are_told_at_once() {
    let policies = vec![policy(
        "baseline",
        json!({"validate": {"headlessService": {"action": "Deny"}, "replicas": {"action": "Deny", "minimum": 2}}}),
    )];
    insta::assert_snapshot!(decide(&create(&statefulset(1)), policies).denial(), @r#"
    2 violations:
    - spec.serviceName: "db" names no Service in namespace "shop"; apply the headless Service first, then apply this StatefulSet again (policy baseline)
    - spec.replicas: 1 is below the minimum 2; set spec.replicas to 2 or more (policy baseline)
    "#);
}

#[rstest]
#[case::every_namespace(json!({}), true)]
#[case::selected(json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}), true)]
#[case::not_selected(json!({"namespaceSelector": {"matchLabels": {"environment": "production"}}}), false)]
#[case::object_selected(json!({"objectSelector": {"matchLabels": {"app": "db"}}}), true)]
#[case::object_not_selected(json!({"objectSelector": {"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}}), false)]
#[case::namespace_excluded(json!({"excludeNamespaces": ["sh*"]}), false)]
#[case::another_namespace_excluded(json!({"excludeNamespaces": ["sandbox-*"]}), true)]
#[case::name_excluded(json!({"excludeNames": ["d?"]}), false)]
fn a_policy_matches(#[case] selection: Value, #[case] matches: bool) {
    let spec = json!({"match": selection, "validate": {"replicas": {"action": "Deny", "minimum": 3}}});
    let decision = decide(&create(&statefulset(1)), vec![policy("some", spec)]);
    assert_eq!(decision.verdict() == Verdict::Deny, matches);
}

#[rstest]
#[case("kube-system")]
#[case("kube-anything")]
#[case("quorate-system")]
fn some_namespaces_are_never_governed_l20(#[case] namespace: &str) {
    let object = statefulset(1);
    let surroundings = Surroundings { namespace: Namespace::bare(namespace), service: None };
    let policies = PolicySet::new(vec![minimum_of_three()]).without_own_namespace("quorate-system");
    let decision = evaluate(&create(&object), &surroundings, &policies, NOW.parse().unwrap());
    assert_eq!(decision.verdict(), Verdict::Allow);
}

#[test]
fn an_injection_that_is_not_there_is_told_l24_l65() {
    let policies = || {
        vec![policy(
            "spread",
            json!({"mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]}}),
        )]
    };
    let (old, new) = (statefulset(3), statefulset(5));
    insta::assert_snapshot!(decide(&update(&new, &old), policies()).warnings().join("\n"), @"pod anti-affinity: pending injection; it comes with the next change of spec.template");
    assert!(decide(&create(&new), policies()).pending_injection);
}
