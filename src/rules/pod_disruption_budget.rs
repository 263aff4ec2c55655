//! `podDisruptionBudget`: evictions are limited, and possible.
//!
//! # What it checks
//!
//! A budget covers the pods, or the policy gives them one. No budget that covers them allows zero disruptions: not
//! `maxUnavailable: 0`, nor a `minAvailable` of all replicas, percentages rounded up as Kubernetes does. No two budgets cover
//! the same pods. A budget that covers some of the pods, by their names, ordinals or revision, leads to a warning at most.
//!
//! # Why it matters
//!
//! Without a budget a drain may evict every member at once. With one that lets none go, or with two, every eviction fails
//! and node upgrades come to a halt.
//!
//! # Example
//!
//! Fails, for a StatefulSet of 3 replicas:
//!
//! ```yaml
//! kind: PodDisruptionBudget
//! spec:
//!   minAvailable: 3
//!   selector: { matchLabels: { app: mysql } }
//! ```
//!
//! Passes:
//!
//! ```yaml
//! kind: PodDisruptionBudget
//! spec:
//!   maxUnavailable: 1
//!   selector: { matchLabels: { app: mysql } }
//! ```

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::budget::{Coverage, MOST_NEAR, coverage};
use crate::facts::{Amount, Budget, Evidence, Limit, Way};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About pods that no budget covers while the policy gives none, a budget that lets no pod be evicted, and two that overlap.
    pub action: Action,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let statefulset = subject.statefulset;
        if statefulset.replicas < 1 {
            return Vec::new();
        }
        // Our own budget makes room for any other, and allows a disruption by construction; unless somebody just edits it.
        let edited = match subject.way {
            Way::Budget { new, .. } if new.ours => Some(&**new),
            _ => None,
        };
        let is_edited = |budget: &Budget| edited.is_some_and(|edited| edited.name == budget.name);
        let mut covering = Vec::new();
        let mut partly = Vec::new();
        let mut ours = Vec::new();
        for budget in subject.surroundings.budgets.values().map(Arc::as_ref) {
            match coverage(budget.selector.as_ref(), statefulset) {
                Coverage::Disjoint => {}
                _ if budget.ours && !is_edited(budget) => ours.push(budget),
                Coverage::Covers => covering.push(budget),
                Coverage::CoversSome(pods) => partly.push((budget, pods)),
            }
        }
        let mut findings = Vec::new();
        let covered = !covering.is_empty() || !partly.is_empty();
        if !covered && !subject.provided.budget && statefulset.replicas > 1 {
            findings.push(Finding {
                required: "so that a drain may evict every pod at once".to_owned(),
                remedy: "add a PodDisruptionBudget with maxUnavailable: 1 for these pods".to_owned(),
                rests_on: Evidence::BUDGETS,
                absence: true,
                ..Finding::new("absent", self.action, "metadata.name", "is covered by no PodDisruptionBudget,")
            });
        }
        findings.extend(covering.iter().filter_map(|budget| self.blocking(budget, statefulset.replicas)));
        // The other pods can be evicted, so that this is never denied.
        let mild = Self { action: self.action.min(Action::Warn) };
        findings.extend(partly.iter().filter_map(|(budget, pods)| mild.blocking(budget, *pods)));
        let mut partly: Vec<&Budget> = partly.into_iter().map(|(budget, _)| budget).collect();
        // Ours moves away for somebody else's, not for another of ours whose selector somebody has turned on these pods.
        let own =
            |budget: &&Budget| budget.controller.as_ref().is_some_and(|owner| owner.name == statefulset.metadata.name);
        if edited.is_some_and(|edited| !own(&edited)) {
            covering.extend(ours);
        } else if edited.is_some() {
            covering.retain(|budget| !is_edited(budget));
            partly.retain(|budget| !is_edited(budget));
        }
        findings.extend(self.overlap(&covering, &[]).or_else(|| mild.overlap(&covering, &partly)));
        findings
    }
}

