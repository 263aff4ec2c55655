//! Ways around the guard (L135, L136, L139, L142, L143) as tables.

use std::collections::BTreeSet;

use super::*;
use crate::facts::{Budget, Revision};

fn from_zero() -> Policy {
    policy("awake", json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "fromZero": "Deny"}}}))
}

fn by(username: &str) -> Requester<'_> {
    Requester { username, groups: &[], runs_owner: false }
}

/// From zero to too few is what a creation with so few is, whoever took the steps before (L136).
#[rstest]
#[case::too_few(0, 1, "developer", None, Verdict::Deny)]
#[case::still_too_few(0, 2, "developer", None, Verdict::Deny)]
#[case::enough(0, 3, "developer", None, Verdict::Allow)]
#[case::from_one_it_is_growth(1, 2, "developer", None, Verdict::Warn)]
#[case::and_down_again(2, 1, "developer", None, Verdict::Deny)]
#[case::to_zero(2, 0, "developer", None, Verdict::Allow)]
#[case::by_git_ops(0, 1, "system:serviceaccount:argocd:argocd-application-controller", None, Verdict::Deny)]
#[case::by_a_namespace_s_own_account(0, 1, "system:serviceaccount:shop:keda-operator", None, Verdict::Deny)]
#[case::by_an_account_that_sounds_like_one(
    0,
    1,
    "system:serviceaccount:shop:horizontal-pod-autoscaler",
    None,
    Verdict::Deny
)]
#[case::by_the_autoscaler(0, 1, "system:serviceaccount:kube-system:horizontal-pod-autoscaler", None, Verdict::Warn)]
#[case::by_a_manager_without_accounts(0, 1, "system:kube-controller-manager", None, Verdict::Warn)]
#[case::by_keda(0, 1, "system:serviceaccount:keda:keda-operator", None, Verdict::Warn)]
#[case::was_as_small(0, 1, "developer", Some(0), Verdict::Warn)]
#[case::was_larger(0, 1, "developer", Some(1), Verdict::Deny)]
#[case::was_as_small_as_two(0, 2, "developer", Some(1), Verdict::Warn)]
#[case::hibernation(0, 3, "developer", Some(2), Verdict::Allow)]
fn from_zero_is_judged_like_a_creation_l136(
    #[case] from: i32,
    #[case] to: i32,
    #[case] username: &str,
    #[case] highest: Option<u32>,
    #[case] verdict: Verdict,
) {
    let (old, new) = (statefulset(from), statefulset(to));
    let around = Surroundings { claims: highest.into_iter().collect(), ..surroundings() };
    let policies = PolicySet::new(vec![from_zero()]);
    let now: Timestamp = NOW.parse().unwrap();
    for change in [update(&new, &old), by_way(Way::Scale { replicas: to }, &old)] {
        let change = Change { requester: Some(by(username)), ..change };
        let decision = evaluate(&change, &around, &policies, now);
        assert_eq!(decision.verdict(), verdict, "{:?}: {}", change.way, decision.denial());
        if verdict == Verdict::Deny && from == 0 {
            assert!(decision.denial_rests_on().contains(Evidence::CLAIMS));
        }
        // Without the setting it is growth, which warns.
        let decision = evaluate(&change, &around, &PolicySet::new(vec![minimum_of_three()]), now);
        assert_eq!(decision.verdict(), if from == 0 { verdict.min(Verdict::Warn) } else { verdict });
    }
}

/// Ordinals may begin anywhere: hibernation leaves claims of just those.
#[rstest]
#[case::as_small(5, 1, 5, Verdict::Warn)]
#[case::as_small_as_two(5, 2, 6, Verdict::Warn)]
#[case::larger(5, 1, 6, Verdict::Deny)]
#[case::of_ordinals_that_are_left_out_now(1000, 1, 2, Verdict::Deny)]
fn claims_tell_by_their_ordinals_how_small_it_was_l136(
    #[case] start: i32,
    #[case] to: i32,
    #[case] highest: u32,
    #[case] verdict: Verdict,
) {
    let (mut old, mut new) = (statefulset(0), statefulset(to));
    (old.first_ordinal, new.first_ordinal) = (start, start);
    let around = Surroundings { claims: [highest].into_iter().collect(), ..surroundings() };
    for change in [update(&new, &old), by_way(Way::Scale { replicas: to }, &old)] {
        let decision = evaluate(&change, &around, &PolicySet::new(vec![from_zero()]), NOW.parse().unwrap());
        assert_eq!(decision.verdict(), verdict, "{:?}", change.way);
    }
}

