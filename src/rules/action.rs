//! What a policy says is to be done about a violation.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// What is to be done about a violation, from the mildest to the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Action {
    /// Not evaluated.
    #[default]
    Off,
    /// Admitted silently; metrics and the audit show it.
    Audit,
    /// Admitted with a warning.
    Warn,
    /// Rejected.
    Deny,
}

impl Action {
    /// The names, in the order a person would choose from.
    const NAMES: &'static [&'static str] = &["Deny", "Warn", "Audit", "Off"];

    /// The name that policy files use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "Off",
            Self::Audit => "Audit",
            Self::Warn => "Warn",
            Self::Deny => "Deny",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ActionVisitor;

        impl Visitor<'_> for ActionVisitor {
            type Value = Action;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("one of Deny, Warn, Audit, Off")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Action, E> {
                match name {
                    "Deny" => Ok(Action::Deny),
                    "Warn" => Ok(Action::Warn),
                    "Audit" => Ok(Action::Audit),
                    "Off" => Ok(Action::Off),
                    other => Err(E::unknown_variant(other, Action::NAMES)),
                }
            }

            // To YAML 1.1, which kubectl and Helm read, an unquoted Off is the boolean false.
            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Action, E> {
                if value { Err(E::invalid_value(de::Unexpected::Bool(true), &self)) } else { Ok(Action::Off) }
            }
        }

        deserializer.deserialize_any(ActionVisitor)
    }
}

impl JsonSchema for Action {
    fn schema_name() -> Cow<'static, str> {
        "Action".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"enum": ["Deny", "Warn", "Audit", "Off", false]})
    }
}
