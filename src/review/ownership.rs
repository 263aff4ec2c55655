//! StatefulSets that an operator owns and writes (L27), and whom that is believed of (L133).
//!
//! Anybody may write an ownerReference. So it counts only in a request of a ServiceAccount that runs the owner: one that the
//! policy names, or one of another namespace that may update the owner's status, which the edge has asked the API server.

use std::sync::Arc;

use crate::facts::{Change, Metadata, Namespace, Owner, UNVERIFIED_OWNER, Way};
use crate::policy::{Match, OwnedByOperator, Policy, PolicySet};

/// Whether a policy only warns about what this change does, as an operator owns the StatefulSet and writes it.
pub(super) fn spares(policy: &Policy, change: &Change<'_>) -> bool {
    let selection = &policy.spec.selection;
    selection.owned_by_operator == OwnedByOperator::Warn && is_operators(selection, change)
}

/// The policies that do something for the StatefulSet by themselves: those that don't leave it to its operator.
#[must_use]
pub fn acting(change: &Change<'_>, policies: &[Arc<Policy>]) -> Vec<Arc<Policy>> {
    policies.iter().filter(|policy| !spares(policy, change)).cloned().collect()
}

/// The value that the annotation [`UNVERIFIED_OWNER`] is to have once a StatefulSet of this Namespace is written. All policies of
/// the Namespace have a say, whichever StatefulSets they are about: the same request or a later one may change labels.
///
/// The budget controller sees what is stored, and not who wrote it. An owner that no operator has written yet is named here, so
/// that the budget stays until one has. What an operator writes never gets the annotation.
#[must_use]
pub fn unverified_owner<'a>(change: &Change<'a>, namespace: &Namespace, policies: &PolicySet) -> Option<&'a str> {
    let metadata = &change.object.metadata;
    if change.old.is_some() && metadata.terminating {
        return metadata.annotations.get(UNVERIFIED_OWNER).map(String::as_str);
    }
    let owner = custom_owner(metadata)?;
    let old = change
        .old
        .map(|old| &old.object.metadata)
        .filter(|old| custom_owner(old).is_some_and(|was| is_same(was, owner)));
    let kept = || old.and_then(|old| old.annotations.get(UNVERIFIED_OWNER)).map(String::as_str);
    let leaves_budget_to_operator = |policy: &&Policy| {
        policy.spec.pod_disruption_budget.is_some() && policy.spec.selection.owned_by_operator == OwnedByOperator::Warn
    };
    let concerned = || policies.of_namespace(namespace).filter(leaves_budget_to_operator);
    let is_asked_for = concerned().next().is_some();
    if is_asked_for && concerned().all(|policy| is_operators(&policy.spec.selection, change)) {
        None
    } else if old.is_some() || !is_asked_for {
        kept()
    } else {
        Some(&owner.uid)
    }
}

/// Whether an operator makes the request. A person's own request is judged as any other, and so is one of a ServiceAccount that
/// applies what people wrote.
fn is_operators(selection: &Match, change: &Change<'_>) -> bool {
    let owner = custom_owner(&change.object.metadata);
    // Where nobody asks, as in an audit or over files, there is no person to escape.
    let Some(requester) = change.requester else { return owner.is_some() };
    if selection.is_operator(requester.username) {
        return true;
    }
    // An update that brings the owner is not yet one of the owner's.
    let was_there = |owner: &Owner| match change.old {
        Some(old) if change.way == Way::StatefulSet => {
            custom_owner(&old.object.metadata).is_some_and(|was| is_same(was, owner))
        }
        _ => true,
    };
    requester.runs_owner && owner.is_some_and(was_there) && !selection.is_applier(requester.username)
}

fn custom_owner(metadata: &Metadata) -> Option<&Owner> {
    metadata.controller.as_ref().filter(|owner| owner.is_custom())
}

