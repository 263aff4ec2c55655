//! Counts in policy files: whole numbers, 1 or more.

use std::fmt;
use std::num::NonZeroU32;

use serde::de::{self, Deserializer, Visitor};

/// A count, written as a number: a number in quotes is text, as it is to Kubernetes.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NonZeroU32, D::Error> {
    struct CountVisitor;

    impl Visitor<'_> for CountVisitor {
        type Value = NonZeroU32;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number, 1 or more")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<NonZeroU32, E> {
            // Counts of Kubernetes are signed.
            i32::try_from(number)
                .ok()
                .and_then(|number| u32::try_from(number).ok())
                .and_then(NonZeroU32::new)
                .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<NonZeroU32, E> {
            let refuse = || E::invalid_value(de::Unexpected::Signed(number), &self);
            u64::try_from(number).map_err(|_| refuse()).and_then(|number| CountVisitor.visit_u64(number))
        }
    }

    deserializer.deserialize_any(CountVisitor)
}

/// A [`count`] that is there.
pub(crate) fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NonZeroU32>, D::Error> {
    count(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!(1), Some(1))]
    #[case(json!(2_147_483_647), Some(2_147_483_647))]
    #[case(json!(2_147_483_648_u32), None)]
    #[case(json!(0), None)]
    #[case(json!(-1), None)]
    #[case(json!(1.5), None)]
    #[case(json!("3"), None)]
    #[case(json!(null), None)]
    fn counts(#[case] written: Value, #[case] expected: Option<u32>) {
        assert_eq!(count(written).ok().map(NonZeroU32::get), expected);
    }
}
