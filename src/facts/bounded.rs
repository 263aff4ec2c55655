//! Decodes JSON within a bound. What is wanted of a text is counted, value by value; what is passed over costs nothing.
//!
//! Decoded, a value takes up to hundreds of times its text. So a requester could make an object too heavy to be read: by fields
//! that nobody looks at, if those counted (L131).

use std::cell::{Cell, RefCell};
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, EnumAccess, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The most values that are decoded of one object: elements of lists and members of objects. A StatefulSet that somebody means
/// has hundreds. Caches keep what was decoded: a value of a few bytes of text takes up to a hundred.
pub const MOST_VALUES: usize = 1 << 13;

/// The shortest value and what divides it from the next: `0,`. A text with room for no more than the bound is not counted.
const SHORTEST: usize = 2;

/// Why a text was not decoded.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The text is no JSON, or what is wanted of it has another shape.
    #[error(transparent)]
    Shape(#[from] serde_json::Error),
    /// More is wanted of it than [`MOST_VALUES`].
    #[error("{field}: {values} values, more than Quorate reads")]
    TooMuch {
        /// The list or object that holds the most.
        field: String,
        /// How many values that one holds.
        values: usize,
    },
}

/// What is wanted of a JSON text.
///
/// # Errors
///
/// See [`Unread`].
pub fn decode<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, Unread> {
    decode_seed(text, PhantomData)
}

/// The same for what a seed wants of it.
///
/// # Errors
///
/// See [`Unread`].
pub fn decode_seed<'de, S: DeserializeSeed<'de> + Copy>(text: &'de str, seed: S) -> Result<S::Value, Unread> {
    if text.len() <= MOST_VALUES * SHORTEST {
        return Ok(whole(text, |json| seed.deserialize(json))?);
    }
    let counting =
        |tally: &Tally| whole(text, |json| seed.deserialize(Bounded { inner: json, tally, what: What::Value }));
    let tally = Tally::default();
    match counting(&tally) {
        Ok(value) => Ok(value),
        Err(error) if tally.values.get() <= MOST_VALUES => Err(Unread::Shape(error)),
        // Only now does it matter where in the text the decoder is.
        Err(error) => {
            let tally = Tally { trace: Some(RefCell::default()), ..Tally::default() };
            drop(counting(&tally));
            Err(tally.objection(text).unwrap_or(Unread::Shape(error)))
        }
    }
}

/// What is decoded of a text, behind which nothing more comes.
fn whole<'de, T>(
    text: &'de str,
    decode: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::StrRead<'de>>) -> serde_json::Result<T>,
) -> serde_json::Result<T> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = decode(&mut json)?;
    json.end()?;
    Ok(value)
}

/// How much was decoded.
#[derive(Debug, Default)]
struct Tally {
    values: Cell<usize>,
    trace: Option<RefCell<Trace>>,
}

/// Where the decoder is.
#[derive(Debug, Default)]
struct Trace {
    /// The lists and objects around that place, from the outermost.
    open: Vec<Level>,
    /// The one of those that were left that held the most, and how many values it held.
    most: (usize, Vec<Step>),
}

#[derive(Debug)]
struct Level {
    values: usize,
    at: Step,
}

/// From a list or object to something in it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

impl Tally {
    fn add<E: Error>(&self) -> Result<(), E> {
        self.values.set(self.values.get() + 1);
        if let Some(trace) = &self.trace
            && let Some(level) = trace.borrow_mut().open.last_mut()
        {
            level.values += 1;
        }
        if self.values.get() > MOST_VALUES { Err(E::custom("too many values")) } else { Ok(()) }
    }

    fn enter(&self, at: Step) -> Open<'_> {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().open.push(Level { values: 0, at });
        }
        Open(self)
    }

    /// The next element, or the member of this name.
    fn goes_on(&self, name: Option<&str>) {
        let Some(trace) = &self.trace else { return };
        match (trace.borrow_mut().open.last_mut().map(|level| &mut level.at), name) {
            (Some(Step::Element(next)), _) => *next += 1,
            (Some(Step::Member(at)), Some(name)) => {
                at.clear();
                at.push_str(name);
            }
            _ => {}
        }
    }

    /// Why the text is not decoded.
    fn objection(self, text: &str) -> Option<Unread> {
        let Trace { most: (some, path), .. } = self.trace?.into_inner();
        // The decoder stopped somewhere in it.
        let all = Held(&path).deserialize(&mut serde_json::Deserializer::from_str(text));
        Some(Unread::TooMuch { field: field(&path), values: all.unwrap_or(some) })
    }
}

