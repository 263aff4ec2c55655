//! `spread`: something keeps all pods from landing on one node.
//!
//! # What it checks
//!
//! At 2 or more replicas, the pod template has a required anti-affinity term about its own pods, or a spread constraint with
//! `whenUnsatisfiable: DoNotSchedule`. Where policies inject only the soft form, a soft one is enough. Because mutation fails
//! open, this looks at what is stored in the end.
//!
//! # Why it matters
//!
//! Three members on one node are one node's failure away from none.
//!
//! # Example
//!
//! Fails, as the scheduler may put all pods on one node:
//!
//! ```yaml
//! template: { spec: { containers: [] } }
//! ```
//!
//! Passes:
//!
//! ```yaml
//! template:
//!   spec:
//!     affinity:
//!       podAntiAffinity:
//!         requiredDuringSchedulingIgnoredDuringExecution:
//!           - topologyKey: kubernetes.io/hostname
//!             labelSelector: { matchLabels: { app: mysql } }
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::facts::StatefulSet;

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About 2 replicas or more that nothing keeps from landing on one Node together.
    pub action: Action,
}

impl Check for Settings {
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let statefulset = subject.statefulset;
        let provided = subject.provided;
        if statefulset.replicas < 2 || is_hard(statefulset) || (provided.soft_spread && is_soft(statefulset)) {
            return Vec::new();
        }
        // Where only our own injection is missing, nobody else can be blamed.
        let action = if provided.pending_spread { self.action.min(Action::Warn) } else { self.action };
        vec![Finding {
            required: format!("nothing keeps all {} pods from one node", statefulset.replicas),
            remedy: "add a required podAntiAffinity term on kubernetes.io/hostname".to_owned(),
            ..Finding::new("unspread", action, "spec.template.spec.affinity", "as it is,")
        }]
    }
}

fn is_hard(statefulset: &StatefulSet) -> bool {
    let (namespace, template) = (&statefulset.metadata.namespace, &statefulset.template);
    template.pod_anti_affinity.required.iter().any(|term| term.is_about(namespace, &template.labels))
        || template
            .topology_spread_constraints
            .iter()
            .any(|constraint| constraint.is_about(&template.labels) && constraint.when_unsatisfiable == "DoNotSchedule")
}

fn is_soft(statefulset: &StatefulSet) -> bool {
    let (namespace, template) = (&statefulset.metadata.namespace, &statefulset.template);
    template.pod_anti_affinity.preferred.iter().any(|term| term.pod_affinity_term.is_about(namespace, &template.labels))
        || template.topology_spread_constraints.iter().any(|constraint| constraint.is_about(&template.labels))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use crate::facts::Surroundings;
    use crate::rules::Provided;
    use crate::rules::cases::findings_with;

    fn own() -> Value {
        json!({"matchLabels": {"app": "db"}})
    }

    #[rstest]
    #[case::nothing(json!({}), 3, false, 1)]
    #[case::one_replica(json!({}), 1, false, 0)]
    #[case::required(
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": own()}
        ]}}}),
        3, false, 0
    )]
    #[case::required_about_others(
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "web"}}}
        ]}}}),
        3, false, 1
    )]
    #[case::hard_constraint(
        json!({"topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule", "maxSkew": 1, "labelSelector": own()}
        ]}),
        3, false, 0
    )]
    #[case::soft_where_hard_is_wanted(
        json!({"topologySpreadConstraints": [
            {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 1, "labelSelector": own()}
        ]}),
        3, false, 1
    )]
    #[case::soft_where_soft_is_enough(
        json!({"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "podAffinityTerm": {"topologyKey": "kubernetes.io/hostname", "labelSelector": own()}}
        ]}}}),
        3, true, 0
    )]
    fn judges(#[case] pod: Value, #[case] replicas: i32, #[case] soft_spread: bool, #[case] expected: usize) {
        let spec = json!({"replicas": replicas, "template": {"metadata": {"labels": {"app": "db"}}, "spec": pod}});
        let provided = Provided { soft_spread, ..Provided::default() };
        let found = findings_with(&json!({"spread": {"action": "Warn"}}), &spec, &Surroundings::default(), provided);
        assert_eq!(found.len(), expected);
    }
}
