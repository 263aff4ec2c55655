//! Label selectors in policies: each requirement makes sense.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{LabelKey, LabelValue, at};
use crate::facts::{LabelSelector, Labels, Operator, Requirement};

/// A label selector of which each requirement makes sense.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "Wire")]
#[schemars(with = "Wire")]
pub struct PolicySelector(LabelSelector);

impl PolicySelector {
    /// A label that it asks for, by key and value.
    pub(in crate::policy) fn label(&self) -> Option<(&str, &str)> {
        self.0.match_labels.first_key_value().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
struct Wire {
    match_labels: BTreeMap<LabelKey, LabelValue>,
    match_expressions: Vec<WireRequirement>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Untested")]
#[schemars(with = "Untested")]
struct WireRequirement(Requirement);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a mapping")]
struct Untested {
    key: LabelKey,
    operator: WrittenOperator,
    #[serde(default)]
    values: Vec<LabelValue>,
}

/// Unlike an operator that comes from a cluster, one in a policy is known.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
enum WrittenOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl From<Wire> for PolicySelector {
    fn from(Wire { match_labels, match_expressions }: Wire) -> Self {
        Self(LabelSelector {
            match_labels: match_labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
            match_expressions: match_expressions.into_iter().map(|requirement| requirement.0).collect(),
        })
    }
}

impl TryFrom<Untested> for WireRequirement {
    type Error = String;

    fn try_from(Untested { key, operator, values }: Untested) -> Result<Self, String> {
        let takes_values = matches!(operator, WrittenOperator::In | WrittenOperator::NotIn);
        match (takes_values, values.is_empty()) {
            (true, true) => Err(at(".values", format_args!("{operator:?} compares with values; write at least one"))),
            (false, false) => {
                Err(at(".values", format_args!("{operator:?} takes no values; remove them, or write operator: In")))
            }
            _ => {
                let operator = match operator {
                    WrittenOperator::In => Operator::In,
                    WrittenOperator::NotIn => Operator::NotIn,
                    WrittenOperator::Exists => Operator::Exists,
                    WrittenOperator::DoesNotExist => Operator::DoesNotExist,
                };
                let values = values.into_iter().map(String::from).collect();
                Ok(Self(Requirement { key: key.into(), operator, values }))
            }
        }
    }
}
