//! The words for what the decoder rejects: what it is, what it must be, what to do.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::decode::{MAX_ALIASED, MAX_DEPTH, MAX_NODES};
use crate::policy::values::quoted;
use crate::rules::Rule;

/// What an error is about, which decides where its place is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// The text is no YAML, or too much of it: the decoder's place, and no field.
    Text,
    /// A key: the decoder's place.
    Key,
    /// The value of the field: the field's place.
    Value,
}

/// What the error is about.
pub(super) fn about(error: &Error) -> About {
    match error {
        Error::SerdeUnknownField { .. } | Error::DuplicateMappingKey { .. } | Error::Message { .. } => About::Key,
        Error::SerdeUnknownVariant { .. }
        | Error::SerdeMissingField { .. }
        | Error::SerdeInvalidType { .. }
        | Error::SerdeInvalidValue { .. }
        | Error::InvalidScalar { .. }
        | Error::InvalidBooleanStrict { .. }
        | Error::Unexpected { .. }
        | Error::NullIntoString { .. }
        | Error::QuotingRequired { .. }
        | Error::UnexpectedValueForUnitEnumVariant { .. }
        | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => About::Value,
        _ => About::Text,
    }
}

/// What is wrong, and what would be right, where `key` is the field's name and `written` its value.
pub(super) fn explain(error: &Error, key: &str, written: &str) -> String {
    match error {
        Error::Message { msg, .. } => msg.clone(),
        Error::SerdeUnknownField { field, expected, .. } => unknown_field(field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown_variant(variant, expected),
        Error::SerdeMissingField { field, .. } => format!("lacks {field}; add it{}", example(field)),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => {
            mismatch(key, written, expected)
        }
        Error::InvalidScalar { ty, .. } => mismatch(key, written, ty),
        Error::Unexpected { expected, .. } => mismatch(key, written, expected),
        Error::InvalidBooleanStrict { .. } => mismatch(key, written, "bool"),
        Error::NullIntoString { .. } => mismatch(key, "nothing", "string"),
        Error::QuotingRequired { value, .. } => format!("{value} is no text to YAML; put it in quotes: {value:?}"),
        Error::DuplicateMappingKey { key: Some(key), .. } => {
            format!("{} is given twice; keep one of the two", quoted(key))
        }
        Error::DuplicateMappingKey { .. } => "a key is given twice; keep one of the two".to_owned(),
        Error::UnsupportedTag { tag, .. } => format!("the tag {} means nothing here; remove it", quoted(tag)),
        Error::UnknownAnchor { .. } => {
            "no anchor (&name) of this document has the name of this alias (*name)".to_owned()
        }
        Error::AliasReplayLimitExceeded { .. } => {
            format!(
                "the aliases (*name) of this document stand for more than {MAX_ALIASED} values; write out what you mean"
            )
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => too_deep(),
        Error::ExternalMessage { msg, .. } if msg.starts_with("recursion limit") => too_deep(),
        Error::Budget { breach: BudgetBreach::Nodes { .. }, .. } => {
            format!("the document holds more than {MAX_NODES} values, which no policy needs; split it")
        }
        Error::Budget { .. } => {
            "the document holds more than any policy needs; split it, or write it without aliases".to_owned()
        }
        Error::UnexpectedValueForUnitEnumVariant { .. } | Error::ExternallyTaggedEnumExpectedScalarOrMapping { .. } => {
            mismatch(key, written, "one word")
        }
        Error::ExternalMessage { msg, .. } if msg.starts_with("tabs disallowed") => {
            "a tab can't indent YAML; use spaces".to_owned()
        }
        Error::ExternalMessage { msg, .. } => {
            format!("is neither YAML nor JSON: {msg}; check the indentation, and that quotes and brackets are closed")
        }
        other => format!("can't be read: {other}"),
    }
}

fn too_deep() -> String {
    format!("the document is nested more than {MAX_DEPTH} levels deep, which no policy needs")
}

fn unknown_field(field: &str, expected: &[&'static str]) -> String {
    match (home(field), similar(field, expected)) {
        (Some(home), None) => format!("is no field here but of {home}; move it there"),
        _ => format!("is no field here; {}", choose(field, expected, "the fields here are")),
    }
}

/// Where fields belong that are easily put elsewhere.
fn home(field: &str) -> Option<&'static str> {
    match field {
        "match" | "validate" | "mutate" | "existing" | "exemptions" | "onInternalError" => Some("spec"),
        "namespaceSelector" | "objectSelector" | "excludeNamespaces" | "excludeNames" | "ownedByOperator"
        | "operators" | "appliers" => Some("spec.match"),
        "matchLabels" | "matchExpressions" => Some("spec.match.namespaceSelector or spec.match.objectSelector"),
        "podAntiAffinity" | "topologySpreadConstraints" | "onExisting" | "userTerms" => Some("spec.mutate"),
        "maxUnavailable" | "unhealthyPodEvictionPolicy" => Some("spec.podDisruptionBudget"),
        "enforceAfter" => Some("spec.existing"),
        // This one is a field of spec, too.
        "podDisruptionBudget" => None,
        rule => Rule::named(rule).map(|_| "spec.validate"),
    }
}

fn unknown_variant(written: &str, expected: &[&'static str]) -> String {
    match expected {
        [only] => format!("{} must be {only}; keep other objects out of policy files", quoted(written)),
        expected => format!("{} is not allowed here; {}", quoted(written), choose(written, expected, "possible are")),
    }
}

/// The likely one first, then all.
fn choose(written: &str, expected: &[&'static str], all: &str) -> String {
    let names = expected.join(", ");
    match similar(written, expected) {
        Some(likely) => format!("did you mean {likely}? ({all} {names})"),
        None => format!("{all} {names}"),
    }
}

/// The one that is spelt most like what is written, if any is.
fn similar(written: &str, expected: &[&'static str]) -> Option<&'static str> {
    let written = written.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&written, &other.to_lowercase());
    let best = expected.iter().max_by(|left, right| likeness(left).total_cmp(&likeness(right)))?;
    (likeness(best) >= 0.8).then_some(best)
}

/// How a field that must be there may look.
fn example(field: &str) -> String {
    let example = match field {
        "apiVersion" => "quorate.dev/v1alpha1",
        "kind" => "AvailabilityPolicy",
        "metadata" => "{ name: baseline }",
        "name" => "baseline",
        "spec" => "{ validate: { replicas: { action: Warn, minimum: 3 } } }",
        "action" => "Deny",
        "minimum" => "3",
        "topologyKey" => "kubernetes.io/hostname",
        "mode" => "Preferred",
        "maxSkew" => "1",
        "whenUnsatisfiable" => "ScheduleAnyway",
        "maxUnavailable" => "Quorum",
        "enforceAfter" => "2027-03-31",
        "key" => "environment",
        "operator" => "In",
        "podDisruptionBudget" => "{ maxUnavailable: Quorum }",
        _ => return String::new(),
    };
    format!(", such as {field}: {example}")
}

fn mismatch(key: &str, written: &str, expected: &str) -> String {
    let expected = match expected {
        "a boolean" | "boolean" | "bool" => "true or false",
        "a string" | "string" | "string scalar" => "text",
        "a sequence" | "sequence start" => "a list",
        "a map" | "mapping start" => "a mapping",
        other => other,
    };
    let example = match written {
        "Deny" | "Warn" | "Audit" | "Off" if expected == "a mapping" => {
            format!(", such as {key}: {{ action: {written} }}")
        }
        _ if expected.starts_with("one of") || expected.starts_with("Quorum") => String::new(),
        _ => example(key),
    };
    match (written, key) {
        (_, "") => "is no policy; write a mapping that begins with apiVersion: quorate.dev/v1alpha1".to_owned(),
        ("nothing", "spec" | "metadata" | "name" | "action") => format!("is empty; write {expected}{example}"),
        ("nothing", _) => format!("is empty; write {expected}{example}, or remove it"),
        _ => format!("{written} is not allowed here; write {expected}{example}"),
    }
}
