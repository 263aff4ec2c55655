//! `replicas`: a StatefulSet has enough members to go on when one is lost.
//!
//! # What it checks
//!
//! `spec.replicas` is at least `minimum`. With `even`, that the count is odd: of four members no more may be lost than of
//! three, and there is one more that can fail. With `allowZero: false`, that the StatefulSet isn't scaled to nothing; by
//! default zero is legal, for hibernation and for charts that switch a component off.
//!
//! Under a HorizontalPodAutoscaler, its `minReplicas` counts in place of `spec.replicas`, for that is what the autoscaler will
//! make of it.
//!
//! # Why it matters
//!
//! A single replica is an outage with every node drain. Two keep data safe but elect no leader when one is gone. Three are
//! the fewest of which one may fail.
//!
//! # Example
//!
//! Fails under `minimum: 3`:
//!
//! ```yaml
//! spec:
//!   replicas: 1
//! ```
//!
//! Passes:
//!
//! ```yaml
//! spec:
//!   replicas: 3
//! ```

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::facts::{Evidence, Way};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About too few replicas, and about zero where that isn't allowed.
    pub action: Action,
    /// The fewest replicas.
    #[serde(deserialize_with = "super::count")]
    pub minimum: NonZeroU32,
    /// About an even count. Zero is not even.
    #[serde(default)]
    pub even: Action,
    /// Whether zero replicas are legal.
    #[serde(default = "yes")]
    pub allow_zero: bool,
}

const FIELD: &str = "spec.replicas";

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let effective = Effective::of(subject);
        let replicas = effective.replicas;
        let minimum = self.minimum.get();
        let mut findings = Vec::new();
        if replicas == 0 {
            if !self.allow_zero {
                findings.push(effective.finding(
                    "allowZero",
                    self.action,
                    "is not allowed".to_owned(),
                    minimum,
                    minimum,
                ));
            }
            return findings;
        }
        if replicas < minimum {
            let required = format!("is below the minimum {minimum}");
            findings.push(effective.finding("minimum", self.action, required, minimum, minimum - replicas));
        }
        if replicas.is_multiple_of(2) {
            findings.push(Finding {
                remedy: format!(
                    "set {} to an odd number, as {replicas} tolerates no more losses than {}",
                    effective.path,
                    replicas - 1
                ),
                ..effective.finding("even", self.even, "is even".to_owned(), minimum, 1)
            });
        }
        findings
    }
}

/// The replicas that there will be in the end, and the field that decides on them (L80).
struct Effective {
    replicas: u32,
    path: &'static str,
    field: String,
    rests_on: Evidence,
}

impl Effective {
    /// The `minReplicas` of the autoscaler that targets the StatefulSet, the smallest of several; else `spec.replicas`, and so
    /// too at zero, which switches the autoscaler off.
    fn of(subject: &Subject<'_>) -> Self {
        let own = subject.statefulset.replicas;
        let autoscaler =
            subject.surroundings.autoscalers_of(subject.statefulset).min_by_key(|autoscaler| autoscaler.min_replicas);
        // That there is no autoscaler, which could ask for more, is only known for certain after a live read.
        let rests_on = match subject.way {
            Way::Scale { .. } => Evidence::PARENT,
            _ => Evidence::AUTOSCALERS,
        };
        match autoscaler.filter(|_| own != 0) {
            Some(autoscaler) => Self {
                replicas: u32::try_from(autoscaler.min_replicas).unwrap_or(0),
                path: "spec.minReplicas",
                field: format!("spec.minReplicas of HorizontalPodAutoscaler {}", autoscaler.name),
                rests_on,
            },
            // The API server rejects negative counts.
            None => Self { replicas: u32::try_from(own).unwrap_or(0), path: FIELD, field: FIELD.to_owned(), rests_on },
        }
    }

    fn finding(&self, cause: &'static str, action: Action, required: String, minimum: u32, degree: u32) -> Finding {
        Finding {
            required,
            remedy: format!("set {} to {minimum} or more", self.path),
            degree,
            rests_on: self.rests_on,
            ..Finding::new(cause, action, &self.field, self.replicas.to_string())
        }
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::facts::Surroundings;
    use crate::rules::Provided;
    use crate::rules::cases::{findings, findings_with};

    #[rstest]
    #[case::at_the_minimum(3, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::above_the_minimum(5, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::below_the_minimum(1, json!({"action": "Deny", "minimum": 3}), &[("minimum", Action::Deny, 2)])]
    #[case::zero_is_legal_l82(0, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::zero_is_illegal(0, json!({"action": "Deny", "minimum": 3, "allowZero": false}), &[("allowZero", Action::Deny, 3)])]
    #[case::zero_is_not_even(0, json!({"action": "Deny", "minimum": 3, "even": "Warn"}), &[])]
    #[case::even_l81(4, json!({"action": "Deny", "minimum": 3, "even": "Warn"}), &[("even", Action::Warn, 1)])]
    #[case::even_is_off_by_default(4, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::even_and_below(
        2,
        json!({"action": "Deny", "minimum": 3, "even": "Warn"}),
        &[("minimum", Action::Deny, 1), ("even", Action::Warn, 1)]
    )]
    fn judges(#[case] replicas: i32, #[case] settings: Value, #[case] expected: &[(&str, Action, u32)]) {
        let findings = findings(&json!({"replicas": settings}), &json!({"replicas": replicas}));
        let found: Vec<_> = findings.iter().map(|finding| (finding.cause, finding.action, finding.degree)).collect();
        assert_eq!(found, expected);
    }

    #[rstest]
    #[case::autoscaler_asks_for_enough(1, 3, None)]
    #[case::autoscaler_will_scale_down(3, 1, Some("spec.minReplicas of HorizontalPodAutoscaler web: 1"))]
    #[case::zero_switches_it_off(0, 1, None)]
    fn an_autoscaler_decides_l80(#[case] replicas: i32, #[case] min_replicas: i32, #[case] expected: Option<&str>) {
        let autoscaler = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"},
                "minReplicas": min_replicas,
                "maxReplicas": 9
            }
        });
        let autoscalers = BTreeMap::from([("web".to_owned(), Arc::new(from_value(autoscaler).unwrap()))]);
        let surroundings = Surroundings { autoscalers: Arc::new(autoscalers), ..Surroundings::default() };
        let settings = json!({"replicas": {"action": "Deny", "minimum": 3}});
        let found = findings_with(&settings, &json!({"replicas": replicas}), &surroundings, Provided::default());
        let told = found.first().map(|finding| format!("{}: {}", finding.field, finding.observed));
        assert_eq!(told.as_deref(), expected);
    }
}
