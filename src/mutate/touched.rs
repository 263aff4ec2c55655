//! What of an object a patch may touch, decoded. Everything else is passed over: it is nearly all of the object.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A value, or of an object these members.
pub(super) enum Part {
    Whole,
    Members(&'static [(&'static str, Part)]),
}

use Part::{Members, Whole};

/// What a patch may touch of a StatefulSet.
const TOUCHED: Part = Members(&[
    ("metadata", Members(&[("annotations", Whole)])),
    (
        "spec",
        Members(&[(
            "template",
            Members(&[("spec", Members(&[("affinity", Whole), ("topologySpreadConstraints", Whole)]))]),
        )]),
    ),
]);

/// The StatefulSet that is left when everything is left out that no patch touches.
///
/// # Errors
///
/// It is no JSON, or something that has to be an object is none. Null passes, for absent.
pub(super) fn touched(object: &str) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let touched = (&TOUCHED).deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(touched)
}

impl<'de> DeserializeSeed<'de> for &Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Whole => Value::deserialize(deserializer),
            Members(_) => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for &Part {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut written: A) -> Result<Value, A::Error> {
        let Members(parts) = self else { return Ok(Value::Null) };
        let mut members = Map::new();
        while let Some(name) = written.next_key::<Cow<'de, str>>()? {
            match parts.iter().find(|(part, _)| *part == name) {
                Some((_, part)) => drop(members.insert(name.into_owned(), written.next_value_seed(part)?)),
                None => drop(written.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::nothing("{}", json!({}))]
    #[case::nulls(r#"{"metadata": null, "spec": {"template": {"spec": null}}}"#, json!({"metadata": null, "spec": {"template": {"spec": null}}}))]
    #[case::others(r#"{"kind": "x", "metadata": {"name": "a", "labels": {}}, "spec": {"replicas": 1}}"#, json!({"metadata": {}, "spec": {}}))]
    #[case::all(
        r#"{"metadata": {"annotations": {"a": "b"}}, "spec": {"template": {"metadata": {}, "spec": {"affinity": {"x": [1]}, "topologySpreadConstraints": [{}], "containers": []}}}}"#,
        json!({"metadata": {"annotations": {"a": "b"}}, "spec": {"template": {"spec": {"affinity": {"x": [1]}, "topologySpreadConstraints": [{}]}}}})
    )]
    fn keeps(#[case] object: &str, #[case] expected: Value) {
        assert_eq!(touched(object).unwrap(), expected);
    }

    #[rstest]
    fn takes_nothing_else_for_an_object(
        #[values("[]", r#"{"spec": 1}"#, r#"{"metadata": "x"}"#, "{} {}", "{")] object: &str,
    ) {
        touched(object).unwrap_err();
    }
}