/// The same object, perhaps by another version of its API.
fn is_same(one: &Owner, other: &Owner) -> bool {
    (one.group(), &one.kind, &one.name, &one.uid) == (other.group(), &other.kind, &other.name, &other.uid)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::facts::{Old, Requester, StatefulSet};

    const OPERATOR: Requester<'static> =
        Requester { username: "system:serviceaccount:operators:db", groups: &[], runs_owner: true };
    const ARGO: Requester<'static> =
        Requester { username: "system:serviceaccount:argocd:argocd-application-controller", ..OPERATOR };
    const ACCOUNT: Requester<'static> = Requester { runs_owner: false, ..OPERATOR };
    const PERSON: Requester<'static> = Requester { username: "developer", ..ACCOUNT };

    fn owned(api_version: &str, uid: &str, annotations: &Value) -> StatefulSet {
        let owner =
            json!({"apiVersion": api_version, "kind": "Database", "name": "db", "uid": uid, "controller": true});
        from_value(json!({"metadata": {"name": "db", "ownerReferences": [owner], "annotations": annotations}})).unwrap()
    }

    fn database(uid: &str) -> StatefulSet {
        owned("db.example.com/v1", uid, &Value::Null)
    }

    fn marked(uid: &str) -> StatefulSet {
        owned("db.example.com/v1", uid, &json!({UNVERIFIED_OWNER: uid}))
    }

    fn bare() -> StatefulSet {
        from_value(json!({"metadata": {"name": "db"}})).unwrap()
    }

    fn change<'a>(object: &'a StatefulSet, old: Option<&'a StatefulSet>, requester: Requester<'a>) -> Change<'a> {
        let old = old.map(|object| Old { object, spec_changed: true, template_changed: true });
        Change { way: Way::StatefulSet, object, old, dry_run: false, requester: Some(requester) }
    }

    fn policy(spec: Value) -> Policy {
        Policy { name: "p".to_owned(), spec: from_value(spec).unwrap() }
    }

    #[rstest]
    #[case::created_by_its_operator(OPERATOR, database("1"), None, true)]
    #[case::updated(OPERATOR, database("1"), Some(database("1")), true)]
    #[case::by_a_newer_version(OPERATOR, owned("db.example.com/v2", "1", &Value::Null), Some(database("1")), true)]
    #[case::an_account_that_does_not_run_the_owner(ACCOUNT, database("1"), None, false)]
    #[case::a_person(PERSON, database("1"), None, false)]
    #[case::who_applies_what_people_wrote(ARGO, database("1"), None, false)]
    #[case::the_update_brings_the_owner(OPERATOR, database("1"), Some(bare()), false)]
    #[case::another_owner_was_there(OPERATOR, database("2"), Some(database("1")), false)]
    #[case::of_another_group(OPERATOR, database("1"), Some(owned("other.example.com/v1", "1", &Value::Null)), false)]
    #[case::a_built_in_owner(OPERATOR, owned("apps/v1", "1", &Value::Null), None, false)]
    #[case::no_owner(OPERATOR, bare(), None, false)]
    fn an_operator_is_who_runs_the_owner_l133(
        #[case] requester: Requester<'static>,
        #[case] object: StatefulSet,
        #[case] old: Option<StatefulSet>,
        #[case] expected: bool,
    ) {
        let change = change(&object, old.as_ref(), requester);
        assert_eq!(spares(&policy(json!({})), &change), expected);
        assert!(!spares(&policy(json!({"match": {"ownedByOperator": "Enforce"}})), &change));
        // Who is named needs no owner, nor anybody's word; and an applier is none though he is named as one by default.
        let account = change.requester.is_some_and(|requester| requester.account_namespace().is_some());
        assert_eq!(spares(&policy(json!({"match": {"operators": ["operators/*", "argocd/*"]}})), &change), account);
        let applies = policy(json!({"match": {"appliers": ["operators/d?"]}}));
        assert_eq!(spares(&applies, &change), requester == ARGO && object.metadata.is_operators());
    }

    #[test]
    fn by_another_way_the_stored_owner_counts_l133() {
        let object = database("1");
        let scale = |requester| Change { way: Way::Scale { replicas: 1 }, ..change(&object, None, requester) };
        assert!(spares(&policy(json!({})), &scale(OPERATOR)));
        for requester in [ACCOUNT, PERSON, ARGO] {
            assert!(!spares(&policy(json!({})), &scale(requester)));
        }
    }

    /// What the annotation is to be, and whether the budget stays.
    #[rstest]
    #[case::created_by_its_operator(OPERATOR, database("1"), None, None)]
    #[case::created_by_others(PERSON, database("1"), None, Some("1"))]
    #[case::applied(ARGO, database("1"), None, Some("1"))]
    #[case::brought_by_an_update(PERSON, database("1"), Some(bare()), Some("1"))]
    #[case::brought_by_its_operator(OPERATOR, database("1"), Some(bare()), Some("1"))]
    #[case::written_by_its_operator_then(OPERATOR, marked("1"), Some(marked("1")), None)]
    #[case::changed(PERSON, database("2"), Some(database("1")), Some("2"))]
    #[case::changed_with_the_annotation_of_the_old(PERSON, marked("2"), Some(marked("1")), Some("2"))]
    #[case::taken_away(PERSON, database("1"), Some(marked("1")), Some("1"))]
    #[case::an_operators_that_a_person_edits(PERSON, database("1"), Some(database("1")), None)]
    #[case::which_nobody_marks_by_hand(PERSON, marked("1"), Some(database("1")), None)]
    #[case::the_owner_goes(PERSON, bare(), Some(marked("1")), None)]
    #[case::a_built_in_owner(PERSON, owned("apps/v1", "1", &Value::Null), None, None)]
    fn an_owner_is_unverified_until_its_operator_writes_l133(
        #[case] requester: Requester<'static>,
        #[case] object: StatefulSet,
        #[case] old: Option<StatefulSet>,
        #[case] expected: Option<&str>,
    ) {
        let change = change(&object, old.as_ref(), requester);
        let budget = json!({"podDisruptionBudget": {"maxUnavailable": 1}});
        // Of a policy that leaves the object out by its labels, a later request can make one that doesn't.
        let elsewhere = json!({"match": {"objectSelector": {"matchLabels": {"a": "b"}}}, "podDisruptionBudget": {"maxUnavailable": 1}});
        for spec in [budget, elsewhere] {
            let policies = PolicySet::new(vec![policy(spec)]);
            assert_eq!(unverified_owner(&change, &Namespace::bare("shop"), &policies), expected);
            assert_eq!(unverified_owner(&change, &Namespace::bare("kube-x"), &policies), kept(&change));
        }
        for spec in
            [json!({}), json!({"match": {"excludeNamespaces": ["sh*"]}, "podDisruptionBudget": {"maxUnavailable": 1}})]
        {
            let policies = PolicySet::new(vec![policy(spec)]);
            assert_eq!(unverified_owner(&change, &Namespace::bare("shop"), &policies), kept(&change));
        }
    }

    #[test]
    fn what_is_being_deleted_is_left_alone() {
        let mut going = database("2");
        going.metadata.terminating = true;
        let old = database("1");
        let policies = PolicySet::new(vec![policy(json!({"podDisruptionBudget": {"maxUnavailable": 1}}))]);
        let wanted = |old| unverified_owner(&change(&going, old, PERSON), &Namespace::bare("shop"), &policies);
        assert_eq!(wanted(Some(&old)), None);
        assert_eq!(wanted(None), Some("2"));
    }

    /// Where no policy asks for budgets, what was there stays.
    fn kept<'a>(change: &Change<'a>) -> Option<&'a str> {
        let old = &change.old?.object.metadata;
        let same = is_same(custom_owner(old)?, custom_owner(&change.object.metadata)?);
        old.annotations.get(UNVERIFIED_OWNER).filter(|_| same).map(String::as_str)
    }

    #[test]
    fn a_budget_stays_until_an_operator_has_written_l133() {
        assert!(database("1").metadata.is_operators());
        assert!(!marked("1").metadata.is_operators());
        assert!(owned("db.example.com/v1", "2", &json!({UNVERIFIED_OWNER: "1"})).metadata.is_operators());
    }
}
