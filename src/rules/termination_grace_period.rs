//! `terminationGracePeriod`: a member is given time to leave.
//!
//! # What it checks
//!
//! `spec.template.spec.terminationGracePeriodSeconds` is at least `minimumSeconds`; 0 is always a violation.
//!
//! # Why it matters
//!
//! A member that is killed at once hands over nothing: no leadership, no flushed log. With 0 the API server moreover forgets
//! the pod before the kubelet has stopped it, so that two pods of one name may write to one volume.
//!
//! # Example
//!
//! Fails:
//!
//! ```yaml
//! template: { spec: { terminationGracePeriodSeconds: 0 } }
//! ```
//!
//! Passes:
//!
//! ```yaml
//! template: { spec: { terminationGracePeriodSeconds: 30 } }
//! ```

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About a shorter one.
    pub action: Action,
    /// The fewest seconds between SIGTERM and SIGKILL; 0 is always a violation.
    #[serde(default = "one", deserialize_with = "super::count")]
    pub minimum_seconds: NonZeroU32,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let field = "spec.template.spec.terminationGracePeriodSeconds";
        let seconds = subject.statefulset.template.termination_grace_period_seconds;
        let minimum = i64::from(self.minimum_seconds.get());
        if seconds >= minimum {
            return Vec::new();
        }
        vec![Finding {
            required: format!("is below the minimum {minimum}"),
            remedy: format!("set it to {minimum} or more"),
            degree: u32::try_from(minimum - seconds).unwrap_or(u32::MAX),
            ..Finding::new("minimum", self.action, field, seconds.to_string())
        }]
    }
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::rules::cases::findings;

    #[rstest]
    #[case::absent_is_thirty(json!(null), 30, &[])]
    #[case::enough(json!(10), 10, &[])]
    #[case::too_few(json!(5), 10, &[5])]
    #[case::zero(json!(0), 1, &[1])]
    fn judges(#[case] seconds: Value, #[case] minimum: u32, #[case] expected: &[u32]) {
        let settings = json!({"terminationGracePeriod": {"action": "Warn", "minimumSeconds": minimum}});
        let spec = json!({"template": {"spec": {"terminationGracePeriodSeconds": seconds}}});
        let found = findings(&settings, &spec);
        assert_eq!(found.iter().map(|finding| finding.degree).collect::<Vec<_>>(), expected);
    }
}