/// A finalizer keeps an autoscaler that is being deleted, and it goes on scaling.
#[rstest]
#[case::raises_nothing(1, 3, Verdict::Deny)]
#[case::lowers(3, 1, Verdict::Deny)]
#[case::scales_to_zero_and_wakes(3, 0, Verdict::Deny)]
#[case::also_what_is_at_zero(0, 0, Verdict::Deny)]
#[case::is_off_at_zero(0, 1, Verdict::Allow)]
#[case::lowers_nothing(3, 3, Verdict::Allow)]
fn an_autoscaler_that_is_held_lowers_and_does_not_raise_l135(
    #[case] replicas: i32,
    #[case] floor: i32,
    #[case] verdict: Verdict,
) {
    let around = with_autoscalers(Some(held(&autoscaler(floor))));
    let object = statefulset(replicas);
    let decision = evaluate(&create(&object), &around, &PolicySet::new(vec![from_zero()]), NOW.parse().unwrap());
    assert_eq!(decision.verdict(), verdict, "{}", decision.denial());
}

/// Nor is it out of reach: only its end is let pass.
#[test]
fn an_autoscaler_that_is_held_is_still_judged_l135() {
    let object = statefulset(3);
    let held = |min_replicas| held(&autoscaler(min_replicas));
    let (old, lower) = (held(3), held(0));
    let verdict = |new: Option<&Arc<Autoscaler>>| {
        let change = by_way(Way::Autoscaler { old: Some(&old), new }, &object);
        evaluate(&change, &surroundings(), &PolicySet::new(vec![from_zero()]), NOW.parse().unwrap()).verdict()
    };
    assert_eq!(
        (verdict(Some(&lower)), verdict(Some(&old)), verdict(None)),
        (Verdict::Deny, Verdict::Allow, Verdict::Allow)
    );
}

#[test]
fn an_operator_that_the_policy_names_wakes_as_it_likes_l136() {
    let old = statefulset(0);
    let mut policy = from_zero();
    policy.spec.selection.operators = from_value(json!(["autoscalers/*"])).unwrap();
    for (account, verdict) in [("autoscalers:keda", Verdict::Warn), ("shop:keda", Verdict::Deny)] {
        let username = format!("system:serviceaccount:{account}");
        let change = Change { requester: Some(by(&username)), ..by_way(Way::Scale { replicas: 1 }, &old) };
        assert_eq!(decide(&change, vec![policy.clone()]).verdict(), verdict, "{account}");
    }
}

/// A scale request is judged by its number, but an autoscaler makes more of it at once.
#[rstest]
#[case::raised(Some(3), Verdict::Warn)]
#[case::not_enough(Some(2), Verdict::Deny)]
#[case::alone(None, Verdict::Deny)]
fn an_autoscaler_raises_what_comes_from_zero_l136(#[case] floor: Option<i32>, #[case] verdict: Verdict) {
    let old = statefulset(0);
    let around = with_autoscalers(floor.map(autoscaler));
    let change = by_way(Way::Scale { replicas: 1 }, &old);
    let decision = evaluate(&change, &around, &PolicySet::new(vec![from_zero()]), NOW.parse().unwrap());
    assert_eq!(decision.verdict(), verdict);
}

/// Hibernation under an autoscaler of too low a floor from before: who wakes to enough is warned of the floor, by either way;
/// what takes pods away later is denied by each way.
#[test]
fn who_wakes_to_enough_answers_for_no_autoscaler_l136() {
    let (zero, one, three) = (statefulset(0), statefulset(1), statefulset(3));
    let around = with_autoscalers(Some(autoscaler(1)));
    let policies = PolicySet::new(vec![from_zero()]);
    for (change, verdict) in [
        (update(&three, &zero), Verdict::Warn),
        (by_way(Way::Scale { replicas: 3 }, &zero), Verdict::Allow),
        (update(&one, &zero), Verdict::Deny),
        (by_way(Way::Scale { replicas: 1 }, &zero), Verdict::Deny),
        (update(&one, &three), Verdict::Deny),
        (by_way(Way::Scale { replicas: 1 }, &three), Verdict::Deny),
    ] {
        let decision = evaluate(&change, &around, &policies, NOW.parse().unwrap());
        assert_eq!(decision.verdict(), verdict, "{change:?}");
    }
}

