//! `updateStrategy`: a change of the template reaches the pods.
//!
//! # What it checks
//!
//! `spec.updateStrategy.type` is not `OnDelete`, and its `partition` is below the replicas.
//!
//! # Why it matters
//!
//! Under `OnDelete`, or with a partition that leaves every pod out, a fix is applied and no pod ever gets it, until one fails
//! and comes back as the only one of its version.
//!
//! # Example
//!
//! Fails:
//!
//! ```yaml
//! spec:
//!   updateStrategy: { type: OnDelete }
//! ```
//!
//! Passes:
//!
//! ```yaml
//! spec:
//!   updateStrategy: { type: RollingUpdate }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::facts::UpdateStrategy;

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About `OnDelete`, and about a `partition` that leaves every pod out.
    pub action: Action,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let replicas = subject.statefulset.replicas;
        match subject.statefulset.update_strategy {
            UpdateStrategy::OnDelete => vec![Finding {
                required: "leaves pods as they are until somebody deletes them".to_owned(),
                remedy: "set spec.updateStrategy.type to RollingUpdate".to_owned(),
                ..Finding::new("onDelete", self.action, "spec.updateStrategy.type", "OnDelete")
            }],
            UpdateStrategy::RollingUpdate { partition } if partition >= replicas.max(1) => vec![Finding {
                required: format!("is not below spec.replicas ({replicas}), so that no pod is ever updated"),
                remedy: format!("set it to {} or less", replicas.saturating_sub(1).max(0)),
                ..Finding::new(
                    "partition",
                    self.action,
                    "spec.updateStrategy.rollingUpdate.partition",
                    partition.to_string(),
                )
            }],
            UpdateStrategy::RollingUpdate { .. } => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::rules::cases::findings;

    #[rstest]
    #[case::absent(json!(null), 3, &[])]
    #[case::rolling(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}), 3, &[])]
    #[case::canary(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}), 3, &[])]
    #[case::no_pod(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 3}}), 3, &["partition"])]
    #[case::no_pod_of_none(json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}), 0, &[])]
    #[case::on_delete(json!({"type": "OnDelete"}), 3, &["onDelete"])]
    fn judges(#[case] strategy: Value, #[case] replicas: i32, #[case] expected: &[&str]) {
        let spec = json!({"replicas": replicas, "updateStrategy": strategy});
        let found = findings(&json!({"updateStrategy": {"action": "Warn"}}), &spec);
        assert_eq!(found.iter().map(|finding| finding.cause).collect::<Vec<_>>(), expected);
    }
}
