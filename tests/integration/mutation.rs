//! What mutation promises of every StatefulSet, every policy and every cluster.

use std::sync::Arc;

use proptest::prelude::*;
use quorate::facts::{Change, Claims, Old, StatefulSet, Surroundings, Way};
use quorate::mutate::{Injected, Injection, Mark, PatchError, is_pending, is_same_template, patch, plan};
use quorate::policy::Policy;
use serde_json::{Value, json};

use crate::generate;

fn facts(object: &Value) -> StatefulSet {
    serde_json::from_value(object.clone()).unwrap()
}

fn change<'a>(object: &'a StatefulSet, old: Option<Old<'a>>) -> Change<'a> {
    Change { way: Way::StatefulSet, object, old, dry_run: false, requester: None }
}

/// Whether the object decodes as a StatefulSet: if not, nothing can be promised about a patch but that none is sent.
fn decodes(object: &Value) -> bool {
    serde_json::from_value::<k8s_openapi::api::apps::v1::StatefulSet>(object.clone()).is_ok()
}

/// The object as a change leaves it, and how many operations that took.
fn mutated(change: &Change<'_>, object: &Value, around: &Surroundings, policies: &[Arc<Policy>]) -> (Value, usize) {
    match plan(change, around, policies).injection {
        Injection::Inject { edits, record } => {
            let patch = patch(&object.to_string(), Some((&edits, &record)), Mark::Keep).unwrap();
            let mut patched = object.clone();
            json_patch::patch(&mut patched, &patch).unwrap();
            assert!(decodes(&patched), "{patched:#}");
            (patched, patch.0.len())
        }
        Injection::Nothing => (object.clone(), 0),
    }
}

/// The object as mutation on CREATE leaves it.
fn created(object: &Value, around: &Surroundings, policies: &[Arc<Policy>]) -> (Value, usize) {
    mutated(&change(&facts(object), None), object, around, policies)
}

/// The object as mutation leaves it where `old` is stored.
fn updated(object: &Value, old: &Value, around: &Surroundings, policies: &[Arc<Policy>]) -> (Value, usize) {
    let (new, before) = (facts(object), facts(old));
    let template = |object: &Value| object.pointer("/spec/template").unwrap_or(&Value::Null).to_string();
    let ours = Injected::recorded(&before.metadata);
    let template_changed = !is_same_template(&template(object), &template(old), &ours);
    let old = Old { object: &before, spec_changed: true, template_changed };
    mutated(&change(&new, Some(old)), object, around, policies)
}

/// The object without what mutation adds: with it gone, everything else must be as it was.
pub(crate) fn without_injection(mut object: Value) -> Value {
    let record = object
        .pointer_mut("/metadata/annotations")
        .and_then(|annotations| annotations.as_object_mut()?.remove("quorate.dev/injected"));
    let Some(record) = record else { return object };
    let injected: Injected = serde_json::from_str(record.as_str().unwrap()).unwrap();
    for (list, terms) in [
        ("affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution", json!(injected.required)),
        ("affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution", json!(injected.preferred)),
        ("topologySpreadConstraints", json!(injected.topology_spread_constraints)),
    ] {
        let path = format!("/spec/template/spec/{list}");
        if let Some(list) = object.pointer_mut(&path).and_then(Value::as_array_mut) {
            list.retain(|term| !terms.as_array().unwrap().contains(term));
        }
    }
    object
}

/// Objects and lists that are empty or null say nothing, like those that are absent.
fn pruned(mut value: Value) -> Value {
    prune_empty(&mut value);
    value
}

pub(crate) fn prune_empty(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(prune_empty);
            members.retain(|_, value| !is_empty(value));
        }
        Value::Array(items) => items.iter_mut().for_each(prune_empty),
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// The object with another image: a change of the template that is the user's own.
fn with_another_image(mut object: Value) -> Value {
    if let Some(template) = object.pointer_mut("/spec/template").filter(|template| template.is_object()) {
        template["metadata"] = json!({"labels": {"app": "db", "release": "2"}});
    }
    object
}

/// Two constraints on one topology key, of which kubectl would lose one (L61).
fn has_doubles(object: &Value) -> bool {
    let list = object.pointer("/spec/template/spec/topologySpreadConstraints").and_then(Value::as_array);
    let mut keys: Vec<_> = list.into_iter().flatten().map(|each| each["topologyKey"].as_str()).collect();
    let all = keys.len();
    keys.sort_unstable();
    keys.dedup();
    keys.len() < all
}

/// One policy, which wants this.
fn policies(mutate: &Value) -> [Arc<Policy>; 1] {
    let spec = serde_json::from_value(json!({"mutate": mutate})).unwrap();
    [Arc::new(Policy { name: "one".to_owned(), spec })]
}