impl Settings {
    fn blocking(&self, budget: &Budget, replicas: i32) -> Option<Finding> {
        let (field, amount) = match budget.limit {
            Limit::MaxUnavailable(amount) => ("maxUnavailable", Some(amount)),
            Limit::MinAvailable(amount) => ("minAvailable", Some(amount)),
            Limit::None => ("maxUnavailable", None),
        };
        let observed = match amount {
            Some(Amount::Pods(pods)) => pods.to_string(),
            Some(Amount::Percent(percent)) => format!("{percent}%"),
            None => "is absent, which".to_owned(),
        };
        // Next to each other the API server takes neither.
        let remedy = match budget.limit {
            Limit::MinAvailable(_) => "write maxUnavailable: 1 in its place",
            Limit::MaxUnavailable(_) | Limit::None => "set spec.maxUnavailable to 1",
        };
        (budget.limit.disruptions_allowed(replicas) == 0).then(|| Finding {
            required: format!("lets none of {replicas} pods be evicted, and blocks every drain"),
            remedy: remedy.to_owned(),
            rests_on: Evidence::BUDGETS,
            ..Finding::new(
                "zeroDisruptions",
                self.action,
                &format!("spec.{field} of PodDisruptionBudget {}", budget.name),
                observed,
            )
        })
    }

