//! `persistentStorage`: each pod keeps its data in a volume of its own.
//!
//! # What it checks
//!
//! `spec.volumeClaimTemplates` has at least one claim, and `spec.persistentVolumeClaimRetentionPolicy` deletes no claim.
//!
//! # Why it matters
//!
//! A member that comes back without its data has to be rebuilt from the others, which are fewer by one meanwhile. A claim that
//! is deleted when a set is scaled down or deleted takes the data with it, also where that was a slip.
//!
//! # Example
//!
//! Fails:
//!
//! ```yaml
//! spec:
//!   template: { spec: { volumes: [{ name: data, emptyDir: {} }] } }
//! ```
//!
//! Passes:
//!
//! ```yaml
//! spec:
//!   volumeClaimTemplates:
//!     - metadata: { name: data }
//!       spec: { accessModes: [ReadWriteOnce], resources: { requests: { storage: 10Gi } } }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About absent `volumeClaimTemplates`, and about a retention policy that deletes claims.
    pub action: Action,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let statefulset = subject.statefulset;
        let mut findings = Vec::new();
        if statefulset.volume_claim_templates.is_empty() {
            findings.push(Finding {
                required: "and gives no pod a PersistentVolume of its own".to_owned(),
                remedy: "add a claim for the data that a pod must find again".to_owned(),
                ..Finding::new("noClaims", self.action, "spec.volumeClaimTemplates", "is empty")
            });
        }
        for (deletes, field) in [
            (statefulset.retention_policy.deletes_when_deleted, "whenDeleted"),
            (statefulset.retention_policy.deletes_when_scaled, "whenScaled"),
        ] {
            if deletes {
                let field = format!("spec.persistentVolumeClaimRetentionPolicy.{field}");
                findings.push(Finding {
                    required: "deletes claims, and the data with them".to_owned(),
                    remedy: format!("set {field} to Retain"),
                    ..Finding::new("retention", self.action, &field, "Delete")
                });
            }
        }
        findings
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::rules::cases::findings;

    #[rstest]
    #[case::a_claim(json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}}]}), &[])]
    #[case::no_claim(json!({}), &["spec.volumeClaimTemplates"])]
    #[case::null(json!({"volumeClaimTemplates": null}), &["spec.volumeClaimTemplates"])]
    #[case::retained(
        json!({
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"}
        }),
        &[]
    )]
    #[case::deleted(
        json!({
            "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Delete", "whenScaled": "Delete"}
        }),
        &["spec.persistentVolumeClaimRetentionPolicy.whenDeleted", "spec.persistentVolumeClaimRetentionPolicy.whenScaled"]
    )]
    fn judges(#[case] spec: Value, #[case] expected: &[&str]) {
        let found = findings(&json!({"persistentStorage": {"action": "Warn"}}), &spec);
        assert_eq!(found.iter().map(|finding| finding.field.as_str()).collect::<Vec<_>>(), expected);
    }
}
