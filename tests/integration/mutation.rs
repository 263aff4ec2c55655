//! What mutation promises of every StatefulSet and every policy.

use std::sync::Arc;

use proptest::prelude::*;
use quorate::facts::{Change, Old, StatefulSet, Way};
use quorate::mutate::{Injected, Injection, patch, plan};
use quorate::policy::Policy;
use serde_json::Value;

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

/// The object as mutation on CREATE leaves it, and how many operations that took.
fn created(object: &Value, policies: &[Arc<Policy>]) -> (Value, usize) {
    let facts = facts(object);
    match plan(&change(&facts, None), policies) {
        Injection::Inject { new, all } => {
            let (patch, patched) = patch(&object.to_string(), &new, &all).unwrap();
            (patched, patch.0.len())
        }
        _ => (object.clone(), 0),
    }
}

/// The object without what mutation adds: with it gone, everything else must be as it was.
pub(crate) fn without_injection(mut object: Value) -> Value {
    let record = object
        .pointer_mut("/metadata/annotations")
        .and_then(|annotations| annotations.as_object_mut()?.remove("quorate.dev/injected"));
    let Some(record) = record else { return object };
    let injected: Injected = serde_json::from_str(record.as_str().unwrap()).unwrap();
    for (list, terms) in [
        ("required", serde_json::to_value(injected.required).unwrap()),
        ("preferred", serde_json::to_value(injected.preferred).unwrap()),
    ] {
        let path = format!("/spec/template/spec/affinity/podAntiAffinity/{list}DuringSchedulingIgnoredDuringExecution");
        if let Some(list) = object.pointer_mut(&path).and_then(Value::as_array_mut) {
            list.retain(|term| !terms.as_array().unwrap().contains(term));
        }
    }
    object
}

/// Objects and lists that are empty or null say nothing, like those that are absent.
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, max_global_rejects: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// L3, L6: the patch applies (`patch` checks it), and a second mutation is empty, on CREATE and on UPDATE.
    #[test]
    fn a_second_mutation_is_empty_l3_l6(
        object in generate::statefulset(),
        one in generate::policy("one"),
        two in generate::policy("two"),
    ) {
        prop_assume!(decodes(&object));
        let policies = [Arc::new(one), Arc::new(two)];
        let (once, operations) = created(&object, &policies);
        let (twice, again) = created(&once, &policies);
        prop_assert_eq!(again, 0);
        prop_assert_eq!(&twice, &once);
        let facts = facts(&once);
        let old = Old { object: &facts, spec_changed: true, template_changed: true };
        let update = change(&facts, Some(old));
        if operations > 0 {
            prop_assert_eq!(plan(&update, &policies), Injection::Nothing);
        }
    }

    /// L7, L66: nothing but what is injected changes: unknown fields and the user's own terms stay where they are.
    #[test]
    fn nothing_else_changes_l7_l66(object in generate::statefulset(), policy in generate::policy("one")) {
        prop_assume!(decodes(&object));
        let (patched, _) = created(&object, &[Arc::new(policy)]);
        let (mut before, mut after) = (object, without_injection(patched));
        prune_empty(&mut before);
        prune_empty(&mut after);
        prop_assert_eq!(after, before);
    }

    /// L26: the same object and policies give the same bytes, whatever the order of the policies.
    #[test]
    fn bytes_are_deterministic_l26(object in generate::statefulset(), one in generate::policy("one"), two in generate::policy("two")) {
        prop_assume!(decodes(&object));
        let set = |policies| quorate::policy::PolicySet::new(policies).all().to_vec();
        let forwards = created(&object, &set(vec![one.clone(), two.clone()]));
        let backwards = created(&object, &set(vec![two, one]));
        prop_assert_eq!(forwards.0.to_string(), backwards.0.to_string());
    }

    /// L26, L65: a client that knows nothing of the injection writes the object back without it, and gets the same bytes.
    #[test]
    fn what_an_update_loses_is_put_back_l26_l65(object in generate::statefulset(), policy in generate::policy("one")) {
        prop_assume!(decodes(&object));
        let policies = [Arc::new(policy)];
        let (stored, operations) = created(&object, &policies);
        prop_assume!(operations > 0);
        let (old, new) = (facts(&stored), facts(&object));
        let old = Old { object: &old, spec_changed: true, template_changed: true };
        let update = change(&new, Some(old));
        let Injection::Inject { new, all } = plan(&update, &policies) else { panic!("nothing is put back") };
        let (_, restored) = patch(&object.to_string(), &new, &all).unwrap();
        prop_assert_eq!(restored, stored);
    }

    /// L64: what is injected does not depend on the replica count.
    #[test]
    fn replicas_change_nothing_l64(replicas in 0_i32..9, policy in generate::policy("one")) {
        let policies = [Arc::new(policy)];
        let mut scaled = generate::complete();
        scaled["spec"]["replicas"] = Value::from(replicas);
        let (three, _) = created(&generate::complete(), &policies);
        let (other, _) = created(&scaled, &policies);
        prop_assert_eq!(&three["spec"]["template"], &other["spec"]["template"]);
    }
}