fn held(autoscaler: &Autoscaler) -> Arc<Autoscaler> {
    Arc::new(Autoscaler { terminating: true, ..autoscaler.clone() })
}

fn elsewhere(min_replicas: i32) -> Arc<Autoscaler> {
    Arc::new(Autoscaler { target: None, ..Autoscaler::clone(&autoscaler(min_replicas)) })
}

/// An autoscaler that goes leaves the StatefulSet as `spec.replicas` says (L135).
#[rstest]
#[case::too_few_are_left(1, autoscaler(3), None, Verdict::Warn, Verdict::Deny)]
#[case::enough_are_left(3, autoscaler(3), None, Verdict::Allow, Verdict::Allow)]
#[case::as_few_as_before(2, autoscaler(2), None, Verdict::Warn, Verdict::Warn)]
#[case::better_than_before(2, autoscaler(1), None, Verdict::Warn, Verdict::Warn)]
#[case::at_zero(0, autoscaler(3), None, Verdict::Allow, Verdict::Allow)]
#[case::pointed_elsewhere(1, autoscaler(3), Some(elsewhere(3)), Verdict::Warn, Verdict::Deny)]
#[case::of_something_else(1, elsewhere(3), None, Verdict::Warn, Verdict::Warn)]
#[case::lowered(3, autoscaler(3), Some(autoscaler(1)), Verdict::Deny, Verdict::Deny)]
#[case::pointed_here(3, elsewhere(1), Some(autoscaler(1)), Verdict::Deny, Verdict::Deny)]
#[case::pointed_here_with_enough(1, elsewhere(3), Some(autoscaler(3)), Verdict::Allow, Verdict::Allow)]
fn an_autoscaler_that_goes_is_judged_l135(
    #[case] replicas: i32,
    #[case] old: Arc<Autoscaler>,
    #[case] new: Option<Arc<Autoscaler>>,
    #[case] by_default: Verdict,
    #[case] where_denied: Verdict,
) {
    let object = statefulset(replicas);
    let around = with_autoscalers(Some(old.clone()));
    let closed = policy(
        "closed",
        json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "autoscalerDelete": "Deny"}}}),
    );
    let change = by_way(Way::Autoscaler { old: Some(&old), new: new.as_ref() }, &object);
    for (policy, verdict) in [(minimum_of_three(), by_default), (closed, where_denied)] {
        for dry_run in [false, true] {
            let change = Change { dry_run, ..change };
            let decision = evaluate(&change, &around, &PolicySet::new(vec![policy.clone()]), NOW.parse().unwrap());
            assert_eq!(decision.verdict(), verdict, "{}", decision.denial());
        }
    }
}

#[test]
fn the_stricter_of_two_autoscalers_goes_l135() {
    let object = statefulset(1);
    let named =
        |name: &str, floor| Arc::new(Autoscaler { name: name.to_owned(), ..Autoscaler::clone(&autoscaler(floor)) });
    let (strict, same, lax) = (named("strict", 3), named("same", 3), named("lax", 1));
    let around = |two: [&Arc<Autoscaler>; 2]| {
        let by_name = two.into_iter().map(|each| (each.name.clone(), Arc::clone(each)));
        Surroundings { autoscalers: Arc::new(by_name.collect()), ..surroundings() }
    };
    let closed = json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "autoscalerDelete": "Deny"}}});
    let policies = PolicySet::new(vec![policy("closed", closed)]);
    let decide = |gone: &Arc<Autoscaler>, around: &Surroundings| {
        let change = by_way(Way::Autoscaler { old: Some(gone), new: None }, &object);
        evaluate(&change, around, &policies, NOW.parse().unwrap()).verdict()
    };
    // The other one asks for as many.
    assert_eq!(decide(&strict, &around([&strict, &same])), Verdict::Allow);
    // The other one asked for too few all along.
    assert_eq!(decide(&strict, &around([&strict, &lax])), Verdict::Warn);
    assert_eq!(decide(&lax, &around([&strict, &lax])), Verdict::Allow);
}

