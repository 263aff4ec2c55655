//! The values of a policy that are more than a number or a string. Each is right once it exists.

mod account;
mod name;
mod selector;

pub use account::AccountPattern;
pub use name::TopologyKey;
pub(super) use name::{LabelKey, LabelValue, PolicyName};
pub use selector::PolicySelector;

use std::borrow::Cow;
use std::fmt;

use globset::{Glob, GlobMatcher};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde::de::{self, Deserialize, Deserializer, Visitor};

/// A glob of names: `*` is any run of characters, `?` one, `[ab]` one of these, `{a,b}` one of these.
#[derive(Debug, Clone)]
pub struct NamePattern(GlobMatcher);

impl NamePattern {
    /// The glob as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.glob().glob()
    }

    /// Whether the name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.0.is_match(name)
    }
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl Eq for NamePattern {}

impl<'de> Deserialize<'de> for NamePattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Err(de::Error::custom(
                "is empty and matches nothing; write a name, or a glob such as \"sandbox-*\"",
            ));
        }
        let glob = Glob::new(&text).map_err(|error| {
            de::Error::custom(format_args!(
                "{} is no glob: {}; write one such as \"sandbox-*\"",
                quoted(&text),
                error.kind()
            ))
        })?;
        Ok(Self(glob.compile_matcher()))
    }
}

/// The weight of a preferred term: 1 to 100, 100 where omitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Weight(u8);

impl Weight {
    /// The weight.
    #[must_use]
    pub fn get(self) -> i32 {
        i32::from(self.0)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(100)
    }
}

impl<'de> Deserialize<'de> for Weight {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WeightVisitor;

        impl Visitor<'_> for WeightVisitor {
            type Value = Weight;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a whole number from 1 to 100")
            }

            fn visit_u64<E: de::Error>(self, weight: u64) -> Result<Weight, E> {
                match u8::try_from(weight) {
                    Ok(weight @ 1..=100) => Ok(Weight(weight)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(weight), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, weight: i64) -> Result<Weight, E> {
                match u64::try_from(weight) {
                    Ok(weight) => self.visit_u64(weight),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(weight), &self)),
                }
            }
        }

        deserializer.deserialize_any(WeightVisitor)
    }
}

/// A date, which ends at 24:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndOfDay(Date);

impl EndOfDay {
    /// Reads `2027-03-31`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        (date.to_string() == text).then_some(Self(date))
    }

    /// The day of a moment.
    #[must_use]
    pub fn of(moment: Timestamp) -> Self {
        Self(moment.to_zoned(TimeZone::UTC).date())
    }

    /// Whether the day is over.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        Self::of(now) > self
    }
}

impl fmt::Display for EndOfDay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for EndOfDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            de::Error::custom(format_args!("{} is no date; write year-month-day, such as 2027-03-31", quoted(&text)))
        })
    }
}

/// A budget's `maxUnavailable`; never zero (L52).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaxUnavailable {
    /// As many as leave a majority: ⌊(n−1)/2⌋ of n replicas, never below 1.
    Quorum,
    /// So many pods; at least 1.
    Pods(u32),
    /// So many per cent of the replicas, rounded up; 1 to 100.
    Percent(u8),
}

impl fmt::Display for MaxUnavailable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quorum => formatter.write_str("Quorum"),
            Self::Pods(pods) => pods.fmt(formatter),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

impl<'de> Deserialize<'de> for MaxUnavailable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MaxUnavailableVisitor;

        impl Visitor<'_> for MaxUnavailableVisitor {
            type Value = MaxUnavailable;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("Quorum, a whole number of pods, 1 or more, or a percentage from 1% to 100%")
            }

            fn visit_i64<E: de::Error>(self, pods: i64) -> Result<MaxUnavailable, E> {
                match u32::try_from(pods) {
                    Ok(0) => Err(E::custom(
                        "0 would let no pod be evicted and block every drain; write Quorum, or a number from 1",
                    )),
                    Ok(pods) if i32::try_from(pods).is_ok() => Ok(MaxUnavailable::Pods(pods)),
                    _ => Err(E::invalid_value(de::Unexpected::Signed(pods), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, pods: u64) -> Result<MaxUnavailable, E> {
                match i64::try_from(pods) {
                    Ok(pods) => self.visit_i64(pods),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Unsigned(pods), &self)),
                }
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<MaxUnavailable, E> {
                if text == "Quorum" {
                    return Ok(MaxUnavailable::Quorum);
                }
                match text.strip_suffix('%').map(str::parse::<u8>) {
                    Some(Ok(0)) => Err(E::custom(
                        "0% would let no pod be evicted and block every drain; write Quorum, or a percentage from 1%",
                    )),
                    Some(Ok(percent @ 1..=100)) => Ok(MaxUnavailable::Percent(percent)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(MaxUnavailableVisitor)
    }
}

/// What editors are told of a value: as much of its check as JSON Schema can say.
macro_rules! schemas {
    ($($name:ident: $schema:tt,)*) => {
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })*
    };
}

schemas! {
    NamePattern: {"type": "string", "minLength": 1},
    Weight: {"type": "integer", "minimum": 1, "maximum": 100},
    EndOfDay: {"type": "string", "format": "date"},
    MaxUnavailable: {"anyOf": [
        {"const": "Quorum"},
        {"type": "integer", "minimum": 1, "maximum": i32::MAX},
        {"type": "string", "pattern": "^0*([1-9][0-9]?|100)%$"},
    ]},
}

/// What is written, in quotes, and cut where it is long.
pub(super) fn quoted(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The message of a mistake that shows only once a type has all of its fields: which of them is wrong, written as `.weight` or
/// `[1].topologyKey`, and how.
pub(super) fn at(field: impl fmt::Display, message: impl fmt::Display) -> String {
    format!("{field}: {message}")
}

/// The two parts of such a message.
pub(super) fn split_at(message: &str) -> Option<(&str, &str)> {
    message.split_once(": ").filter(|(field, _)| field.starts_with(['.', '[']) && !field.contains(' '))
}
