//! `replicas`: a StatefulSet has enough members to go on when one is lost.
//!
//! # What it checks
//!
//! `spec.replicas` is at least `minimum`. With `even`, that the count is odd: of four members no more may be lost than of
//! three, and there is one more that can fail. With `allowZero: false`, that the StatefulSet isn't scaled to nothing; by
//! default zero is legal, for hibernation and for charts that switch a component off.
//!
//! Under a HorizontalPodAutoscaler, its `minReplicas` counts in place of `spec.replicas`, for that is what the autoscaler will
//! make of it. An autoscaler that is being deleted raises nothing, and may lower. With `autoscalerDelete`, what is said where one is
//! deleted, or pointed at something else, and leaves the StatefulSet with too few.
//!
//! More replicas than before are never denied, save from zero: with `fromZero: Deny`, the step from zero to fewer than `minimum`
//! is judged like a creation. An autoscaler may take it, and so may a StatefulSet whose PersistentVolumeClaims show that it had
//! no more replicas before.
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
use crate::facts::{Autoscaler, Evidence, Way};

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
    /// About the step from zero to fewer than the minimum, where `action` is not milder. Requests of autoscalers and of
    /// `match.operators` take it with a warning, and so does a StatefulSet whose PersistentVolumeClaims show that it was as small
    /// before (L136).
    #[serde(default = "warn")]
    pub from_zero: Action,
    /// About an autoscaler that is deleted, or pointed at something else, and leaves too few replicas. `Warn` unless said
    /// otherwise, or what `action` says where that is milder: `helm uninstall` and `kubectl delete -f` delete the autoscaler,
    /// too (L135).
    #[serde(default)]
    pub autoscaler_delete: Option<Action>,
}

const FIELD: &str = "spec.replicas";

impl Check for Settings {
    fn of_causes(&self) -> Vec<Action> {
        [Some(self.even), self.autoscaler_delete].into_iter().flatten().collect()
    }

    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let mut findings = self.causes(subject);
        if let Some(autoscaler) = subject.way.released_by(subject.statefulset) {
            let released = self.released();
            for finding in &mut findings {
                finding.action = if finding.cause == "even" { self.even.min(released) } else { released };
                finding.remedy = format!(
                    "{} first, as HorizontalPodAutoscaler {} no longer raises it",
                    finding.remedy, autoscaler.name
                );
            }
        }
        findings
    }
}

impl Settings {
    /// About an autoscaler that no longer scales the StatefulSet.
    #[must_use]
    pub fn released(&self) -> Action {
        self.autoscaler_delete.unwrap_or(Action::Warn.min(self.action))
    }

    /// About the step from zero to too few.
    #[must_use]
    pub fn from_zero(&self) -> Action {
        self.from_zero.min(self.action)
    }

    /// Under an autoscaler that asks for too few, what the StatefulSet itself asks for: lowering that makes it worse, though the
    /// autoscaler's least is what it was.
    fn own(&self, subject: &Subject<'_>, effective: &Effective) -> Option<Finding> {
        let (own, minimum) = (u32::try_from(subject.statefulset.replicas).unwrap_or(0), self.minimum.get());
        let is_too_few = effective.is_floor && effective.replicas < minimum && (1..minimum).contains(&own);
        (is_too_few && subject.way == Way::StatefulSet).then(|| Finding {
            required: format!("is below the minimum {minimum}, and {} does not raise it", effective.field),
            remedy: format!("set {FIELD} to {minimum} or more"),
            degree: minimum - own,
            rests_on: effective.rests_on,
            ..Finding::new("own", self.action, FIELD, own.to_string())
        })
    }

    fn causes(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let effective = Effective::of(subject);
        let replicas = effective.replicas;
        let minimum = self.minimum.get();
        let mut findings = Vec::new();
        if replicas == 0 && !effective.is_floor {
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
        findings.extend(self.own(subject, &effective));
        if replicas != 0 && replicas.is_multiple_of(2) {
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
    /// Whether that is the least that an autoscaler asks for: it decides when there are more, so that zero is too few.
    is_floor: bool,
    path: &'static str,
    field: String,
    rests_on: Evidence,
}

impl Effective {
    /// The `minReplicas` of the autoscaler that targets the StatefulSet, the smallest of several; else `spec.replicas`, and so
    /// too at zero, which switches off an autoscaler that can't itself scale to zero.
    fn of(subject: &Subject<'_>) -> Self {
        let own = subject.statefulset.replicas;
        let floor = |autoscaler: &&Autoscaler| autoscaler.min_replicas;
        let staying = subject.surroundings.autoscalers_of(subject.statefulset).min_by_key(floor);
        // One that is being deleted raises nothing, and yet may lower what there is: a finalizer keeps it as long as one likes.
        let without_it = staying.map_or(own, |autoscaler| autoscaler.min_replicas);
        let going = subject.surroundings.all_autoscalers_of(subject.statefulset).min_by_key(floor);
        let autoscaler = going.filter(|autoscaler| autoscaler.min_replicas < without_it.max(1)).or(staying);
        // That there is no autoscaler, which could ask for more, is only known for certain after a live read.
        let rests_on = match subject.way {
            Way::Scale { .. } => Evidence::PARENT,
            _ => Evidence::AUTOSCALERS,
        };
        match autoscaler.filter(|autoscaler| own != 0 || autoscaler.min_replicas == 0) {
            Some(autoscaler) => Self {
                is_floor: true,
                replicas: u32::try_from(autoscaler.min_replicas).unwrap_or(0),
                path: "spec.minReplicas",
                field: format!("spec.minReplicas of HorizontalPodAutoscaler {}", autoscaler.name),
                rests_on,
            },
            // The API server rejects negative counts.
            None => Self {
                replicas: u32::try_from(own).unwrap_or(0),
                is_floor: false,
                path: FIELD,
                field: FIELD.to_owned(),
                rests_on,
            },
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

fn warn() -> Action {
    Action::Warn
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
    #[case::a_floor_of_zero_is_too_few(3, 0, Some("spec.minReplicas of HorizontalPodAutoscaler web: 0"))]
    #[case::zero_does_not_switch_that_off(0, 0, Some("spec.minReplicas of HorizontalPodAutoscaler web: 0"))]
    fn an_autoscaler_decides_l80_l136(
        #[case] replicas: i32,
        #[case] min_replicas: i32,
        #[case] expected: Option<&str>,
    ) {
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