/// A rule that is off says nothing, and the action for what goes is never stricter than the rule by itself.
#[rstest]
#[case("Off", Verdict::Allow)]
#[case("Audit", Verdict::Allow)]
#[case("Warn", Verdict::Warn)]
fn an_autoscaler_that_goes_is_judged_no_stricter_by_default_l135(#[case] action: &str, #[case] verdict: Verdict) {
    let (object, old) = (statefulset(1), autoscaler(3));
    let policies =
        PolicySet::new(vec![policy("some", json!({"validate": {"replicas": {"action": action, "minimum": 3}}}))]);
    let change = by_way(Way::Autoscaler { old: Some(&old), new: None }, &object);
    let decision = evaluate(&change, &with_autoscalers(Some(old.clone())), &policies, NOW.parse().unwrap());
    assert_eq!(decision.verdict(), verdict);
}

#[test]
fn the_last_steps_of_an_autoscaler_pass_l135() {
    let (object, old) = (statefulset(1), autoscaler(3));
    let closed = json!({"validate": {"replicas": {"action": "Deny", "minimum": 3, "autoscalerDelete": "Deny"}}});
    let policies = PolicySet::new(vec![policy("closed", closed)]);
    let around = with_autoscalers(Some(old.clone()));
    let change = by_way(Way::Autoscaler { old: Some(&old), new: None }, &object);
    let decide = |change: &Change<'_>, around: &Surroundings| {
        evaluate(change, around, &policies, NOW.parse().unwrap()).verdict()
    };
    insta::assert_snapshot!(evaluate(&change, &around, &policies, NOW.parse().unwrap()).denial(), @"StatefulSet db: spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or more first, as HorizontalPodAutoscaler db no longer raises it (policy closed)");
    let collector = by("system:serviceaccount:kube-system:generic-garbage-collector");
    assert_eq!(decide(&Change { requester: Some(collector), ..change }, &around), Verdict::Allow);
    let mut leaving = around.clone();
    Arc::make_mut(&mut leaving.namespace).terminating = true;
    assert_eq!(decide(&change, &leaving), Verdict::Allow);
    let mut going = object.clone();
    going.metadata.terminating = true;
    assert_eq!(decide(&Change { object: &going, ..change }, &around), Verdict::Allow);
    // Its finalizers are removed, or somebody deletes it a second time.
    let ended = held(&old);
    for new in [None, Some(&ended)] {
        let change = by_way(Way::Autoscaler { old: Some(&ended), new }, &object);
        assert_eq!(decide(&change, &with_autoscalers(Some(ended.clone()))), Verdict::Allow);
    }
}