/// L26: also where the user has put terms behind ours; and what policies no longer want goes from between the user's.
#[test]
fn what_is_lost_comes_back_where_it_was_l26() {
    let policies = policies(&json!({
        "podAntiAffinity": [{"topologyKey": "example.com/row", "mode": "Preferred"}],
        "topologySpreadConstraints": [{"topologyKey": "example.com/row", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]
    }));
    let calm = Surroundings::default();
    let behind = |mut object: Value| {
        let pod = &mut object["spec"]["template"]["spec"];
        let term = json!({"weight": 3, "podAffinityTerm": {"topologyKey": "example.com/building"}});
        let terms = &mut pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
        terms.as_array_mut().unwrap().push(term);
        let constraint =
            json!({"topologyKey": "example.com/building", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"});
        pod["topologySpreadConstraints"].as_array_mut().unwrap().push(constraint);
        object
    };
    let stored = behind(created(&generate::complete(), &calm, &policies).0);
    let ignorant = behind(generate::complete());
    let (restored, operations) = updated(&ignorant, &stored, &calm, &policies);
    assert_eq!((restored, operations), (stored.clone(), 3));
    let changed = with_another_image(stored.clone());
    let (gone, operations) = updated(&changed, &stored, &calm, &[]);
    assert_eq!((gone, operations), (with_another_image(ignorant), 3));
}

/// L3: a record that lists what no template has, as only somebody else's hand writes it, is left as it is by who leaves it, and
/// doesn't grow back on the second call where the user dropped it.
#[test]
fn a_forged_record_does_not_grow_back_l3() {
    let policies = policies(&json!({
        "topologySpreadConstraints": [{"topologyKey": "example.com/row", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}]
    }));
    let calm = Surroundings::default();
    let (mut stored, _) = created(&generate::complete(), &calm, &policies);
    let record = &mut stored["metadata"]["annotations"]["quorate.dev/injected"];
    let forged = record.as_str().unwrap().replace("matchLabels", "matchAnything");
    *record = Value::from(forged);
    assert_eq!(updated(&stored, &stored, &calm, &policies).1, 0);
    let (once, operations) = updated(&generate::complete(), &stored, &calm, &policies);
    assert!(operations > 0);
    let (twice, again) = updated(&once, &stored, &calm, &policies);
    assert_eq!((twice, again), (once, 0));
}

/// L3: what is ours is the same to whom compares what is written and to whom knows a part of it; or the second call about a request
/// would take for the old template what the first took for a new one.
#[test]
fn ours_is_ours_with_a_member_of_a_later_api_l3() {
    let wish = json!({"topologyKey": "example.com/row", "mode": "Preferred"});
    let policies = policies(&json!({"podAntiAffinity": [wish]}));
    let calm = Surroundings::default();
    let (stored, _) = created(&generate::complete(), &calm, &policies);
    let mut later = stored.clone();
    let terms = "/spec/template/spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
    let ours = later.pointer_mut(terms).and_then(Value::as_array_mut).and_then(|terms| terms.last_mut()).unwrap();
    assert_eq!(ours["podAffinityTerm"]["topologyKey"], "example.com/row");
    ours["podAffinityTerm"]["ofALaterApi"] = json!(["x"]);
    let template = |object: &Value| object["spec"]["template"].to_string();
    assert!(is_same_template(&template(&later), &template(&stored), &Injected::recorded(&facts(&stored).metadata)));
    assert_eq!(updated(&later, &stored, &calm, &policies), (later, 0));
}

/// L3: what is no object, though something has to be put into it, is not replaced by one, whatever facts make of it.
#[test]
fn what_ours_would_replace_is_kept_l3() {
    let wish = json!({"topologyKey": "example.com/row", "mode": "Required"});
    let policies = policies(&json!({"podAntiAffinity": [wish]}));
    let mut object = generate::complete();
    object["spec"]["template"]["spec"]["affinity"] = json!([{}, {}]);
    let Injection::Inject { edits, record } =
        plan(&change(&facts(&object), None), &Surroundings::default(), &policies).injection
    else {
        panic!("the facts have no term, so that one is wanted")
    };
    assert!(matches!(patch(&object.to_string(), Some((&edits, &record)), Mark::Keep), Err(PatchError::Decode(_))));
}

prop_compose! {
    /// A StatefulSet with constraints of its user's, or with those it has.
    fn statefulset()(object in generate::statefulset(), constraints in prop::option::of(generate::constraints())) -> Value {
        match constraints {
            Some(constraints) => generate::with_constraints(object, constraints),
            None => object,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// L3, L6: the patch applies (`patch` checks it), and a second mutation is empty, on CREATE and on UPDATE; and nothing is
    /// pending then.
    #[test]
    fn a_second_mutation_is_empty_l3_l6(
        object in statefulset(),
        one in generate::policy("one"),
        two in generate::policy("two"),
        around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object));
        let policies = [Arc::new(one), Arc::new(two)];
        let (once, _) = created(&object, &around, &policies);
        let (twice, again) = created(&once, &around, &policies);
        prop_assert_eq!(again, 0);
        prop_assert_eq!(&twice, &once);
        prop_assert_eq!(updated(&once, &once, &around, &policies).1, 0);
        let changed = with_another_image(once.clone());
        let (changed, _) = updated(&changed, &once, &around, &policies);
        prop_assert_eq!(updated(&changed, &once, &around, &policies).1, 0);
        let calm = Surroundings::default();
        prop_assert!(!is_pending(&facts(&changed), &calm, &policies));
    }

    /// L7, L66: nothing but what is injected changes: unknown fields and the user's own terms stay where they are.
    #[test]
    fn nothing_else_changes_l7_l66(
        object in statefulset(), policy in generate::policy("one"), around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object));
        let (patched, _) = created(&object, &around, &[Arc::new(policy)]);
        prop_assert_eq!(pruned(without_injection(patched)), pruned(object));
    }

    /// L26: the same object and policies give the same bytes, whatever the order of the policies.
    #[test]
    fn bytes_are_deterministic_l26(
        object in statefulset(),
        one in generate::policy("one"),
        two in generate::policy("two"),
        around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object));
        let set = |policies| quorate::policy::PolicySet::new(policies).all().to_vec();
        let forwards = created(&object, &around, &set(vec![one.clone(), two.clone()]));
        let backwards = created(&object, &around, &set(vec![two, one]));
        prop_assert_eq!(forwards.0.to_string(), backwards.0.to_string());
    }

    /// L26, L65: a client that knows nothing of the injection writes the object back without it, and gets the same bytes, though
    /// policies and Nodes may be others by now.
    #[test]
    fn what_an_update_loses_is_put_back_l26_l65(
        object in statefulset(),
        policy in generate::policy("one"),
        later in generate::policy("two"),
        around in generate::surroundings(),
        then in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object) && object.pointer("/spec/template/spec").is_some_and(Value::is_object));
        let (stored, _) = created(&object, &around, &[Arc::new(policy)]);
        let (restored, _) = updated(&object, &stored, &then, &[Arc::new(later)]);
        prop_assert_eq!(pruned(restored), pruned(stored));
    }

    /// L61: no constraint comes beside one of the same topology key.
    #[test]
    fn constraints_never_come_twice_l61(
        object in statefulset(), policy in generate::policy("one"), around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object) && !has_doubles(&object));
        prop_assert!(!has_doubles(&created(&object, &around, &[Arc::new(policy)]).0));
    }

    /// When the policy changes, ours is replaced by the next change of the template: it leaves no trace, and theirs stays.
    #[test]
    fn a_later_policy_replaces_ours_and_nothing_else(
        object in statefulset(),
        policy in generate::policy("one"),
        later in generate::policy("two"),
        around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object) && object.pointer("/spec/template").is_some_and(Value::is_object));
        let (stored, _) = created(&object, &around, &[Arc::new(policy)]);
        let changed = with_another_image(stored.clone());
        let (replaced, _) = updated(&changed, &stored, &around, &[Arc::new(later)]);
        prop_assert_eq!(pruned(without_injection(replaced)), pruned(with_another_image(object.clone())));
        let (gone, _) = updated(&changed, &stored, &around, &[]);
        prop_assert_eq!(pruned(gone), pruned(with_another_image(object)));
    }

    /// L63: hard terms come only with a CREATE without claims, unless a policy says `onExisting: Require`.
    #[test]
    fn what_exists_gets_soft_terms_only_l63(
        object in statefulset(), mut policy in generate::policy("one"), mut around in generate::surroundings(),
    ) {
        prop_assume!(decodes(&object));
        policy.spec.mutate.on_existing = quorate::policy::OnExisting::Soften;
        let policies = [Arc::new(policy)];
        let hard = |object: &Value| {
            let ours = Injected::recorded(&facts(object).metadata);
            ours.required.len() + ours.topology_spread_constraints.iter().filter(|each| each.is_required()).count()
        };
        let (changed, _) = updated(&with_another_image(object.clone()), &object, &around, &policies);
        prop_assert_eq!(hard(&changed), 0);
        around.claims = Claims { highest: Some(0) };
        prop_assert_eq!(hard(&created(&object, &around, &policies).0), 0);
    }

    /// L64: what is injected does not depend on the replica count, nor is it decided anew when the template changes.
    #[test]
    fn replicas_change_nothing_l64(
        replicas in 0_i32..9,
        policy in generate::policy("one"),
        around in generate::surroundings(),
        then in generate::surroundings(),
    ) {
        let policies = [Arc::new(policy)];
        let mut scaled = generate::complete();
        scaled["spec"]["replicas"] = Value::from(replicas);
        let calm = Surroundings::default();
        let (three, _) = created(&generate::complete(), &calm, &policies);
        let (other, _) = created(&scaled, &calm, &policies);
        prop_assert_eq!(&three["spec"]["template"], &other["spec"]["template"]);

        let (mut stored, _) = created(&generate::complete(), &around, &policies);
        stored["spec"]["replicas"] = Value::from(replicas);
        let changed = with_another_image(stored.clone());
        prop_assert_eq!(updated(&changed, &stored, &then, &policies).1, 0);
    }
}
