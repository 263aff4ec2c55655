//! Names and labels, in the syntax of Kubernetes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer};

use super::quoted;

/// A type that holds text in a syntax of Kubernetes, and checks it while decoding. The pattern tells editors as much of the
/// check as a regular expression can.
macro_rules! text {
    ($(#[$docs:meta])* $visibility:vis $name:ident, $check:ident, $pattern:expr) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visibility struct $name(String);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                $check(&text).map_err(de::Error::custom)?;
                Ok(Self(text))
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern})
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

const LABEL_KEY: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$";
const LABEL_VALUE: &str = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$";
const NAME: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

text! {
    /// The key of a node label that tells domains apart.
    pub TopologyKey, check_label_key, LABEL_KEY
}
text! {
    /// The key of a label or annotation.
    pub(in crate::policy) LabelKey, check_label_key, LABEL_KEY
}
text! {
    /// The value of a label.
    pub(in crate::policy) LabelValue, check_label_value, LABEL_VALUE
}
text! {
    /// The name of a policy: what an object of a cluster may be called.
    pub(in crate::policy) PolicyName, check_name, NAME
}

impl TopologyKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An optional DNS subdomain and a slash, then a name of at most 63 characters.
fn check_label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if prefix.is_none_or(is_subdomain) && is_label_text(name) {
        return Ok(());
    }
    Err(format!("{} is no key of a label; write one such as environment or topology.kubernetes.io/zone", quoted(key)))
}

/// Empty, or at most 63 letters, digits, `-`, `_` and `.`, the ends alphanumeric.
fn check_label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_label_text(value) {
        return Ok(());
    }
    Err(format!(
        "{} can't be the value of a label; write at most 63 letters, digits, '-', '_' and '.', the first and last a \
         letter or digit",
        quoted(value)
    ))
}

fn check_name(name: &str) -> Result<(), String> {
    if is_subdomain(name) {
        return Ok(());
    }
    Err(format!(
        "{} can't be the name of a policy; write at most 253 lower-case letters, digits, '-' and '.', the first and last a \
         letter or digit",
        quoted(name)
    ))
}

fn is_label_text(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.'))
}

/// A DNS subdomain as of RFC 1123; its parts may be as long as the whole (Kubernetes' `IsDNS1123Subdomain`).
fn is_subdomain(text: &str) -> bool {
    let is_end = |each: char| each.is_ascii_lowercase() || each.is_ascii_digit();
    text.len() <= 253
        && text.split('.').all(|part| {
            part.starts_with(is_end) && part.ends_with(is_end) && part.chars().all(|each| is_end(each) || each == '-')
        })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("environment", true)]
    #[case("topology.kubernetes.io/zone", true)]
    #[case("App_Name.x", true)]
    #[case("", false)]
    #[case("/zone", false)]
    #[case("Upper.io/zone", false)]
    #[case("a/b/c", false)]
    #[case("ends-", false)]
    #[case("with space", false)]
    fn label_keys(#[case] key: &str, #[case] right: bool) {
        assert_eq!(check_label_key(key).is_ok(), right);
    }

    #[rstest]
    #[case("production", true)]
    #[case("team-a.production", true)]
    #[case("", false)]
    #[case("Production", false)]
    #[case("-production", false)]
    #[case("a..b", false)]
    #[case("under_score", false)]
    fn names(#[case] name: &str, #[case] right: bool) {
        assert_eq!(check_name(name).is_ok(), right);
    }

    #[test]
    fn lengths_are_limited() {
        assert!(check_label_key(&"a".repeat(63)).is_ok() && check_label_key(&"a".repeat(64)).is_err());
        assert!(check_label_value(&"a".repeat(63)).is_ok() && check_label_value(&"a".repeat(64)).is_err());
        assert!(check_name(&"a".repeat(253)).is_ok() && check_name(&"a".repeat(254)).is_err());
    }
}
