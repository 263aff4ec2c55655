//! Where in a document a field is, and what is written there.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::Place;
use super::decode::options;
use super::document::Document;
use crate::policy::values::quoted;

/// The path of a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

impl Path {
    pub(super) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| Step::Key((*key).to_owned())).collect())
    }

    /// This path and the rest, written as `.weight` or `[1].topologyKey`.
    pub(super) fn join(mut self, rest: &str) -> Self {
        for part in rest.split(['.', '[']).filter(|part| !part.is_empty()) {
            let index = part.strip_suffix(']').and_then(|index| index.parse().ok());
            self.0.push(index.map_or_else(|| Step::Key(part.to_owned()), Step::Index));
        }
        self
    }

    /// The name of the field that it leads to; empty for the document as a whole.
    pub(super) fn key(&self) -> &str {
        match self.0.last() {
            Some(Step::Key(key)) => key,
            Some(Step::Index(_)) => "element",
            None => "",
        }
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        let steps = path.iter().filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(Step::Index(*index)),
            serde_path_to_error::Segment::Map { key } => Some(Step::Key(key.clone())),
            _ => None,
        });
        Self(steps.collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(formatter, "[{index}]")?,
                Step::Key(key) if key.len() > 63 || !key.chars().all(is_plain) => {
                    write!(formatter, "[{}]", quoted(key))?;
                }
                Step::Key(key) if index == 0 => formatter.write_str(key)?,
                Step::Key(key) => write!(formatter, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// Whether a character of a key can be written in a path as it is.
fn is_plain(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_' | '/')
}

/// What is written at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Where.
    pub(super) place: Place,
    /// What, in a few words.
    pub(super) written: String,
}

/// What is written at the path, or at the nearest field above it.
pub(super) fn find(document: &Document<'_>, path: &Path) -> Found {
    let walk = |steps: &[Step]| {
        serde_saphyr::with_deserializer_from_str_with_options(document.text, options(), |deserializer| {
            Walk(steps).deserialize(deserializer)
        })
    };
    let found = (0..=path.0.len()).rev().find_map(|length| walk(&path.0[..length]).ok());
    let (location, kind) = found.unwrap_or((Location::UNKNOWN, Kind::Nothing));
    Found { place: place(document, location), written: kind.describe(document.text, location) }
}

/// The place in the file of a location in the document; the document's beginning where it is unknown.
pub(super) fn place(document: &Document<'_>, location: Location) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX).max(1);
    Place { line: document.lines_before + number(location.line()), column: number(location.column()) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nothing,
    Scalar,
    List,
    Mapping,
}

impl Kind {
    fn describe(self, text: &str, location: Location) -> String {
        match self {
            Self::Nothing => "nothing".to_owned(),
            Self::List => "a list".to_owned(),
            Self::Mapping => "a mapping".to_owned(),
            Self::Scalar => {
                let span = location.span();
                let start = span.byte_offset().and_then(|start| usize::try_from(start).ok()).unwrap_or_default();
                let length = span.byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or_default();
                let written = text.get(start..start + length).unwrap_or_default().trim();
                let mut short: String = written.chars().take(60).take_while(|each| *each != '\n').collect();
                if short.len() < written.len() {
                    short.push('…');
                }
                short
            }
        }
    }
}

/// Walks down a path and yields what is at its end.
struct Walk<'a>(&'a [Step]);

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = (Location, Kind);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let spanned: Spanned<Kind> = serde::Deserialize::deserialize(deserializer)?;
            return Ok((spanned.referenced, spanned.value));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = (Location, Kind);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a mapping or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match &self.0[0] {
                Step::Key(wanted) if *wanted == key => found = Some(map.next_value_seed(Walk(&self.0[1..]))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        found.ok_or_else(|| A::Error::custom("no such key"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let Step::Index(wanted) = self.0[0] else { return Err(A::Error::custom("no such key")) };
        for _ in 0..wanted {
            list.next_element::<IgnoredAny>()?;
        }
        let found = list.next_element_seed(Walk(&self.0[1..]))?;
        while list.next_element::<IgnoredAny>()?.is_some() {}
        found.ok_or_else(|| A::Error::custom("no such index"))
    }
}

impl<'de> serde::Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KindVisitor;

        impl<'de> Visitor<'de> for KindVisitor {
            type Value = Kind;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("anything")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }

            fn visit_str<E>(self, _: &str) -> Result<Kind, E> {
                Ok(Kind::Scalar)
            }

            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Nothing)
            }

            fn visit_none<E>(self) -> Result<Kind, E> {
                Ok(Kind::Nothing)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Kind, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Kind::List)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Kind::Mapping)
            }
        }

        deserializer.deserialize_any(KindVisitor)
    }
}
