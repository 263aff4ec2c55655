//! The words for what the decoder rejects: what it is, what it must be, what to do.

use serde_saphyr::Error;
use serde_saphyr::budget::BudgetBreach;

use super::decode::{MAX_ALIASED, MAX_DEPTH};
use super::document::Document;
use super::locate::Found;

/// What is wrong, and what would be right.
pub(super) fn explain(document: &Document<'_>, error: &Error, found: &Found) -> String {
    let written = &found.written;
    match error {
        Error::SerdeUnknownField { field, expected, .. } => unknown_field(field, expected),
        Error::SerdeUnknownVariant { variant, expected, .. } => unknown_variant(variant, expected),
        Error::SerdeMissingField { field, .. } => missing_field(field),
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => mismatch(written, expected),
        _ => error.to_string(),
    }
}

fn unknown_field(field: &str, expected: &[&'static str]) -> String {
    match expected {
        [] => format!("{field:?} is no field here; remove it"),
        expected => format!("is no field here; {}", choose(field, expected)),
    }
}

fn unknown_variant(written: &str, expected: &[&'static str]) -> String {
    match expected {
        [only] => format!("{written:?} must be {only}"),
        expected => format!("{written:?} is not allowed here; {}", choose(written, expected)),
    }
}

/// The likely one first, then all.
fn choose(written: &str, expected: &[&'static str]) -> String {
    let all = expected.join(", ");
    match similar(written, expected) {
        Some(likely) => format!("did you mean {likely}? Possible are {all}"),
        None => format!("possible are {all}"),
    }
}

/// The one that is spelt most like what is written, if any is.
fn similar(written: &str, expected: &[&'static str]) -> Option<&'static str> {
    let written = written.to_lowercase();
    let likeness = |other: &str| strsim::jaro_winkler(&written, &other.to_lowercase());
    let best = expected.iter().max_by(|left, right| likeness(left).total_cmp(&likeness(right)))?;
    (likeness(best) >= 0.8).then_some(best)
}

fn missing_field(field: &str) -> String {
    format!("lacks {field}; add it{}", example(field))
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
        _ => return String::new(),
    };
    format!(", such as {field}: {example}")
}

fn mismatch(written: &str, expected: &str) -> String {
    let expected = plain(expected);
    if written == "nothing" {
        return format!("is empty; write {expected}, or remove it");
    }
    format!("{written} is not allowed here; write {expected}")
}

/// What serde calls a type, in plain words.
fn plain(expected: &str) -> &str {
    match expected {
        "a nonzero u32" | "u32" => "a whole number, 1 or more",
        "i64" => "a whole number",
        "a boolean" | "bool" => "true or false",
        "a string" | "string" => "text",
        "a sequence" | "sequence" => "a list",
        "a map" | "map" | "mapping" => "a mapping",
        other => other,
    }
}
