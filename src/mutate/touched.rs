//! What of an object a patch may touch, decoded. Everything else is passed over: it is nearly all of the object.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::RECORD;
use super::patch::CONSTRAINTS;
use crate::facts::{UNVERIFIED_OWNER, Unread, decode_seed};

/// A value, or a part of it.
pub(super) enum Part {
    /// All of it.
    Whole,
    /// Only whether it is there: an empty object stands for it.
    Presence,
    /// Of an object these members.
    Members(&'static [(&'static str, Part)]),
    /// The same, and the presence of all others.
    Beside(&'static [(&'static str, Part)]),
}

use Part::{Beside, Members, Presence, Whole};

/// What a patch may touch of a StatefulSet.
const TOUCHED: Part = Members(&[
    ("metadata", Members(&[("annotations", Members(&[(RECORD, Whole), (UNVERIFIED_OWNER, Whole)]))])),
    ("spec", Members(&[("template", Members(&[("spec", Members(&[("affinity", AFFINITY), (CONSTRAINTS, Whole)]))]))])),
]);

/// What is beside our terms is needed to tell whether the affinity says anything without them.
const AFFINITY: Part = Beside(&[("podAntiAffinity", Whole)]);

/// The StatefulSet that is left when everything is left out that no patch touches.
///
/// # Errors
///
/// It is no JSON, or something that has to be an object is none. Null passes, for absent. There is more than is decoded of an
/// object: of one that rules read, there is not.
pub(super) fn touched(object: &str) -> Result<Value, Unread> {
    decode_seed(object, &TOUCHED)
}

/// How many bytes the keys and values of an object's annotations have together, those that a patch may touch aside.
pub(super) fn annotated(object: &str) -> Result<usize, Unread> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Object {
        metadata: Option<Metadata>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Metadata {
        annotations: Option<Length>,
    }
    Ok(serde_json::from_str::<Object>(object)?
        .metadata
        .unwrap_or_default()
        .annotations
        .map_or(0, |Length(bytes)| bytes))
}

/// The bytes of the names and texts in an object, without keeping any.
struct Length(usize);

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = Length;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut written: A) -> Result<Length, A::Error> {
                let mut bytes = 0;
                while let Some(name) = written.next_key::<Text<'de>>()? {
                    let text = written.next_value::<Option<Text<'de>>>()?;
                    if name.0 != RECORD && name.0 != UNVERIFIED_OWNER {
                        bytes += name.0.len() + text.map_or(0, |text| text.0.len());
                    }
                }
                Ok(Length(bytes))
            }
        }

        deserializer.deserialize_map(Texts)
    }
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> DeserializeSeed<'de> for &Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Whole => Value::deserialize(deserializer),
            Presence => {
                Ok(Option::<IgnoredAny>::deserialize(deserializer)?.map_or(Value::Null, |_| Value::Object(Map::new())))
            }
            Members(_) | Beside(_) => deserializer.deserialize_any(self),
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
        let (Members(parts) | Beside(parts)) = self else { return Ok(Value::Null) };
        let mut members = Map::new();
        while let Some(name) = written.next_key::<Cow<'de, str>>()? {
            match parts.iter().find(|(part, _)| *part == name) {
                Some((_, part)) => drop(members.insert(name.into_owned(), written.next_value_seed(part)?)),
                None if matches!(self, Beside(_)) => {
                    drop(members.insert(name.into_owned(), written.next_value_seed(&Presence)?));
                }
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
        r#"{"metadata": {"annotations": {"a": "b", "quorate.dev/injected": "c"}}, "spec": {"template": {"metadata": {}, "spec": {"affinity": {"podAntiAffinity": {"x": [1]}, "podAffinity": {"x": [1]}, "nodeAffinity": null, "fromTheFuture": [1]}, "topologySpreadConstraints": [{}], "containers": []}}}}"#,
        json!({"metadata": {"annotations": {"quorate.dev/injected": "c"}}, "spec": {"template": {"spec": {"affinity": {"podAntiAffinity": {"x": [1]}, "podAffinity": {}, "nodeAffinity": null, "fromTheFuture": {}}, "topologySpreadConstraints": [{}]}}}})
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
