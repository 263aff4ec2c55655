//! The values of a policy that are more than a number or a string. Each is right once it exists.

use std::fmt;

use globset::{Glob, GlobMatcher};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::facts::{LabelSelector, Labels, Operator, Requirement};

/// A glob of names: `*` is any run of characters, `?` one, `[ab]` one of these, `{a,b}` one of these.
#[derive(Debug, Clone)]
pub struct NamePattern(GlobMatcher);

impl NamePattern {
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
                "an empty glob matches nothing; write a name or a glob such as \"sandbox-*\"",
            ));
        }
        let glob = Glob::new(&text).map_err(|error| {
            de::Error::custom(format_args!("{text:?} is not a glob: {}; write one such as \"sandbox-*\"", error.kind()))
        })?;
        Ok(Self(glob.compile_matcher()))
    }
}

/// A label selector of which each requirement makes sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySelector(LabelSelector);

impl PolicySelector {
    /// Whether an object with these labels is selected.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.matches(labels)
    }
}

/// A label selector as a policy file writes it: unlike one that comes from a cluster, every word of it is checked.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
struct StrictSelector {
    match_labels: Labels,
    match_expressions: Vec<StrictRequirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StrictRequirement {
    key: String,
    operator: StrictOperator,
    #[serde(default)]
    values: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
enum StrictOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl From<StrictSelector> for LabelSelector {
    fn from(strict: StrictSelector) -> Self {
        let requirement = |strict: StrictRequirement| Requirement {
            key: strict.key,
            operator: match strict.operator {
                StrictOperator::In => Operator::In,
                StrictOperator::NotIn => Operator::NotIn,
                StrictOperator::Exists => Operator::Exists,
                StrictOperator::DoesNotExist => Operator::DoesNotExist,
            },
            values: strict.values,
        };
        Self {
            match_labels: strict.match_labels,
            match_expressions: strict.match_expressions.into_iter().map(requirement).collect(),
        }
    }
}

impl<'de> Deserialize<'de> for PolicySelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let selector = LabelSelector::from(StrictSelector::deserialize(deserializer)?);
        for (key, value) in &selector.match_labels {
            check_label_key(key).map_err(de::Error::custom)?;
            check_label_value(value).map_err(de::Error::custom)?;
        }
        for requirement in &selector.match_expressions {
            check_label_key(&requirement.key).map_err(de::Error::custom)?;
            let wants_values = matches!(requirement.operator, Operator::In | Operator::NotIn);
            if wants_values == requirement.values.is_empty() {
                return Err(de::Error::custom(format_args!(
                    "the requirement on {:?} has operator {:?}, which takes {}",
                    requirement.key,
                    requirement.operator,
                    if wants_values { "at least one of `values`" } else { "no `values`" },
                )));
            }
            for value in &requirement.values {
                check_label_value(value).map_err(de::Error::custom)?;
            }
        }
        Ok(Self(selector))
    }
}

/// The key of a node label that tells domains apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopologyKey(String);

impl TopologyKey {
    /// The key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TopologyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        check_label_key(&key).map_err(de::Error::custom)?;
        Ok(Self(key))
    }
}

/// The weight of a preferred term: 1 to 100, 100 where omitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
        match i64::deserialize(deserializer)? {
            weight @ 1..=100 => Ok(Self(u8::try_from(weight).unwrap_or(100))),
            weight => Err(de::Error::custom(format_args!("{weight} is not a weight; write 1 to 100"))),
        }
    }
}

/// A date, which ends at 24:00 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfDay(Date);

impl EndOfDay {
    /// Reads `2027-03-31`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        (date.to_string() == text).then_some(Self(date))
    }

    /// Whether the day is over.
    #[must_use]
    pub fn is_over(self, now: Timestamp) -> bool {
        now.to_zoned(TimeZone::UTC).date() > self.0
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
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format_args!("{text:?} is not a date; write it as 2027-03-31")))
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

impl<'de> Deserialize<'de> for MaxUnavailable {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MaxUnavailableVisitor;

        impl Visitor<'_> for MaxUnavailableVisitor {
            type Value = MaxUnavailable;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("Quorum, a whole number of pods from 1, or a percentage from \"1%\" to \"100%\"")
            }

            fn visit_i64<E: de::Error>(self, pods: i64) -> Result<MaxUnavailable, E> {
                match u32::try_from(pods) {
                    Ok(0) => Err(E::custom(
                        "0 would let no pod be evicted and block every drain; write Quorum, or 1 or more",
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
                        "0% would let no pod be evicted and block every drain; write Quorum, or 1% or more",
                    )),
                    Some(Ok(percent @ 1..=100)) => Ok(MaxUnavailable::Percent(percent)),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(MaxUnavailableVisitor)
    }
}

/// The syntax of a label's key: an optional DNS prefix and a slash, then a name of at most 63 characters.
fn check_label_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_is_right = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix.split('.').all(|part| is_label_text(part) && !part.contains('_'))
            && !prefix.contains(|character: char| character.is_ascii_uppercase())
    });
    if prefix_is_right && !name.is_empty() && is_label_text(name) {
        return Ok(());
    }
    Err(format!("{key:?} is not the key of a label; write one such as environment or topology.kubernetes.io/zone"))
}

/// The syntax of a label's value: empty, or at most 63 letters, digits, `-`, `_` and `.`, the ends alphanumeric.
fn check_label_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_label_text(value) {
        return Ok(());
    }
    Err(format!(
        "{value:?} can't be the value of a label: at most 63 letters, digits, '-', '_' and '.', beginning and ending with a \
         letter or digit"
    ))
}

fn is_label_text(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && text.chars().all(|each| each.is_ascii_alphanumeric() || matches!(each, '-' | '_' | '.'))
}