/// An autoscaler that is being deleted raises nothing (L135), and a Service that is being deleted is missing (L142).
#[test]
fn what_is_being_deleted_does_not_count_for_a_creation_l135_l142() {
    let object = statefulset(1);
    let leaving = held(&autoscaler(3));
    let policies = PolicySet::new(vec![minimum_of_three()]);
    let now: Timestamp = NOW.parse().unwrap();
    let verdict = |around: &Surroundings| evaluate(&create(&object), around, &policies, now).verdict();
    assert_eq!(verdict(&with_autoscalers(Some(autoscaler(3)))), Verdict::Allow);
    assert_eq!(verdict(&with_autoscalers(Some(leaving))), Verdict::Deny);

    let policies =
        PolicySet::new(vec![policy("headless", json!({"validate": {"headlessService": {"action": "Deny"}}}))]);
    let present = service(&json!({"clusterIP": "None", "selector": {"app": "db"}}));
    let leaving = Arc::new(Service { terminating: true, ..Service::clone(&present) });
    let around = Surroundings { service: Some(Arc::clone(&leaving)), ..surroundings() };
    let denied = evaluate(&create(&object), &around, &policies, now);
    insta::assert_snapshot!(denied.denial(), @r#"spec.serviceName: "db" names a Service that is being deleted; wait until it is gone, apply it again, then apply this StatefulSet again (policy headless)"#);
    assert!(denied.denial_rests_on().contains(Evidence::SERVICE));
    // It is there in a dry run as well.
    assert_eq!(
        evaluate(&Change { dry_run: true, ..create(&object) }, &around, &policies, now).verdict(),
        Verdict::Deny
    );
    // What is there already goes on.
    let more = statefulset(3);
    assert_eq!(evaluate(&update(&more, &object), &around, &policies, now).verdict(), Verdict::Warn);
    // The Service's own finalizers are removed by UPDATE.
    let change = by_way(Way::Service { old: Some(&leaving), new: Some(&leaving) }, &object);
    assert_eq!(evaluate(&change, &around, &policies, now).verdict(), Verdict::Allow);
    // Its successor of the same name is judged while it is still there.
    let other = service(&json!({"clusterIP": "10.0.0.1", "selector": {"app": "db"}}));
    let change = by_way(Way::Service { old: None, new: Some(&other) }, &object);
    assert_eq!(evaluate(&change, &around, &policies, now).verdict(), Verdict::Deny);
}

#[test]
fn a_dry_run_of_a_deletion_is_judged_as_the_deletion_l91() {
    let object = statefulset(3);
    let old = service(&json!({"clusterIP": "None", "selector": {"app": "db"}}));
    let strict = json!({"validate": {"headlessService": {"action": "Deny", "serviceDelete": "Deny"}}});
    let around = Surroundings { service: Some(Arc::clone(&old)), ..surroundings() };
    let change = Change { dry_run: true, ..by_way(Way::Service { old: Some(&old), new: None }, &object) };
    let policies = PolicySet::new(vec![policy("strict", strict)]);
    assert_eq!(evaluate(&change, &around, &policies, NOW.parse().unwrap()).verdict(), Verdict::Deny);
}

/// What the annotations of an exemption are, for short: rules, reason, until, inject.
type Claimed = (Option<&'static str>, Option<&'static str>, Option<&'static str>, Option<&'static str>);

fn claiming((rules, reason, until, inject): Claimed) -> StatefulSet {
    let mut object = statefulset(3);
    let all = [
        ("quorate.dev/exempt", rules),
        ("quorate.dev/exempt-reason", reason),
        ("quorate.dev/exempt-until", until),
        ("quorate.dev/inject", inject),
    ];
    for (key, value) in all {
        value.map(|value| object.metadata.annotations.insert(key.to_owned(), value.to_owned()));
    }
    object
}

/// Every transition of rules, reason, date and `inject` by somebody who may not exempt: it is denied wherever the exemption then
/// counts, under some policy that matches, for a rule, at a moment or for a reason for which it did not count before (L139).
#[test]
fn whatever_comes_to_count_is_reviewed_l139() {
    let rules = [None, Some("replicas"), Some(" replicas , spread")];
    let reasons = [None, Some("why"), Some("another")];
    let dates = [None, Some("2026-11-01"), Some("2026-12-01"), Some("2027-01-31"), Some("2099-01-01"), Some("soon")];
    let injects = [None, Some("disabled "), Some("Disabled")];
    let who = json!({"groups": ["platform-admins"]});
    let with = |extra: Value| {
        let mut exemptions = who.clone();
        exemptions.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let validate = json!({"replicas": {"action": "Deny", "minimum": 3}, "spread": {"action": "Warn"}});
        let mutate = json!({"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]});
        policy("some", json!({"validate": validate, "mutate": mutate, "exemptions": exemptions}))
    };
    let variants = [
        json!({}),
        json!({"maxDays": 90}),
        json!({"requireReason": true}),
        json!({"requireReason": true, "maxDays": 90}),
    ];
    let policies: Vec<PolicySet> = variants.into_iter().map(|extra| PolicySet::new(vec![with(extra)])).collect();
    let mut claims: Vec<Claimed> = Vec::new();
    for rules in rules {
        for reason in reasons {
            for until in dates {
                claims.extend(injects.map(|inject| (rules, reason, until, inject)));
            }
        }
    }
    let moments: Vec<Timestamp> = ["2026-11-23T12:00:00Z", "2026-12-15T12:00:00Z", "2027-03-01T12:00:00Z"]
        .into_iter()
        .map(|moment| moment.parse().unwrap())
        .collect();
    // What an exemption is good for: by policy, moment and rule; injection is one more of those.
    let worth = |object: &StatefulSet, set: &PolicySet, moment: Timestamp| -> BTreeSet<String> {
        let mut worth: BTreeSet<String> =
            exempted(&object.metadata, set.all(), moment).into_iter().map(|rule| rule.name().to_owned()).collect();
        let exemption = Exemption::of(&object.metadata);
        let counts = exemption.is_some_and(|exemption| {
            exemption.disables_injection()
                && set.all().iter().all(|policy| exemption.objection(policy, moment).is_none())
        });
        worth.extend(counts.then(|| "injection".to_owned()));
        worth
    };
    let now = moments[0];
    let objects: Vec<(Claimed, StatefulSet)> = claims.into_iter().map(|claim| (claim, claiming(claim))).collect();
    let worths: Vec<Vec<BTreeSet<String>>> = objects
        .iter()
        .map(|(_, object)| {
            policies.iter().flat_map(|set| moments.iter().map(move |moment| worth(object, set, *moment))).collect()
        })
        .collect();
    let mut seen = 0;
    for (old_at, (old_claim, old)) in objects.iter().enumerate() {
        for (new_at, (new_claim, new)) in objects.iter().enumerate() {
            let changed =
                Change { old: Some(Old { object: old, spec_changed: false, template_changed: false }), ..create(new) };
            for (at, set) in policies.iter().enumerate() {
                // What is worth more at some moment, of what is known of moments now.
                let more = (0..moments.len()).any(|moment| {
                    let place = at * moments.len() + moment;
                    // What nobody touches comes within reach by the days alone.
                    !worths[new_at][place].is_subset(&worths[old_at][place])
                });
                if more {
                    seen += 1;
                    let decision = evaluate(&changed, &surroundings(), set, now);
                    assert_eq!(
                        decision.verdict(),
                        Verdict::Deny,
                        "{old_claim:?} -> {new_claim:?} under {:?}",
                        set.all()[0].spec.exemptions
                    );
                }
            }
        }
        // Removing everything is never reviewed, nor is what stays as it is.
        let bare = statefulset(3);
        for new in [&bare, old] {
            let change =
                Change { old: Some(Old { object: old, spec_changed: false, template_changed: false }), ..create(new) };
            for set in &policies {
                assert_ne!(evaluate(&change, &surroundings(), set, now).verdict(), Verdict::Deny, "{old_claim:?}");
            }
        }
    }
    assert!(seen > 1000, "{seen}");
}

/// An exemption that was written where no policy asked who, under which it counts as soon as the labels change (L139).
#[test]
fn a_label_that_brings_a_policy_about_brings_the_review_too_l139() {
    let strict = |name: &str, users: &[&str]| {
        let spec = json!({
            "match": {"objectSelector": {"matchLabels": {"tier": name}}},
            "validate": {"replicas": {"action": "Deny", "minimum": 3}},
            "exemptions": {"maxDays": 90, "users": users},
        });
        policy(name, spec)
    };
    let policies = || vec![strict("gold", &["ada"]), strict("silver", &["ada"]), strict("lead", &["bert"])];
    let tier = |tier: Option<&str>, until: &str| {
        let mut object = exempt(statefulset(1), "replicas", None, Some(until));
        tier.map(|tier| object.metadata.labels.insert("tier".to_owned(), tier.to_owned()));
        object
    };
    let verdict = |old: &StatefulSet, new: &StatefulSet, username: &str| {
        let old = Old { object: old, spec_changed: false, template_changed: false };
        decide(&Change { old: Some(old), requester: Some(by(username)), ..create(new) }, policies()).verdict()
    };
    let (soon, late) = ("2026-12-01", "2099-01-01");
    assert_eq!(verdict(&tier(None, soon), &tier(Some("gold"), soon), "developer"), Verdict::Deny);
    assert_eq!(verdict(&tier(None, soon), &tier(Some("gold"), soon), "ada"), Verdict::Allow);
    // Who may exempt under the other policy has been asked already.
    assert_eq!(verdict(&tier(Some("silver"), soon), &tier(Some("gold"), soon), "developer"), Verdict::Deny);
    assert_eq!(verdict(&tier(Some("lead"), soon), &tier(Some("gold"), soon), "developer"), Verdict::Deny);
    // One that does not count harms nothing until it comes within reach.
    assert_eq!(verdict(&tier(None, late), &tier(Some("gold"), late), "developer"), Verdict::Allow);
    assert_eq!(verdict(&tier(Some("gold"), late), &tier(Some("gold"), soon), "developer"), Verdict::Deny);
    // To leave a policy is what labels are for.
    assert_eq!(verdict(&tier(Some("gold"), soon), &tier(None, soon), "developer"), Verdict::Allow);
}

/// Nothing is added to what adopts running pods, so that nothing about it is infeasible (L143).
#[test]
fn what_adopts_running_pods_is_not_infeasible_l143() {
    let object = statefulset(3);
    let term = json!({"topologyKey": "kubernetes.io/hostname", "mode": "Required", "whenInfeasible": "Deny"});
    let spec = json!({"mutate": {"podAntiAffinity": [term], "onExisting": "Require"}});
    let policies = PolicySet::new(vec![policy("apart", spec)]);
    let verdict = |around: &Surroundings| evaluate(&create(&object), around, &policies, NOW.parse().unwrap()).verdict();
    let revisions = vec![Revision::default()];
    let orphans = Surroundings { orphaned_revisions: revisions, ..with_nodes(2) };
    assert_eq!(verdict(&with_nodes(2)), Verdict::Deny);
    assert_eq!(verdict(&orphans), Verdict::Deny, "no pods, no claims");
    assert_eq!(verdict(&Surroundings { has_pods: true, ..orphans.clone() }), Verdict::Warn);
    assert_eq!(verdict(&Surroundings { claims: [0].into_iter().collect(), ..orphans }), Verdict::Warn);
    let decision = evaluate(&create(&object), &with_nodes(2), &policies, NOW.parse().unwrap());
    assert!(decision.denial_rests_on().contains(Evidence::REVISIONS));
}

/// Where the pods that run are placed in another way, they restart anyway: nobody gets rid of ours by terms that come and go.
#[test]
fn what_is_placed_in_another_way_is_injected_though_it_adopts_l143() {
    let object = statefulset(3);
    let constraint = json!({
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {"app": "db"}, "matchExpressions": []},
        "matchLabelKeys": ["version"],
    });
    let mut revision = Revision { template: object.template.clone(), ..Revision::default() };
    let around = |revision: &Revision| Surroundings {
        claims: [0].into_iter().collect(),
        orphaned_revisions: vec![revision.clone()],
        ..surroundings()
    };
    let policies = [spreading(json!({}))];
    let plan =
        |revision: &Revision| injection(&create(&object), &around(revision), &policies, NOW.parse().unwrap()).injection;
    assert_eq!(plan(&revision), mutate::Injection::Nothing);
    revision.template.topology_spread_constraints = vec![from_value(constraint).unwrap()];
    assert_ne!(plan(&revision), mutate::Injection::Nothing);
}

/// Only what adopts running pods is left as they are: claims or pods, and a revision of a StatefulSet of this name (L94, L143).
#[rstest]
#[case::nothing(false, false, false, true)]
#[case::claims_alone(false, true, false, true)]
#[case::pods_of_nobody(false, false, true, true)]
#[case::a_revision_alone(true, false, false, true)]
#[case::a_revision_and_claims(true, true, false, false)]
#[case::a_revision_and_pods(true, false, true, false)]
fn what_adopts_running_pods_is_left_alone_l143(
    #[case] has_revision: bool,
    #[case] has_claims: bool,
    #[case] has_pods: bool,
    #[case] injected: bool,
) {
    let object = statefulset(3);
    let around = Surroundings {
        claims: has_claims.then_some(0).into_iter().collect(),
        has_pods,
        orphaned_revisions: has_revision.then(Revision::default).into_iter().collect(),
        ..surroundings()
    };
    let policies = [spreading(json!({}))];
    let plan = injection(&create(&object), &around, &policies, NOW.parse().unwrap());
    assert_eq!(plan.injection != mutate::Injection::Nothing, injected);
    // The other webhook says that what is left alone is yet to come.
    let set = PolicySet::new(vec![(*policies[0]).clone()]);
    assert!(evaluate(&create(&object), &around, &set, NOW.parse().unwrap()).pending_injection);
}

/// An autoscaler that has an owner may be gone before it raises too few replicas: that is said (L135).
#[rstest]
#[case::created(None, 1, 3, true, true)]
#[case::created_under_one_without_owner(None, 1, 3, false, false)]
#[case::created_with_enough(None, 3, 3, true, false)]
#[case::lowered(Some(3), 1, 3, true, true)]
#[case::as_it_was(Some(1), 1, 3, true, false)]
#[case::to_zero(Some(3), 0, 3, true, false)]
#[case::raised_to_too_few(None, 1, 2, true, false)]
fn who_leans_on_an_autoscaler_with_an_owner_is_told_l135(
    #[case] from: Option<i32>,
    #[case] to: i32,
    #[case] floor: i32,
    #[case] is_owned: bool,
    #[case] is_told: bool,
) {
    let (object, old) = (statefulset(to), from.map(statefulset));
    let owned = Arc::new(Autoscaler { is_owned, ..Autoscaler::clone(&autoscaler(floor)) });
    let around = with_autoscalers(Some(Arc::clone(&owned)));
    let told = |change: &Change<'_>, around: &Surroundings| {
        let policies = PolicySet::new(vec![minimum_of_three()]);
        let warnings = evaluate(change, around, &policies, NOW.parse().unwrap()).warnings();
        warnings.into_iter().filter(|warning| warning.contains("with its owner")).collect::<Vec<_>>()
    };
    let change = old.as_ref().map_or_else(|| create(&object), |old| update(&object, old));
    assert_eq!(told(&change, &around).len(), usize::from(is_told));
    if to == 1 && floor == 3 {
        // The owner comes later.
        let before = autoscaler(floor);
        let change = by_way(Way::Autoscaler { old: Some(&before), new: Some(&owned) }, &object);
        let said = "StatefulSet db: spec.replicas: 1 is below the minimum 3 until HorizontalPodAutoscaler db raises it, which the garbage collector may delete with its owner; set spec.replicas to 3 or more";
        let said_now = told(&change, &with_autoscalers(Some(before.clone())));
        assert_eq!(said_now.iter().filter(|told| told.starts_with(said)).count(), usize::from(is_owned));
        let change = by_way(Way::Autoscaler { old: Some(&owned), new: Some(&owned) }, &object);
        assert!(!is_owned || told(&change, &around).is_empty());
    }
}

/// Ours goes for theirs, which may protect less: that is said (L137).
#[rstest]
#[case::of_one_pod(json!({"selector": {"matchLabels": {"statefulset.kubernetes.io/pod-name": "db-0"}}, "maxUnavailable": 1}), "selects 1 of its 3 pods only")]
#[case::lax(json!({"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": "100%"}), "lets 3 of its 3 pods be evicted")]
#[case::as_strict(json!({"selector": {"matchLabels": {"app": "db"}}, "maxUnavailable": 1}), "")]
#[case::of_others(json!({"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": "100%"}), "")]
fn who_has_our_budget_withdrawn_is_told_l137(#[case] spec: Value, #[case] protects: &str) {
    let object = statefulset(3);
    let theirs = json!({"metadata": {"name": "mine", "namespace": "shop"}, "spec": spec});
    let theirs = Arc::new(from_value::<Budget>(theirs).unwrap());
    let change = by_way(Way::Budget { old: None, new: &theirs }, &object);
    let policies = PolicySet::new(vec![policy("one", json!({"podDisruptionBudget": {"maxUnavailable": 1}}))]);
    let warnings = evaluate(&change, &surroundings(), &policies, NOW.parse().unwrap()).warnings();
    let told = format!(
        "PodDisruptionBudget db-quorate of StatefulSet db will go, as PodDisruptionBudget mine {protects} (policy one)"
    );
    assert_eq!(warnings, if protects.is_empty() { Vec::new() } else { vec![told] });
}
