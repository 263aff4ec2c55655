//! `headlessService`: each pod of a StatefulSet has a DNS name of its own.
//!
//! # What it checks
//!
//! `spec.serviceName` names a Service that exists in the namespace, is headless (`clusterIP: None`), and whose selector
//! selects the pods of the template. A Service that is being deleted counts as missing. Each cause has a message and, where
//! wanted, an action of its own.
//!
//! # Why it matters
//!
//! Members of a database find each other as `<pod>.<service>`. Without a headless Service of that name these names don't
//! resolve, and behind a cluster IP a name leads to any member rather than to the one that was meant.
//!
//! # Example
//!
//! Fails, as this Service has a cluster IP:
//!
//! ```yaml
//! kind: Service
//! metadata: { name: mysql }
//! spec:
//!   selector: { app: mysql }
//!   ports: [{ port: 3306 }]
//! ```
//!
//! Passes:
//!
//! ```yaml
//! kind: Service
//! metadata: { name: mysql }
//! spec:
//!   clusterIP: None
//!   selector: { app: mysql }
//!   ports: [{ port: 3306 }]
//! ```

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Action, Check, Finding, Subject};
use crate::facts::{Evidence, Labels, Service, Way};

/// Settings of the rule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Settings {
    /// About every cause that has no action of its own.
    pub action: Action,
    /// About an absent `spec.serviceName`.
    #[serde(default)]
    pub no_service_name: Option<Action>,
    /// About a Service that doesn't exist, which is a warning at most in a dry run, or is being deleted. `Warn` suits
    /// directories whose files are applied in any order (L72).
    #[serde(default)]
    pub missing: Option<Action>,
    /// About a Service with a cluster IP, or an ExternalName.
    #[serde(default)]
    pub not_headless: Option<Action>,
    /// About a Service that doesn't select the pods.
    #[serde(default)]
    pub selector_mismatch: Option<Action>,
    /// About a later change of the Service that violates one of the above.
    #[serde(default)]
    pub service_update: Option<Action>,
    /// About the deletion of a Service that a StatefulSet depends on. `Warn` unless said otherwise: Helm and
    /// `kubectl delete -f` delete the Service first (L74).
    #[serde(default)]
    pub service_delete: Option<Action>,
}

const FIELD: &str = "spec.serviceName";

impl Check for Settings {
    fn of_causes(&self) -> Vec<Action> {
        let causes = [self.no_service_name, self.missing, self.not_headless, self.selector_mismatch];
        causes.into_iter().chain([self.service_update, self.service_delete]).flatten().collect()
    }

    fn check(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let mut findings = self.causes(subject);
        // What happens to the Service afterwards has an action of its own (L73, L74).
        let action = match subject.way {
            Way::Service { new: None, .. } => Some(self.service_delete.unwrap_or(Action::Warn)),
            Way::Service { .. } => Some(self.service_update.unwrap_or(self.action)),
            _ => None,
        };
        for finding in &mut findings {
            finding.action = action.unwrap_or(finding.action);
        }
        findings
    }
}

impl Settings {
    fn causes(&self, subject: &Subject<'_>) -> Vec<Finding> {
        let statefulset = subject.statefulset;
        let namespace = &subject.surroundings.namespace.name;
        let Some(name) = &statefulset.service_name else {
            return vec![Finding {
                rests_on: Evidence::NONE,
                ..self.finding(
                    "noServiceName",
                    self.no_service_name,
                    "is absent".to_owned(),
                    "and must name a headless Service".to_owned(),
                    "create a Service with clusterIP: None and name it here".to_owned(),
                )
            }];
        };
        let Some(service) = &subject.surroundings.service else {
            return vec![Finding {
                absence: true,
                ..self.finding(
                    "missing",
                    self.missing,
                    format!("{name:?}"),
                    format!("names no Service in namespace {namespace:?}"),
                    "apply the headless Service first, then apply this StatefulSet again".to_owned(),
                )
            }];
        };
        let mut findings = Vec::new();
        // It is still there, and is gone by the time the members look for each other (L142).
        if service.terminating {
            return vec![self.finding(
                "missing",
                self.missing,
                format!("{name:?}"),
                "names a Service that is being deleted".to_owned(),
                "wait until it is gone, apply it again, then apply this StatefulSet again".to_owned(),
            )];
        }
        if !service.is_headless() {
            findings.push(self.finding(
                "notHeadless",
                self.not_headless,
                format!("{name:?}"),
                format!("names a Service that is not headless ({})", address(service)),
                "recreate the Service with clusterIP: None, or name a headless one".to_owned(),
            ));
        }
        if !service.selects(&statefulset.template.labels) {
            findings.push(self.finding(
                "selectorMismatch",
                self.selector_mismatch,
                format!("{name:?}"),
                mismatch(service, &statefulset.template.labels),
                "make the Service's spec.selector match spec.template.metadata.labels".to_owned(),
            ));
        }
        findings
    }

