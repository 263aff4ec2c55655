//! Null is absent, as the API server takes it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Labels;

/// The value, or the default where it is null.
pub(super) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Labels or annotations; null is none of them, and a null value is empty.
pub(super) fn labels<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    let labels: Option<BTreeMap<String, Option<String>>> = Option::deserialize(deserializer)?;
    Ok(labels.into_iter().flatten().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// The first few texts of a list; all others are passed over.
pub(super) fn first_texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_option(FirstTexts)
}

struct FirstTexts;

impl FirstTexts {
    const MOST: usize = 3;
}

impl<'de> Visitor<'de> for FirstTexts {
    type Value = Vec<String>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Vec<String>, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<String>, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Vec<String>, A::Error> {
        let mut texts = Vec::new();
        while texts.len() < Self::MOST {
            match elements.next_element()? {
                Some(text) => texts.push(text),
                None => return Ok(texts),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(texts)
    }
}

/// Labels or annotations of keys that begin with this; all others are passed over.
pub(super) fn labels_with_prefix<'de, D: Deserializer<'de>>(prefix: &str, deserializer: D) -> Result<Labels, D::Error> {
    deserializer.deserialize_option(WithPrefix(prefix))
}

struct WithPrefix<'p>(&'p str);

impl<'de> Visitor<'de> for WithPrefix<'_> {
    type Value = Labels;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_none<E>(self) -> Result<Labels, E> {
        Ok(Labels::new())
    }

    fn visit_unit<E>(self) -> Result<Labels, E> {
        Ok(Labels::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::new();
        while let Some(key) = members.next_key::<Cow<'de, str>>()? {
            if key.starts_with(self.0) {
                let value: Option<String> = members.next_value()?;
                labels.insert(key.into_owned(), value.unwrap_or_default());
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(labels)
    }
}
