//! What the rules' tables of cases share.

use serde_json::{Value, from_value, json};

use super::{Finding, Provided, Subject, Validate};
use crate::facts::{StatefulSet, Surroundings, Way};

/// What settings object to about a StatefulSet with this spec and nothing around it.
pub(super) fn findings(settings: &Value, spec: &Value) -> Vec<Finding> {
    findings_with(settings, spec, &Surroundings::default(), Provided::default())
}

/// What settings object to about a StatefulSet with this spec in these surroundings.
pub(super) fn findings_with(
    settings: &Value,
    spec: &Value,
    surroundings: &Surroundings,
    provided: Provided,
) -> Vec<Finding> {
    let settings: Validate = from_value(settings.clone()).unwrap();
    let statefulset: StatefulSet =
        from_value(json!({"metadata": {"name": "db", "namespace": "shop"}, "spec": spec})).unwrap();
    let subject = Subject { statefulset: &statefulset, surroundings, way: Way::StatefulSet, provided };
    settings.check(&subject).into_iter().map(|(_, finding)| finding).collect()
}
