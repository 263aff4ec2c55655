//! `podDisruptionBudget`: evictions are limited, and possible.
//!
//! # What it checks
//!
//! A budget covers the pods, or the policy gives them one. No budget that covers them allows zero disruptions: not
//! `maxUnavailable: 0`, nor a `minAvailable` of all replicas, percentages rounded up as Kubernetes does. No two budgets cover
//! the same pods.
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
use crate::budget::{Coverage, coverage};
use crate::facts::{Amount, Budget, Evidence, Limit};

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
        // Our own budget makes room for any other, and allows a disruption by construction.
        let others = subject.surroundings.budgets.values().map(Arc::as_ref).filter(|budget| !budget.ours);
        let mut covering = Vec::new();
        let mut may_cover = Vec::new();
        for budget in others {
            match coverage(budget.selector.as_ref(), &statefulset.template.labels) {
                Coverage::Covers => covering.push(budget),
                Coverage::MayCover => may_cover.push(budget),
                Coverage::Disjoint => {}
            }
        }
        let mut findings = Vec::new();
        let covered = !covering.is_empty() || !may_cover.is_empty();
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
        // What a selector on per-pod labels really selects can't be told here, so that it is never denied.
        let mild = Self { action: self.action.min(Action::Warn) };
        findings.extend(may_cover.iter().filter_map(|budget| mild.blocking(budget, statefulset.replicas)));
        findings.extend(self.overlap(&covering, &[]).or_else(|| mild.overlap(&covering, &may_cover)));
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

    fn overlap(&self, covering: &[&Budget], may_cover: &[&Budget]) -> Option<Finding> {
        let mut names: Vec<&str> = covering.iter().chain(may_cover).map(|budget| budget.name.as_str()).collect();
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
                format!("{first} and {}", rest.join(", ")),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use crate::facts::{Budget, Surroundings};
    use crate::rules::cases::findings_with;
    use crate::rules::{Action, Provided};

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
    fn what_may_cover_only_warns_l50() {
        let per_pod = json!({"selector": {"matchLabels": {"apps.kubernetes.io/pod-index": "0"}}, "maxUnavailable": 0});
        let budgets = vec![budget("first", &per_pod), covering("a", &json!({"maxUnavailable": 1}))];
        assert_eq!(judge(budgets, 3, false), [("zeroDisruptions", Action::Warn), ("overlap", Action::Warn)]);
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