    fn overlap(&self, covering: &[&Budget], partly: &[&Budget]) -> Option<Finding> {
        let mut names: Vec<&str> = covering.iter().chain(partly).map(|budget| budget.name.as_str()).collect();
        names.sort_unstable();
        let [first, rest @ ..] = names.as_slice() else { return None };
        (!rest.is_empty()).then(|| Finding {
            required: "cover the same pods, so that every eviction of them fails".to_owned(),
            remedy: "keep one of them".to_owned(),
            degree: u32::try_from(rest.len()).unwrap_or(u32::MAX),
            rests_on: Evidence::BUDGETS,
            ..Finding::new(
                "overlap",
                self.action,
                "spec.selector of PodDisruptionBudgets",
                match rest.get(MOST_NEAR..).filter(|left| !left.is_empty()) {
                    Some(left) => format!("{first} and {}, and {} more", rest[..MOST_NEAR].join(", "), left.len()),
                    None => format!("{first} and {}", rest.join(", ")),
                },
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use crate::facts::{Budget, Surroundings, Way};
    use crate::rules::cases::findings_with;
    use crate::rules::{Action, Check as _, Provided, Subject};

    fn budget(name: &str, spec: &Value) -> Budget {
        from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": spec})).unwrap()
    }

    fn covering(name: &str, limit: &Value) -> Budget {
        let mut spec = json!({"selector": {"matchLabels": {"app": "db"}}});
        spec.as_object_mut().unwrap().extend(limit.as_object().unwrap().clone());
        budget(name, &spec)
    }

    #[rstest]
    #[case::none(vec![], 3, false, &["absent"])]
    #[case::none_for_one_pod(vec![], 1, false, &[])]
    #[case::none_but_one_follows(vec![], 3, true, &[])]
    #[case::good(vec![covering("a", &json!({"maxUnavailable": 1}))], 3, false, &[])]
    #[case::unrelated(vec![budget("web", &json!({"selector": {"matchLabels": {"app": "web"}}, "maxUnavailable": 0}))], 3, true, &[])]
    #[case::nil_selector_selects_nothing(vec![budget("nil", &json!({"maxUnavailable": 0}))], 3, true, &[])]
    #[case::empty_selector_selects_all(vec![budget("all", &json!({"selector": {}, "maxUnavailable": 0}))], 3, true, &["zeroDisruptions"])]
    #[case::zero(vec![covering("a", &json!({"maxUnavailable": 0}))], 3, false, &["zeroDisruptions"])]
    #[case::zero_per_cent(vec![covering("a", &json!({"maxUnavailable": "0%"}))], 3, false, &["zeroDisruptions"])]
    #[case::all_available(vec![covering("a", &json!({"minAvailable": 3}))], 3, false, &["zeroDisruptions"])]
    #[case::rounded_up_to_all(vec![covering("a", &json!({"minAvailable": "67%"}))], 3, false, &["zeroDisruptions"])]
    #[case::rounded_up_to_one(vec![covering("a", &json!({"maxUnavailable": "1%"}))], 3, false, &[])]
    #[case::neither(vec![covering("a", &json!({}))], 3, false, &["zeroDisruptions"])]
    #[case::overlap(
        vec![covering("a", &json!({"maxUnavailable": 1})), covering("b", &json!({"maxUnavailable": 1}))],
        3, false, &["overlap"]
    )]
    fn judges_l52(
        #[case] budgets: Vec<Budget>,
        #[case] replicas: i32,
        #[case] follows: bool,
        #[case] expected: &[&str],
    ) {
        let found = judge(budgets, replicas, follows);
        assert_eq!(found.iter().map(|(cause, _)| *cause).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_covers_some_only_warns_l50_l137() {
        let per_pod = json!({"selector": {"matchLabels": {"apps.kubernetes.io/pod-index": "0"}}, "maxUnavailable": 0});
        let budgets = vec![budget("first", &per_pod), covering("a", &json!({"maxUnavailable": 1}))];
        assert_eq!(judge(budgets, 3, false), [("zeroDisruptions", Action::Warn), ("overlap", Action::Warn)]);
    }

    /// By their names, all pods are all pods (L137).
    #[rstest]
    #[case::all(&["db-0", "db-1", "db-2"], 3, &[("zeroDisruptions", Action::Deny)])]
    #[case::two(&["db-0", "db-1"], 2, &[("zeroDisruptions", Action::Warn)])]
    #[case::one_of_two_may_go(&["db-0", "db-1"], 1, &[])]
    #[case::nobodys(&["db-3", "nobody-0"], 3, &[("absent", Action::Deny)])]
    fn counts_the_pods_that_are_named_l137(
        #[case] names: &[&str],
        #[case] available: i32,
        #[case] expected: &[(&str, Action)],
    ) {
        let by_name = json!({"key": "statefulset.kubernetes.io/pod-name", "operator": "In", "values": names});
        let spec = json!({"selector": {"matchExpressions": [by_name]}, "minAvailable": available});
        assert_eq!(judge(vec![budget("named", &spec)], 3, false), expected);
    }

    fn of_quorate(statefulset: &str, app: &str, max_unavailable: i32) -> Budget {
        from_value(json!({
            "metadata": {
                "name": format!("{statefulset}-quorate"),
                "labels": {"app.kubernetes.io/managed-by": "quorate"},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": statefulset, "controller": true}],
            },
            "spec": {"selector": {"matchLabels": {"app": app}}, "maxUnavailable": max_unavailable},
        }))
        .unwrap()
    }

    /// What somebody makes of a budget of ours, or says is one, is judged; what we make of it is nothing to object to.
    #[rstest]
    #[case::ours(of_quorate("db", "db", 1), vec![], &[])]
    #[case::blocks(of_quorate("db", "db", 0), vec![], &["zeroDisruptions"])]
    #[case::makes_room(of_quorate("db", "db", 1), vec![covering("a", &json!({"maxUnavailable": 1}))], &[])]
    #[case::of_another(of_quorate("web", "db", 1), vec![of_quorate("db", "db", 1)], &["overlap"])]
    #[case::shared(of_quorate("web", "db", 1), vec![], &[])]
    fn edits_of_ours_are_judged_l138(#[case] edited: Budget, #[case] others: Vec<Budget>, #[case] expected: &[&str]) {
        let around = others.into_iter().chain([edited.clone()]).map(|budget| (budget.name.clone(), Arc::new(budget)));
        let surroundings = Surroundings { budgets: Arc::new(around.collect()), ..Surroundings::default() };
        let settings: super::Settings = from_value(json!({"action": "Deny"})).unwrap();
        let statefulset = from_value(json!({
            "metadata": {"name": "db"},
            "spec": {"replicas": 3, "template": {"metadata": {"labels": {"app": "db"}}}},
        }));
        let found = settings.check(&Subject {
            statefulset: &statefulset.unwrap(),
            surroundings: &surroundings,
            way: Way::Budget { old: None, new: &Arc::new(edited) },
            provided: Provided { budget: true, ..Provided::default() },
        });
        assert_eq!(found.iter().map(|finding| finding.cause).collect::<Vec<_>>(), expected);
    }

    fn judge(budgets: Vec<Budget>, replicas: i32, follows: bool) -> Vec<(&'static str, Action)> {
        let spec = json!({"replicas": replicas, "template": {"metadata": {"labels": {"app": "db"}}}});
        let budgets = budgets.into_iter().map(|budget| (budget.name.clone(), Arc::new(budget)));
        let surroundings = Surroundings { budgets: Arc::new(budgets.collect()), ..Surroundings::default() };
        let provided = Provided { budget: follows, ..Provided::default() };
        findings_with(&json!({"podDisruptionBudget": {"action": "Deny"}}), &spec, &surroundings, provided)
            .iter()
            .map(|finding| (finding.cause, finding.action))
            .collect()
    }
}
