//! One member of a JSON object, whatever else is in it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The member of this name as it is written; of several the last, as the API server takes it. Everything else is passed over
/// without being kept, however deep or long.
pub(super) fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a RawValue> {
    Member(name).deserialize(&mut serde_json::Deserializer::from_slice(object)).ok()?
}

struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let value: &'de RawValue = members.next_value()?;
            if name == self.0 {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::there(r#"{"a": [1], "uid": "x"}"#, Some(r#""x""#))]
    #[case::twice(r#"{"uid": 1, "uid": 2}"#, Some("2"))]
    #[case::beside_a_number_that_is_none(r#"{"uid": 1, "a": 1e999999}"#, Some("1"))]
    #[case::absent(r#"{"a": {"uid": 1}}"#, None)]
    #[case::no_object(r#"["uid"]"#, None)]
    #[case::no_json("{", None)]
    fn finds(#[case] object: &str, #[case] expected: Option<&str>) {
        assert_eq!(member(object.as_bytes(), "uid").map(RawValue::get), expected);
    }

    #[test]
    fn passes_over_what_is_deep() {
        let deep = format!(r#"{{"a": {}{}, "uid": "x"}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(member(deep.as_bytes(), "uid").map(RawValue::get), Some(r#""x""#));
    }
}