/// A list or object that is being decoded, until it is left: also where that fails.
struct Open<'t>(&'t Tally);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Some(trace) = &self.0.trace else { return };
        let mut trace = trace.borrow_mut();
        let Some(level) = trace.open.pop() else { return };
        if level.values > trace.most.0 {
            trace.most = (level.values, trace.open.iter().map(|level| level.at.clone()).collect());
        }
    }
}

fn field(path: &[Step]) -> String {
    let mut field = String::new();
    for step in path {
        match step {
            Step::Member(name) if field.is_empty() => field.push_str(name),
            Step::Member(name) => field.extend([".", name]),
            Step::Element(index) => field.extend(["[", &index.to_string(), "]"]),
        }
    }
    field
}

/// How many values there are at the end of a path.
struct Held<'p>(&'p [Step]);

impl<'de> DeserializeSeed<'de> for Held<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Held<'_> {
    type Value = usize;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<usize, A::Error> {
        let (mut count, mut held) = (0, None);
        loop {
            let there = match self.0.split_first() {
                Some((Step::Element(at), rest)) if *at == count => {
                    held = elements.next_element_seed(Held(rest))?;
                    held.is_some()
                }
                _ => elements.next_element::<IgnoredAny>()?.is_some(),
            };
            if !there {
                return Ok(held.unwrap_or(count));
            }
            count += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<usize, A::Error> {
        let (mut count, mut held) = (0, None);
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            match self.0.split_first() {
                Some((Step::Member(at), rest)) if *at == name => held = Some(members.next_value_seed(Held(rest))?),
                _ => drop(members.next_value::<IgnoredAny>()?),
            }
            count += 1;
        }
        Ok(held.unwrap_or(count))
    }
}

/// What is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// A value.
    Value,
    /// The same value once more: what is in an `Option`.
    Same,
    /// The name of a member.
    Name,
}

/// Decodes through another decoder, and counts.
struct Bounded<'t, D> {
    inner: D,
    tally: &'t Tally,
    what: What,
}

impl<'t, D> Bounded<'t, D> {
    fn open<'de, V, E: Error>(self, visitor: V) -> Result<(D, Seen<'t, V>), E>
    where
        D: Deserializer<'de>,
    {
        if self.what == What::Value {
            self.tally.add()?;
        }
        Ok((self.inner, Seen { inner: visitor, tally: self.tally, what: self.what }))
    }
}

