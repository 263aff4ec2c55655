//! `replicas`: a StatefulSet has enough members to go on when one is lost.
//!
//! # What it checks
//!
//! `spec.replicas` is at least `minimum`. With `even`, that the count is odd: of four members no more may be lost than of
//! three, and there is one more that can fail. With `allowZero: false`, that the StatefulSet isn't scaled to nothing; by
//! default zero is legal, for hibernation and for charts that switch a component off (L82).
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

use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::facts::Evidence;

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About too few replicas, and about zero where that isn't allowed.
    pub action: Action,
    /// The fewest replicas; at least 1.
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
        // The API server rejects negative counts.
        let replicas = u32::try_from(subject.statefulset.replicas).unwrap_or(0);
        let minimum = self.minimum.get();
        let mut findings = Vec::new();
        if replicas == 0 {
            if !self.allow_zero {
                findings.push(finding("allowZero", self.action, 0, "is not allowed".to_owned(), minimum, minimum));
            }
            return findings;
        }
        if replicas < minimum {
            let required = format!("is below the minimum {minimum}");
            findings.push(finding("minimum", self.action, replicas, required, minimum, minimum - replicas));
        }
        if replicas.is_multiple_of(2) {
            findings.push(Finding {
                remedy: format!(
                    "set {FIELD} to an odd number, as {} tolerates no more losses than {}",
                    replicas,
                    replicas - 1
                ),
                ..finding("even", self.even, replicas, "is even".to_owned(), minimum, 1)
            });
        }
        findings
    }
}

fn finding(cause: &'static str, action: Action, replicas: u32, required: String, minimum: u32, degree: u32) -> Finding {
    Finding {
        cause,
        action,
        field: FIELD,
        observed: replicas.to_string(),
        required,
        remedy: format!("set {FIELD} to {minimum} or more"),
        degree,
        rests_on: Evidence::NONE,
        absence: false,
    }
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::facts::{StatefulSet, Surroundings};

    #[rstest]
    #[case::at_the_minimum(3, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::above_the_minimum(5, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::below_the_minimum(1, json!({"action": "Deny", "minimum": 3}), &[("minimum", Action::Deny, 2)])]
    #[case::zero_is_legal(0, json!({"action": "Deny", "minimum": 3}), &[])]
    #[case::zero_is_illegal(0, json!({"action": "Deny", "minimum": 3, "allowZero": false}), &[("allowZero", Action::Deny, 3)])]
    #[case::zero_is_not_even(0, json!({"action": "Deny", "minimum": 3, "even": "Warn"}), &[])]
    #[case::even(4, json!({"action": "Deny", "minimum": 3, "even": "Warn"}), &[("even", Action::Warn, 1)])]
    #[case::even_and_below(
        2,
        json!({"action": "Deny", "minimum": 3, "even": "Warn"}),
        &[("minimum", Action::Deny, 1), ("even", Action::Warn, 1)]
    )]
    fn judges(#[case] replicas: i32, #[case] settings: Value, #[case] expected: &[(&str, Action, u32)]) {
        let settings: Settings = from_value(settings).unwrap();
        let statefulset = StatefulSet { replicas, ..StatefulSet::default() };
        let surroundings = Surroundings::default();
        let findings = settings.check(&Subject { statefulset: &statefulset, surroundings: &surroundings });
        let found: Vec<_> = findings
            .iter()
            .filter(|finding| finding.action != Action::Off)
            .map(|finding| (finding.cause, finding.action, finding.degree))
            .collect();
        assert_eq!(found, expected);
    }
}