    fn finding(
        &self,
        cause: &'static str,
        action: Option<Action>,
        observed: String,
        required: String,
        remedy: String,
    ) -> Finding {
        Finding {
            required,
            remedy,
            rests_on: Evidence::SERVICE,
            ..Finding::new(cause, action.unwrap_or(self.action), FIELD, observed)
        }
    }
}

fn address(service: &Service) -> String {
    if service.kind == "ExternalName" {
        return "its type is ExternalName".to_owned();
    }
    match service.cluster_ip.as_deref() {
        Some(address) if !address.is_empty() => format!("its clusterIP is {address}"),
        _ => "it has no clusterIP: None".to_owned(),
    }
}

fn mismatch(service: &Service, labels: &Labels) -> String {
    let Some((key, wanted)) = service.selector.iter().find(|(key, value)| labels.get(*key) != Some(value)) else {
        return "names a Service without a selector, which selects no pod".to_owned();
    };
    match labels.get(key) {
        Some(actual) => format!("names a Service that selects {key}={wanted}, but the pods have {key}={actual}"),
        None => format!("names a Service that selects {key}={wanted}, but the pods have no label {key}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;
    use serde_json::{Value, from_value, json};

    use super::*;
    use crate::facts::{StatefulSet, Surroundings};
    use crate::rules::Provided;

    fn service(spec: &Value) -> Service {
        from_value(json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": spec})).unwrap()
    }

    #[rstest]
    #[case::headless(Some("db"), Some(service(&json!({"clusterIP": "None", "selector": {"app": "db"}}))), &[])]
    #[case::no_service_name(None, None, &["noServiceName"])]
    #[case::empty_service_name(Some(""), None, &["noServiceName"])]
    #[case::missing(Some("db"), None, &["missing"])]
    #[case::cluster_ip(Some("db"), Some(service(&json!({"clusterIP": "10.0.0.1", "selector": {"app": "db"}}))), &["notHeadless"])]
    #[case::cluster_ip_to_come(Some("db"), Some(service(&json!({"selector": {"app": "db"}}))), &["notHeadless"])]
    #[case::external_name(
        Some("db"),
        Some(service(&json!({"type": "ExternalName", "externalName": "db.example.com"}))),
        &["notHeadless", "selectorMismatch"]
    )]
    #[case::other_value(Some("db"), Some(service(&json!({"clusterIP": "None", "selector": {"app": "web"}}))), &["selectorMismatch"])]
    #[case::other_label(Some("db"), Some(service(&json!({"clusterIP": "None", "selector": {"tier": "x"}}))), &["selectorMismatch"])]
    #[case::no_selector(Some("db"), Some(service(&json!({"clusterIP": "None"}))), &["selectorMismatch"])]
    fn judges_l70(#[case] name: Option<&str>, #[case] service: Option<Service>, #[case] expected: &[&str]) {
        let statefulset: StatefulSet = from_value(json!({
            "metadata": {"name": "db", "namespace": "shop"},
            "spec": {"serviceName": name, "template": {"metadata": {"labels": {"app": "db"}}}}
        }))
        .unwrap();
        let surroundings = Surroundings { service: service.map(Arc::new), ..Surroundings::default() };
        let settings: Settings = from_value(json!({"action": "Deny", "missing": "Warn"})).unwrap();
        let findings = settings.check(&Subject {
            statefulset: &statefulset,
            surroundings: &surroundings,
            way: Way::StatefulSet,
            provided: Provided::default(),
        });
        assert_eq!(findings.iter().map(|finding| finding.cause).collect::<Vec<_>>(), expected);
        for finding in findings {
            let expected = if finding.cause == "missing" { Action::Warn } else { Action::Deny };
            assert_eq!(finding.action, expected, "{}", finding.cause);
        }
    }
}
