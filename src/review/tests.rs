//! Tables over operations: what is denied, what is eased, and why.

use rstest::rstest;
use serde_json::{Value, from_value, json};

use super::*;
use crate::facts::{Autoscaler, Claims, Container, Namespace, Node, Old, Owner, Requester, Service, StatefulSet};
use crate::policy::{OwnedByOperator, Spec};
use crate::rules::Rule;

mod red_team;

const NOW: &str = "2026-11-23T12:00:00Z";
const DEVELOPER: Requester<'static> = Requester { username: "developer", groups: &[], runs_owner: false };

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
    Surroundings { namespace: Arc::new(Namespace::bare("shop")), ..Surroundings::default() }
}

fn create(object: &StatefulSet) -> Change<'_> {
    Change { way: Way::StatefulSet, object, old: None, dry_run: false, requester: Some(DEVELOPER) }
}

fn update<'a>(object: &'a StatefulSet, old: &'a StatefulSet) -> Change<'a> {
    let spec_changed = object.replicas != old.replicas || object.template != old.template;
    let template_changed = object.template != old.template;
    Change { old: Some(Old { object: old, spec_changed, template_changed }), ..create(object) }
}

fn decide(request: &Change<'_>, policies: Vec<Policy>) -> Decision {
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

#[rstest]
#[case::growth_alone_passes(2, 3, "probe", Verdict::Warn)]
#[case::from_zero_too(0, 1, "probe", Verdict::Warn)]
#[case::growth_with_another_change(2, 3, "changed", Verdict::Deny)]
#[case::shrinking(3, 2, "probe", Verdict::Deny)]
fn growth_is_never_denied_even_after_its_day(
    #[case] old: i32,
    #[case] new: i32,
    #[case] label: &str,
    #[case] verdict: Verdict,
) {
    let policy = policy(
        "strict",
        json!({
            "validate": {
                "replicas": {"action": "Deny", "minimum": 3, "even": "Deny"},
                "readinessProbe": {"action": "Deny"},
                "podDisruptionBudget": {"action": "Deny"},
                "spread": {"action": "Deny"},
            },
            "existing": {"enforceAfter": "2020-01-01"},
        }),
    );
    let with_label = |replicas, label: &str| {
        let mut statefulset = statefulset(replicas);
        statefulset.template.labels.insert(label.to_owned(), String::new());
        statefulset.template.containers =
            vec![Container { name: "db".to_owned(), exposes_port: true, has_readiness_probe: false }];
        statefulset
    };
    let (old, new) = (with_label(old, "probe"), with_label(new, label));
    assert_eq!(decide(&update(&new, &old), vec![policy]).verdict(), verdict);
}

/// L80, L83
#[rstest]
#[case::as_few(2, Verdict::Warn)]
#[case::fewer(1, Verdict::Deny)]
#[case::more(3, Verdict::Allow)]
fn an_autoscaler_that_comes_is_judged_by_what_there_was(#[case] min_replicas: i32, #[case] verdict: Verdict) {
    let object = statefulset(2);
    let autoscaler = Arc::new(Autoscaler {
        resource_version: String::new(),
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        target: Some("db".to_owned()),
        min_replicas,
        max_replicas: 9,
        terminating: false,
        is_owned: false,
    });
    let way = Way::Autoscaler { old: None, new: Some(&autoscaler) };
    assert_eq!(decide(&Change { way, ..create(&object) }, vec![minimum_of_three()]).verdict(), verdict);
}

#[rstest]
#[case::nothing_changes(2, Verdict::Warn)]
#[case::worse(1, Verdict::Deny)]
#[case::better(3, Verdict::Allow)]
fn a_scale_request_that_changes_nothing_is_not_enforced(#[case] replicas: i32, #[case] verdict: Verdict) {
    let mut policy = minimum_of_three();
    policy.spec.existing = from_value(json!({"enforceAfter": "2020-01-01"})).unwrap();
    let object = statefulset(2);
    let change = Change { way: Way::Scale { replicas }, ..create(&object) };
    assert_eq!(decide(&change, vec![policy]).verdict(), verdict);
}

/// What is wrong with an exemption is said once, not at every later change by whomever (L22).
#[rstest]
#[case::unknown_rule(json!({"quorate.dev/exempt": "replica"}))]
#[case::no_date(json!({"quorate.dev/exempt": "replicas", "quorate.dev/exempt-until": "soon"}))]
#[case::over(json!({"quorate.dev/exempt": "replicas", "quorate.dev/exempt-until": "2020-01-01"}))]
#[case::endless(json!({"quorate.dev/exempt": "replicas"}))]
fn an_unchanged_exemption_is_not_reviewed_again_l22(#[case] annotations: Value) {
    let policy = policy("strict", json!({"exemptions": {"maxDays": 9, "groups": ["platform"]}}));
    let mut old = statefulset(3);
    old.metadata.annotations = from_value(annotations).unwrap();
    let mut new = old.clone();
    new.metadata.labels.insert("team".to_owned(), "a".to_owned());
    assert_eq!(decide(&update(&new, &old), vec![policy.clone()]).verdict(), Verdict::Allow);
    assert_eq!(decide(&create(&old), vec![policy]).verdict(), Verdict::Deny);
}

/// An operator may copy annotations of its custom resource, which a person wrote.
#[test]
fn an_exemption_that_an_operator_writes_is_reviewed_as_any_other_l133() {
    let mut object = statefulset(3);
    object.metadata.annotations.insert("quorate.dev/exempt".to_owned(), "replicas".to_owned());
    object.metadata.controller = Some(Owner {
        api_version: "operator.example/v1".to_owned(),
        kind: "Database".to_owned(),
        name: "db".to_owned(),
        uid: String::new(),
    });
    let by_operator = Change { requester: Some(OPERATOR), ..create(&object) };
    let policy =
        policy("strict", json!({"match": {"operators": ["operators/*"]}, "exemptions": {"groups": ["platform"]}}));
    for change in [by_operator, create(&object)] {
        assert_eq!(decide(&change, vec![policy.clone()]).verdict(), Verdict::Deny);
    }
}

#[test]
fn a_policy_without_exemptions_is_silent_where_another_allows_them() {
    let annotated = |replicas| {
        let mut statefulset = statefulset(replicas);
        statefulset.metadata.annotations.insert("quorate.dev/exempt".to_owned(), "replicas".to_owned());
        statefulset
    };
    let allows =
        policy("allows", json!({"exemptions": {}, "validate": {"replicas": {"action": "Deny", "minimum": 3}}}));
    let silent = policy("silent", json!({"validate": {"replicas": {"action": "Deny", "minimum": 2}}}));
    let exempt = annotated(2);
    let decision = decide(&create(&exempt), vec![allows.clone(), silent.clone()]);
    assert_eq!(decision.warnings(), Vec::<String>::new());
    assert_eq!(decide(&create(&exempt), vec![silent.clone()]).verdict(), Verdict::Warn);
    let few = annotated(1);
    assert!(decide(&create(&few), vec![allows.clone(), silent.clone()]).denial().contains("policy silent allows none"));
    let set = |policies| PolicySet::new(policies).all().to_vec();
    let now = NOW.parse().unwrap();
    assert_eq!(exempted(&exempt.metadata, &set(vec![allows.clone()]), now), [Rule::Replicas]);
    assert_eq!(exempted(&exempt.metadata, &set(vec![allows, silent]), now), []);
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
    let dry_run = Change { dry_run: true, ..create(&object) };
    assert_eq!(decide(&dry_run, policies()).verdict(), Verdict::Warn);
    let mut nameless = object.clone();
    nameless.service_name = None;
    let dry_run = Change { dry_run: true, ..create(&nameless) };
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
    let surroundings = Surroundings { namespace: Arc::new(Namespace::bare(namespace)), ..Surroundings::default() };
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
    insta::assert_snapshot!(decide(&update(&new, &old), policies()).warnings().join("\n"), @"spreading: pending injection; it comes with the next change of spec.template");
    assert!(decide(&create(&new), policies()).pending_injection);
}

fn autoscaler(min_replicas: i32) -> Arc<Autoscaler> {
    Arc::new(Autoscaler {
        resource_version: String::new(),
        namespace: "shop".to_owned(),
        name: "db".to_owned(),
        target: Some("db".to_owned()),
        min_replicas,
        max_replicas: 9,
        terminating: false,
        is_owned: false,
    })
}

fn by_way<'a>(way: Way<'a>, object: &'a StatefulSet) -> Change<'a> {
    Change { way, ..create(object) }
}

#[rstest]
#[case::down(3, 2, Verdict::Deny)]
#[case::down_again(2, 1, Verdict::Deny)]
#[case::same(2, 2, Verdict::Warn)]
#[case::up_but_not_enough(1, 2, Verdict::Warn)]
#[case::up(3, 5, Verdict::Allow)]
#[case::to_zero(3, 0, Verdict::Allow)]
#[case::from_zero(0, 1, Verdict::Warn)]
fn scaling_is_judged_by_degree_l11_l83(#[case] from: i32, #[case] to: i32, #[case] verdict: Verdict) {
    let object = statefulset(from);
    assert_eq!(decide(&by_way(Way::Scale { replicas: to }, &object), vec![minimum_of_three()]).verdict(), verdict);
}

#[test]
fn a_scale_request_under_an_autoscaler_is_judged_by_its_number_l80() {
    let object = statefulset(3);
    let around = with_autoscalers(Some(autoscaler(1)));
    let policies = PolicySet::new(vec![minimum_of_three()]);
    let up = evaluate(&by_way(Way::Scale { replicas: 5 }, &object), &around, &policies, NOW.parse().unwrap());
    assert_eq!(up.verdict(), Verdict::Allow);
}

#[rstest]
#[case::too_few(None, 1, Verdict::Deny)]
#[case::enough(None, 3, Verdict::Allow)]
#[case::lower_than_before(Some(2), 1, Verdict::Deny)]
#[case::as_before(Some(1), 1, Verdict::Warn)]
#[case::better_than_before(Some(1), 2, Verdict::Warn)]
fn an_autoscaler_is_judged_against_its_target_l80(
    #[case] old: Option<i32>,
    #[case] new: i32,
    #[case] verdict: Verdict,
) {
    let object = statefulset(3);
    let (old, new) = (old.map(autoscaler), autoscaler(new));
    let around = with_autoscalers(old.clone());
    let change = by_way(Way::Autoscaler { old: old.as_ref(), new: Some(&new) }, &object);
    let decision = evaluate(&change, &around, &PolicySet::new(vec![minimum_of_three()]), NOW.parse().unwrap());
    assert_eq!(decision.verdict(), verdict);
}

fn with_autoscalers(autoscaler: Option<Arc<Autoscaler>>) -> Surroundings {
    let by_name = autoscaler.into_iter().map(|each| (each.name.clone(), each));
    Surroundings { autoscalers: Arc::new(by_name.collect()), ..surroundings() }
}

fn service(spec: &Value) -> Arc<Service> {
    Arc::new(from_value(json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": spec})).unwrap())
}

#[rstest]
#[case::still_good(Some(json!({"clusterIP": "None", "selector": {"app": "db"}})), Verdict::Allow)]
#[case::selects_others(Some(json!({"clusterIP": "None", "selector": {"app": "web"}})), Verdict::Deny)]
#[case::gone(None, Verdict::Warn)]
fn a_service_is_judged_for_its_statefulsets_l73_l74(#[case] new: Option<Value>, #[case] verdict: Verdict) {
    let object = statefulset(3);
    let old = service(&json!({"clusterIP": "None", "selector": {"app": "db"}}));
    let new = new.as_ref().map(service);
    let around = Surroundings { service: Some(Arc::clone(&old)), ..surroundings() };
    let policies =
        PolicySet::new(vec![policy("headless", json!({"validate": {"headlessService": {"action": "Deny"}}}))]);
    let change = by_way(Way::Service { old: Some(&old), new: new.as_ref() }, &object);
    let decision = evaluate(&change, &around, &policies, NOW.parse().unwrap());
    assert_eq!(decision.verdict(), verdict);
}

#[test]
fn the_last_steps_of_a_deletion_pass_l98() {
    let object = statefulset(3);
    let old = service(&json!({"clusterIP": "None", "selector": {"app": "db"}}));
    let strict = json!({"validate": {"headlessService": {"action": "Deny", "serviceDelete": "Deny"}}});
    let policies = PolicySet::new(vec![policy("headless", strict)]);
    let around = Surroundings { service: Some(Arc::clone(&old)), ..surroundings() };
    let change = by_way(Way::Service { old: Some(&old), new: None }, &object);
    let decide = |change: &Change<'_>, around: &Surroundings| {
        evaluate(change, around, &policies, NOW.parse().unwrap()).verdict()
    };
    assert_eq!(decide(&change, &around), Verdict::Deny);
    for username in ["namespace-controller", "generic-garbage-collector"] {
        let username = format!("system:serviceaccount:kube-system:{username}");
        let change = Change { requester: Some(Requester { username: &username, ..DEVELOPER }), ..change };
        assert_eq!(decide(&change, &around), Verdict::Allow);
    }
    let mut terminating = around.clone();
    Arc::make_mut(&mut terminating.namespace).terminating = true;
    assert_eq!(decide(&change, &terminating), Verdict::Allow);
    let mut going = object.clone();
    going.metadata.terminating = true;
    assert_eq!(decide(&Change { object: &going, ..change }, &around), Verdict::Allow);
}

const OPERATOR: Requester<'static> =
    Requester { username: "system:serviceaccount:operators:db", groups: &[], runs_owner: true };

#[rstest]
#[case::by_its_operator("db.example.com/v1", OPERATOR, Verdict::Warn)]
#[case::by_a_person("db.example.com/v1", DEVELOPER, Verdict::Deny)]
#[case::of_a_built_in_kind("v1", OPERATOR, Verdict::Deny)]
#[case::of_a_built_in_group("apps/v1", OPERATOR, Verdict::Deny)]
#[case::of_an_extension_of_kubernetes("leaderworkerset.x-k8s.io/v1", OPERATOR, Verdict::Warn)]
fn what_an_operator_writes_is_not_denied_l27(
    #[case] api_version: &str,
    #[case] requester: Requester<'static>,
    #[case] verdict: Verdict,
) {
    let mut object = statefulset(1);
    object.metadata.controller = Some(Owner {
        api_version: api_version.to_owned(),
        kind: "Some".to_owned(),
        name: "db".to_owned(),
        uid: String::new(),
    });
    let change = Change { requester: Some(requester), ..create(&object) };
    assert_eq!(decide(&change, vec![minimum_of_three()]).verdict(), verdict);
    let mut enforcing = minimum_of_three();
    enforcing.spec.selection.owned_by_operator = OwnedByOperator::Enforce;
    assert_eq!(decide(&change, vec![enforcing]).verdict(), Verdict::Deny);
}

fn exempt(mut object: StatefulSet, rules: &str, reason: Option<&str>, until: Option<&str>) -> StatefulSet {
    let mut annotate = |key: &str, value: &str| object.metadata.annotations.insert(key.to_owned(), value.to_owned());
    annotate("quorate.dev/exempt", rules);
    reason.map(|reason| annotate("quorate.dev/exempt-reason", reason));
    until.map(|until| annotate("quorate.dev/exempt-until", until));
    object
}

fn exempting() -> Policy {
    let mut policy = minimum_of_three();
    policy.spec.exemptions =
        from_value(json!({"requireReason": true, "maxDays": 90, "groups": ["platform-admins"], "users": ["gitops"]}))
            .unwrap();
    policy
}

#[rstest]
#[case::counts("replicas", Some("why"), Some("2026-12-31"), Verdict::Allow)]
#[case::last_day("replicas", Some("why"), Some("2026-11-23"), Verdict::Allow)]
#[case::over("replicas", Some("why"), Some("2026-11-22"), Verdict::Deny)]
#[case::last_of_ninety_days("replicas", Some("why"), Some("2027-02-21"), Verdict::Allow)]
#[case::too_long("replicas", Some("why"), Some("2027-02-22"), Verdict::Deny)]
#[case::no_date("replicas", Some("why"), None, Verdict::Deny)]
#[case::no_reason("replicas", None, Some("2026-12-31"), Verdict::Deny)]
#[case::not_a_date("replicas", Some("why"), Some("soon"), Verdict::Deny)]
#[case::another_rule("spread", Some("why"), Some("2026-12-31"), Verdict::Deny)]
#[case::unknown_rule("replicas,replcas", Some("why"), Some("2026-12-31"), Verdict::Deny)]
#[case::several("headlessService, replicas", Some("why"), Some("2026-12-31"), Verdict::Allow)]
fn an_exemption_counts(
    #[case] rules: &str,
    #[case] reason: Option<&str>,
    #[case] until: Option<&str>,
    #[case] verdict: Verdict,
) {
    let object = exempt(statefulset(1), rules, reason, until);
    let admin = [String::from("platform-admins")];
    let requester = Some(Requester { username: "ada", groups: &admin, runs_owner: false });
    let change = Change { requester, ..create(&object) };
    assert_eq!(decide(&change, vec![exempting()]).verdict(), verdict);
    assert_eq!(
        decide(
            &change,
            vec![exempting(), policy("none", json!({"validate": {"replicas": {"action": "Deny", "minimum": 2}}}))]
        )
        .verdict(),
        Verdict::Deny
    );
}

#[test]
fn who_may_exempt_is_reviewed_when_one_is_added_or_extended() {
    let plain = statefulset(1);
    let short = exempt(statefulset(1), "replicas", Some("why"), Some("2026-12-01"));
    let long = exempt(statefulset(1), "replicas", Some("why"), Some("2026-12-31"));
    let more = exempt(statefulset(1), "replicas,spread", Some("why"), Some("2026-12-01"));
    let gitops = Requester { username: "gitops", ..DEVELOPER };
    let verdict = |old: &StatefulSet, new: &StatefulSet, requester| {
        let change = Change { requester: Some(requester), ..update(new, old) };
        decide(&change, vec![exempting()]).verdict()
    };
    for (old, new) in [(&plain, &short), (&short, &long), (&short, &more)] {
        assert_eq!(verdict(old, new, DEVELOPER), Verdict::Deny);
        assert_eq!(verdict(old, new, gitops), Verdict::Allow);
    }
    for (old, new) in [(&short, &plain), (&long, &short), (&more, &short), (&short, &short)] {
        assert_eq!(verdict(old, new, DEVELOPER), Verdict::Allow);
    }
    let change = Change { requester: Some(DEVELOPER), ..update(&short, &plain) };
    insta::assert_snapshot!(decide(&change, vec![exempting()]).denial(), @r#"metadata.annotations[quorate.dev/exempt]: user "developer" may not add, change or extend an exemption; ask group platform-admins or user gitops (policy three)"#);
}

#[test]
fn an_exemption_holds_by_every_way_until_its_day() {
    let object = exempt(statefulset(3), "replicas", Some("why"), Some("2026-12-01"));
    let low = autoscaler(1);
    for way in [Way::Scale { replicas: 1 }, Way::Autoscaler { old: None, new: Some(&low) }] {
        let change = by_way(way, &object);
        assert_eq!(decide(&change, vec![exempting()]).verdict(), Verdict::Allow);
        let later = "2026-12-02T00:00:00Z".parse().unwrap();
        let decision = evaluate(&change, &surroundings(), &PolicySet::new(vec![exempting()]), later);
        assert_eq!(decision.verdict(), Verdict::Deny);
    }
}

#[test]
fn what_an_expired_exemption_covered_is_not_ratcheted() {
    let old = exempt(statefulset(1), "replicas", Some("why"), Some("2026-11-01"));
    let mut new = old.clone();
    new.template.labels.insert("changed".to_owned(), "yes".to_owned());
    assert_eq!(decide(&update(&new, &old), vec![exempting()]).verdict(), Verdict::Deny);
    new.replicas = 2;
    assert_eq!(decide(&update(&new, &old), vec![exempting()]).verdict(), Verdict::Warn);
    let mut labelled = old.clone();
    labelled.metadata.labels.insert("changed".to_owned(), "yes".to_owned());
    assert_eq!(decide(&update(&labelled, &old), vec![exempting()]).verdict(), Verdict::Allow);
}

fn spreading(spec: Value) -> Arc<Policy> {
    let mut spec = spec;
    spec["mutate"] = json!({"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]});
    Arc::new(policy("spreading", spec))
}

fn is_injected(change: &Change<'_>, policies: &[Arc<Policy>]) -> bool {
    injection(change, &surroundings(), policies, NOW.parse().unwrap()).injection != mutate::Injection::Nothing
}

#[test]
fn what_an_operator_writes_is_not_mutated_l27() {
    let mut object = statefulset(3);
    let api_version = "db.example.com/v1".to_owned();
    object.metadata.controller =
        Some(Owner { api_version, kind: "Some".to_owned(), name: "db".to_owned(), uid: String::new() });
    let by = |requester| Change { requester: Some(requester), ..create(&object) };
    let policies = [spreading(json!({}))];
    assert!(!is_injected(&by(OPERATOR), &policies));
    assert!(is_injected(&by(DEVELOPER), &policies));
    assert!(is_injected(&by(OPERATOR), &[spreading(json!({"match": {"ownedByOperator": "Enforce"}}))]));
    let decision =
        evaluate(&by(OPERATOR), &surroundings(), &PolicySet::new(vec![(*policies[0]).clone()]), NOW.parse().unwrap());
    assert!(!decision.pending_injection);
}

#[rstest]
#[case::counts(json!({"requireReason": true, "users": ["gitops"]}), Some("why"), false)]
#[case::no_reason(json!({"requireReason": true}), None, true)]
#[case::no_date(json!({"maxDays": 90}), Some("why"), true)]
#[case::none_allowed(Value::Null, Some("why"), true)]
fn injection_is_disabled_under_the_rules_of_exemptions(
    #[case] exemptions: Value,
    #[case] reason: Option<&str>,
    #[case] injected: bool,
) {
    let mut object = statefulset(3);
    object.metadata.annotations.insert("quorate.dev/inject".to_owned(), "disabled".to_owned());
    if let Some(reason) = reason {
        object.metadata.annotations.insert("quorate.dev/exempt-reason".to_owned(), reason.to_owned());
    }
    let spec = if exemptions.is_null() { json!({}) } else { json!({"exemptions": exemptions}) };
    let policies = [spreading(spec)];
    assert_eq!(is_injected(&create(&object), &policies), injected);
    let by_gitops = Requester { username: "gitops", ..DEVELOPER };
    let change = Change { requester: Some(by_gitops), ..create(&object) };
    let decision = decide(&change, vec![(*policies[0]).clone()]);
    let told = if injected { Verdict::Warn } else { Verdict::Allow };
    assert_eq!(decision.verdict(), told, "{:?}", decision.warnings());
}

fn with_nodes(count: usize) -> Surroundings {
    let node = |number: usize| {
        let name = format!("n{number}");
        let labels = json!({"kubernetes.io/hostname": name});
        let node: Node = from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        (name, Arc::new(node))
    };
    Surroundings { nodes: Arc::new((0..count).map(node).collect()), ..surroundings() }
}

fn denying_the_infeasible() -> PolicySet {
    let term = json!({"topologyKey": "kubernetes.io/hostname", "mode": "Required", "whenInfeasible": "Deny"});
    let spec = json!({"mutate": {"podAntiAffinity": [term]}, "exemptions": {}});
    PolicySet::new(vec![policy("apart", spec)])
}

#[test]
fn an_infeasible_term_is_denied_on_creation_only_l62() {
    let (object, more) = (statefulset(3), statefulset(5));
    let decide = |change: &Change<'_>, around: &Surroundings| {
        evaluate(change, around, &denying_the_infeasible(), NOW.parse().unwrap())
    };
    let denied = decide(&create(&object), &with_nodes(2));
    insta::assert_snapshot!(denied.denial(), @"spec.replicas: 3 exceeds the 2 values of kubernetes.io/hostname on 2 Nodes that fit; set spec.replicas to 2 or fewer, or let more Nodes fit nodeSelector, affinity and tolerations (policy apart)");
    assert!(denied.denial_rests_on().contains(Evidence::NODES | Evidence::CLAIMS));
    assert_ne!(decide(&create(&object), &with_nodes(3)).verdict(), Verdict::Deny);
    // No Node says nothing.
    assert_ne!(decide(&create(&object), &with_nodes(0)).verdict(), Verdict::Deny);
    assert_ne!(decide(&update(&more, &object), &with_nodes(2)).verdict(), Verdict::Deny);
    let claimed = Surroundings { claims: Claims { highest: Some(0) }, ..with_nodes(2) };
    assert_ne!(decide(&create(&object), &claimed).verdict(), Verdict::Deny);
    let scaled = Surroundings { nodes: with_nodes(3).nodes, ..with_autoscalers(Some(autoscaler(3))) };
    insta::assert_snapshot!(decide(&create(&object), &scaled).denial(), @"spec.maxReplicas of HorizontalPodAutoscaler db: 9 exceeds the 3 values of kubernetes.io/hostname on 3 Nodes that fit; set spec.maxReplicas to 3 or fewer, or let more Nodes fit nodeSelector, affinity and tolerations (policy apart)");
    let exempted = exempt(statefulset(3), "spread", None, None);
    assert_ne!(decide(&create(&exempted), &with_nodes(2)).verdict(), Verdict::Deny);
}
