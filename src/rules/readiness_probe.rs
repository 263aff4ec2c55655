//! `readinessProbe`: a rollout waits until a member serves again.
//!
//! # What it checks
//!
//! Every container that names a port has a `readinessProbe`.
//!
//! # Why it matters
//!
//! The StatefulSet controller goes on to the next pod when the last one is Ready, and a budget counts the Ready ones. Without
//! a probe a container is Ready as soon as its process runs, so that a rolling update or a drain takes the second member
//! down while the first is still recovering.
//!
//! # Example
//!
//! Fails:
//!
//! ```yaml
//! containers:
//!   - name: mysql
//!     ports: [{ containerPort: 3306 }]
//! ```
//!
//! Passes:
//!
//! ```yaml
//! containers:
//!   - name: mysql
//!     ports: [{ containerPort: 3306 }]
//!     readinessProbe: { tcpSocket: { port: 3306 } }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About a container that names a port and has no `readinessProbe`.
    pub action: Action,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let containers = subject.statefulset.template.containers.iter();
        containers
            .filter(|container| container.exposes_port && !container.has_readiness_probe)
            .map(|container| Finding {
                required: "although the container exposes a port, so that rollouts don't wait until it serves"
                    .to_owned(),
                remedy: "add a probe that succeeds once it does".to_owned(),
                ..Finding::new(
                    "absent",
                    self.action,
                    &format!("spec.template.spec.containers[{}].readinessProbe", container.name),
                    "is absent",
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::rules::cases::findings;

    #[rstest]
    #[case::no_port(json!([{"name": "a"}]), &[])]
    #[case::no_ports(json!([{"name": "a", "ports": []}]), &[])]
    #[case::port_and_probe(json!([{"name": "a", "ports": [{"containerPort": 1}], "readinessProbe": {}}]), &[])]
    #[case::null_probe(json!([{"name": "a", "ports": [{"containerPort": 1}], "readinessProbe": null}]), &["a"])]
    #[case::each_container(
        json!([
            {"name": "a", "ports": [{"containerPort": 1}]},
            {"name": "b", "ports": [{"containerPort": 2}], "livenessProbe": {}},
            {"name": "c"}
        ]),
        &["a", "b"]
    )]
    fn judges(#[case] containers: Value, #[case] expected: &[&str]) {
        let spec = json!({"template": {"spec": {"containers": containers}}});
        let found = findings(&json!({"readinessProbe": {"action": "Deny"}}), &spec);
        let expected: Vec<String> =
            expected.iter().map(|name| format!("spec.template.spec.containers[{name}].readinessProbe")).collect();
        assert_eq!(found.iter().map(|finding| finding.field.clone()).collect::<Vec<_>>(), expected);
    }
}