macro_rules! decode {
    ($($method:ident($($argument:ident: $type:ty),*))*) => {
        $(fn $method<V: Visitor<'de>>(self, $($argument: $type,)* visitor: V) -> Result<V::Value, D::Error> {
            let (inner, visitor) = self.open(visitor)?;
            inner.$method($($argument,)* visitor)
        })*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Bounded<'_, D> {
    type Error = D::Error;

    decode! {
        deserialize_any() deserialize_bool() deserialize_char() deserialize_str() deserialize_string()
        deserialize_i8() deserialize_i16() deserialize_i32() deserialize_i64() deserialize_i128()
        deserialize_u8() deserialize_u16() deserialize_u32() deserialize_u64() deserialize_u128()
        deserialize_f32() deserialize_f64() deserialize_bytes() deserialize_byte_buf()
        deserialize_option() deserialize_unit() deserialize_seq() deserialize_map() deserialize_identifier()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_tuple(length: usize)
        deserialize_tuple_struct(name: &'static str, length: usize)
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

/// Takes what the other decoder found.
struct Seen<'t, V> {
    inner: V,
    tally: &'t Tally,
    what: What,
}

impl<V> Seen<'_, V> {
    fn named(&self, name: &str) {
        if self.what == What::Name {
            self.tally.goes_on(Some(name));
        }
    }
}

macro_rules! visit {
    ($($method:ident($type:ty))*) => {
        $(fn $method<E: Error>(self, value: $type) -> Result<V::Value, E> {
            self.inner.$method(value)
        })*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Seen<'_, V> {
    type Value = V::Value;

    visit! {
        visit_bool(bool) visit_i64(i64) visit_u64(u64) visit_i128(i128) visit_u128(u128) visit_f64(f64)
        visit_bytes(&[u8]) visit_borrowed_bytes(&'de [u8]) visit_byte_buf(Vec<u8>)
    }

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(formatter)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.named(value);
        self.inner.visit_str(value)
    }

    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.named(value);
        self.inner.visit_borrowed_str(value)
    }

    fn visit_string<E: Error>(self, value: String) -> Result<V::Value, E> {
        self.named(&value);
        self.inner.visit_string(value)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Bounded { inner, tally: self.tally, what: What::Same })
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_newtype_struct(Bounded { inner, tally: self.tally, what: What::Same })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let open = self.tally.enter(Step::Element(0));
        self.inner.visit_seq(Within { inner, open, started: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let open = self.tally.enter(Step::Member(String::new()));
        self.inner.visit_map(Within { inner, open, started: false })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_enum(inner)
    }
}

/// Within a list or an object.
struct Within<'t, A> {
    inner: A,
    open: Open<'t>,
    started: bool,
}

/// Hands its own decoder to a seed.
struct Through<'t, S> {
    seed: S,
    tally: &'t Tally,
    what: What,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Through<'_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.seed.deserialize(Bounded { inner, tally: self.tally, what: self.what })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Within<'_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        if std::mem::replace(&mut self.started, true) {
            self.open.0.goes_on(None);
        }
        self.inner.next_element_seed(Through { seed, tally: self.open.0, what: What::Value })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Within<'_, A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_key_seed(Through { seed, tally: self.open.0, what: What::Name })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.inner.next_value_seed(Through { seed, tally: self.open.0, what: What::Value })
    }

    fn size_hint(&self) -> Option<usize> {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::Value;
    use serde_json::value::RawValue;

    use super::*;
    use crate::facts::{Budget, Service, StatefulSet};

    const SOUND: &str = r#""metadata": {"name": "db"}"#;

    fn many(item: &str, count: usize) -> String {
        format!("[{}{item}]", format!("{item},").repeat(count - 1))
    }

    fn members(count: usize) -> String {
        format!("{{{}}}", (0..count).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(","))
    }

    fn pod(fields: &str) -> String {
        format!(r#"{{{SOUND}, "spec": {{"template": {{"spec": {{{fields}}}}}}}}}"#)
    }

    /// L131
    #[rstest]
    #[case::an_unknown_field(format!(r#"{{{SOUND}, "x": {}}}"#, many("{}", 500_000)))]
    #[case::unknown_members(format!(r#"{{{SOUND}, "spec": {}}}"#, members(100_000)))]
    #[case::managed_fields(format!(r#"{{"metadata": {{"managedFields": [{{"fieldsV1": {}}}]}}}}"#, members(100_000)))]
    #[case::annotations_of_others(format!(r#"{{"metadata": {{"annotations": {}}}}}"#, members(100_000)))]
    #[case::finalizers(format!(r#"{{"metadata": {{"finalizers": {}}}}}"#, many(r#""a""#, 100_000)))]
    #[case::variables(pod(&format!(r#""containers": [{{"env": {}}}]"#, many(r#"{"name":"A"}"#, 100_000))))]
    #[case::volumes(pod(&format!(r#""volumes": {}"#, many(r#"{"name":"a"}"#, 100_000))))]
    #[case::ports(pod(&format!(r#""containers": [{{"ports": {}}}]"#, many("{}", 100_000))))]
    #[case::host_aliases(pod(&format!(r#""hostAliases": {}"#, many("{}", 500_000))))]
    #[case::claims(format!(r#"{{"spec": {{"volumeClaimTemplates": [{{"spec": {}}}]}}}}"#, members(100_000)))]
    #[case::affinity_of_pods(pod(&format!(r#""affinity": {{"podAffinity": {{"x": {}}}}}"#, many("{}", 100_000))))]
    fn what_no_rule_reads_costs_nothing_l131(#[case] text: String) {
        decode::<StatefulSet>(&text).unwrap();
    }

    #[rstest]
    #[case::tolerations(pod(&format!(r#""tolerations": {}"#, many("{}", 100_000))), "spec.template.spec.tolerations", 100_000)]
    #[case::of_members(pod(&format!(r#""tolerations": {}"#, many(r#"{"key":"a"}"#, 5_000))), "spec.template.spec.tolerations", 5_000)]
    #[case::labels(format!(r#"{{"metadata": {{"labels": {}}}}}"#, members(20_000)), "metadata.labels", 20_000)]
    #[case::owners(format!(r#"{{"metadata": {{"ownerReferences": {}}}}}"#, many("{}", 20_000)), "metadata.ownerReferences", 20_000)]
    #[case::containers(pod(&format!(r#""containers": {}"#, many("{}", 400_000))), "spec.template.spec.containers", 400_000)]
    #[case::in_one_of_several(
        pod(&format!(r#""topologySpreadConstraints": [{{}}, {{"matchLabelKeys": {}}}]"#, many("\"\"", 50_000))),
        "spec.template.spec.topologySpreadConstraints[1].matchLabelKeys",
        50_000
    )]
    fn what_is_too_much_is_named_l131(#[case] text: String, #[case] expected: &str, #[case] count: usize) {
        let Err(Unread::TooMuch { field, values }) = decode::<StatefulSet>(&text) else { panic!("it was decoded") };
        assert_eq!((field.as_str(), values), (expected, count));
    }

    #[test]
    fn other_kinds_are_read_by_what_rules_read_of_them_l131() {
        let heavy = format!(r#""labels": {0}, "annotations": {0}, "managedFields": {0}"#, members(100_000));
        decode::<Service>(&format!(r#"{{"metadata": {{{heavy}}}, "spec": {{"ports": {}}}}}"#, many("{}", 100_000)))
            .unwrap();
        decode::<crate::facts::Autoscaler>(&format!(
            r#"{{"metadata": {{{heavy}}}, "spec": {{"metrics": {}}}}}"#,
            many("{}", 100_000)
        ))
        .unwrap();
        let selector = format!(r#"{{{SOUND}, "spec": {{"selector": {}}}}}"#, members(20_000));
        assert!(matches!(decode::<Service>(&selector), Err(Unread::TooMuch { field, .. }) if field == "spec.selector"));
        let amount = format!(r#"{{{SOUND}, "spec": {{"minAvailable": {}}}}}"#, many("{}", 100_000));
        assert!(
            matches!(decode::<Budget>(&amount), Err(Unread::TooMuch { field, .. }) if field == "spec.minAvailable")
        );
    }

    #[test]
    fn as_many_as_may_be_are_decoded_and_one_more_is_not() {
        // The list itself is one.
        assert!(decode::<Value>(&many("\"ab\"", MOST_VALUES - 1)).is_ok());
        assert!(decode::<Value>(&many("\"ab\"", MOST_VALUES)).is_err());
    }

    /// Both ways decode the same.
    #[test]
    fn a_long_text_is_decoded_as_a_short_one_is() {
        let object = include_str!("../../fuzz/src/targets/world/objects.json");
        let long = format!("{}{object}", " ".repeat(MOST_VALUES * SHORTEST));
        assert_eq!(decode::<Value>(&long).unwrap(), serde_json::from_str::<Value>(object).unwrap());
        let raw: Vec<&RawValue> = decode(&long).unwrap();
        for written in raw {
            let long = format!("{}{written}", " ".repeat(MOST_VALUES * SHORTEST));
            assert_eq!(decode::<StatefulSet>(&long).ok(), serde_json::from_str(written.get()).ok());
            assert_eq!(decode::<Budget>(&long).ok(), serde_json::from_str(written.get()).ok());
        }
        let error = decode::<StatefulSet>(&long.replace("true", "tru")).unwrap_err();
        assert!(matches!(error, Unread::Shape(_)), "{error}");
    }
}
