//! Null is absent, as the API server takes it.

use std::collections::BTreeMap;

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
