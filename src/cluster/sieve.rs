//! JSON as it comes off the wire, of which only what is wanted is kept.
//!
//! An object may have 1.5 MB, a list of them any length; of most of it nothing is ever looked at. So nothing is held here but
//! what is kept, in whatever pieces the text comes. What is kept is decoded afterwards, and only then is it clear that it is JSON.

/// What of a value is kept.
#[derive(Debug)]
pub(super) enum Shape {
    /// All of it.
    All,
    /// Nothing.
    Nothing,
    /// Of an object the fields, each as its key says; a scalar.
    Fields(fn(&str) -> &'static Shape),
    /// Each element of an array, by itself: none is kept in what is around it.
    Items(&'static Shape),
}

/// A key that is longer has its field dropped. A label's is at most 317 bytes.
const LONGEST_KEY: usize = 512;

/// More than is kept of anything at once, or what is no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SieveError {
    /// There is too much of it.
    #[error("it has more than {0} bytes that matter")]
    TooLong(usize),
    /// It is no JSON, or ends too soon.
    #[error("it is no complete JSON")]
    Malformed,
}

/// Keeps what a shape says of one value.
#[derive(Debug)]
pub(super) struct Sieve {
    /// The most bytes that are kept at once.
    most: usize,
    kept: Vec<u8>,
    /// What was kept of what is around the item that is being read.
    outer: Option<Vec<u8>>,
    levels: Vec<Level>,
    at: At,
    /// The shape of the next value.
    next: &'static Shape,
    key: Vec<u8>,
}

/// An object or array of which not everything or nothing is kept.
#[derive(Debug, Clone, Copy)]
enum Level {
    Object { fields: fn(&str) -> &'static Shape, any: bool },
    Items(&'static Shape),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a key, or the end of an object.
    Key,
    /// Within a key.
    InKey { escaped: bool },
    /// Before a colon.
    Colon,
    /// Before a value, or the end of an array.
    Value,
    /// Within a value that is kept or dropped as a whole.
    Within { keep: bool, depth: usize, string: bool, escaped: bool },
    /// Behind a value.
    Behind,
    /// Behind the last one.
    End,
}

impl Sieve {
    pub(super) fn new(shape: &'static Shape, most: usize) -> Self {
        Self { most, kept: Vec::new(), outer: None, levels: Vec::new(), at: At::Value, next: shape, key: Vec::new() }
    }

    /// Takes the next piece of the text, and hands over each item that it completes.
    pub(super) fn push(&mut self, piece: &[u8], mut item: impl FnMut(&[u8])) -> Result<(), SieveError> {
        let mut rest = piece;
        while let Some((&byte, behind)) = rest.split_first() {
            rest = match self.at {
                At::Within { keep, depth, string: true, escaped: false } => {
                    // Most of a long text is in strings.
                    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\')).count();
                    let (text, behind) = rest.split_at(plain.max(1));
                    self.keep(keep, text)?;
                    if plain == 0 {
                        let ends = byte == b'"';
                        self.at = At::Within { keep, depth, string: !ends, escaped: !ends };
                        if ends && depth == 0 {
                            self.done(&mut item);
                        }
                    }
                    behind
                }
                At::Within { keep, depth, string: true, escaped: true } => {
                    self.keep(keep, &[byte])?;
                    self.at = At::Within { keep, depth, string: true, escaped: false };
                    behind
                }
                At::Within { keep, depth, .. } => {
                    if depth == 0 && matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') {
                        // What ends a number is not part of it.
                        self.done(&mut item);
                        rest
                    } else {
                        self.keep(keep, &[byte])?;
                        self.within(keep, depth, byte);
                        if matches!(byte, b'}' | b']') && depth == 1 {
                            self.done(&mut item);
                        }
                        behind
                    }
                }
                _ => {
                    self.step(byte, &mut item)?;
                    behind
                }
            };
        }
        Ok(())
    }

    /// What was kept beside the items.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, SieveError> {
        let number = matches!(self.at, At::Within { depth: 0, string: false, .. });
        if !self.levels.is_empty() || (self.at != At::End && !number) {
            return Err(SieveError::Malformed);
        }
        Ok(std::mem::take(&mut self.kept))
    }

    fn within(&mut self, keep: bool, depth: usize, byte: u8) {
        let depth = match byte {
            b'{' | b'[' => depth + 1,
            b'}' | b']' => depth.saturating_sub(1),
            _ => depth,
        };
        self.at = At::Within { keep, depth, string: byte == b'"', escaped: false };
    }

    /// One byte between values, or within a key.
    fn step(&mut self, byte: u8, item: &mut impl FnMut(&[u8])) -> Result<(), SieveError> {
        match (self.at, byte) {
            (At::InKey { escaped }, byte) => {
                if byte == b'"' && !escaped {
                    self.at = At::Colon;
                } else {
                    if self.key.len() <= LONGEST_KEY {
                        self.key.push(byte);
                    }
                    self.at = At::InKey { escaped: byte == b'\\' && !escaped };
                }
            }
            (_, b' ' | b'\t' | b'\r' | b'\n') | (At::Key, b',') => {}
            (At::Key, b'"') => {
                self.key.clear();
                self.at = At::InKey { escaped: false };
            }
            (At::Key | At::Behind, b'}') | (At::Value | At::Behind, b']') => self.close(byte, item)?,
            (At::Colon, b':') => {
                self.next = self.shape_of_field();
                self.at = At::Value;
            }
            (At::Behind, b',') => match self.levels.last() {
                Some(Level::Object { .. }) => self.at = At::Key,
                Some(Level::Items(shape)) => (self.next, self.at) = (shape, At::Value),
                None => return Err(SieveError::Malformed),
            },
            (At::Value, byte) => self.begin(byte)?,
            _ => return Err(SieveError::Malformed),
        }
        Ok(())
    }

    fn shape_of_field(&self) -> &'static Shape {
        let Some(Level::Object { fields, .. }) = self.levels.last() else { return &Shape::Nothing };
        match std::str::from_utf8(&self.key) {
            Ok(key) if key.len() <= LONGEST_KEY => fields(key),
            _ => &Shape::Nothing,
        }
    }

    /// The first byte of a value.
    fn begin(&mut self, byte: u8) -> Result<(), SieveError> {
        let is_item = matches!(self.levels.last(), Some(Level::Items(_)));
        if is_item && self.outer.is_none() {
            self.outer = Some(std::mem::take(&mut self.kept));
        }
        let (shape, opens) = (self.next, matches!(byte, b'{' | b'['));
        match (shape, byte) {
            (Shape::Items(each), b'[') => {
                self.levels.push(Level::Items(each));
                self.next = each;
                return Ok(());
            }
            (Shape::Fields(fields), b'{') => {
                self.name()?;
                self.keep(true, b"{")?;
                self.levels.push(Level::Object { fields: *fields, any: false });
                self.at = At::Key;
                return Ok(());
            }
            _ => {}
        }
        let keep = matches!(shape, Shape::All) || (matches!(shape, Shape::Fields(_)) && !opens);
        if keep {
            self.name()?;
        }
        self.keep(keep, &[byte])?;
        self.within(keep, 0, byte);
        Ok(())
    }

    /// The key of the value that is kept next.
    fn name(&mut self) -> Result<(), SieveError> {
        let Some(Level::Object { any, .. }) = self.levels.last_mut() else { return Ok(()) };
        let comma = std::mem::replace(any, true);
        let key = std::mem::take(&mut self.key);
        if comma {
            self.keep(true, b",")?;
        }
        for text in [b"\"".as_slice(), &key, b"\":"] {
            self.keep(true, text)?;
        }
        Ok(())
    }

    fn close(&mut self, byte: u8, item: &mut impl FnMut(&[u8])) -> Result<(), SieveError> {
        match (self.levels.pop(), byte) {
            (Some(Level::Object { .. }), b'}') => self.keep(true, b"}")?,
            (Some(Level::Items(_)), b']') => {}
            _ => return Err(SieveError::Malformed),
        }
        self.done(item);
        Ok(())
    }

    /// A value is complete.
    fn done(&mut self, item: &mut impl FnMut(&[u8])) {
        if matches!(self.levels.last(), Some(Level::Items(_))) {
            item(&self.kept);
            self.kept = self.outer.take().unwrap_or_default();
        }
        self.at = if self.levels.is_empty() { At::End } else { At::Behind };
    }

    fn keep(&mut self, keep: bool, text: &[u8]) -> Result<(), SieveError> {
        if keep {
            if self.kept.len() + text.len() > self.most {
                return Err(SieveError::TooLong(self.most));
            }
            self.kept.extend_from_slice(text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    static LIST: Shape = Shape::Fields(|key| match key {
        "metadata" => &Shape::All,
        "items" => const { &Shape::Items(&ITEM) },
        _ => &Shape::Nothing,
    });
    static ITEM: Shape = Shape::Fields(|key| match key {
        "ballast" => &Shape::Nothing,
        "metadata" => &METADATA,
        _ => &Shape::All,
    });
    static METADATA: Shape = Shape::Fields(|key| if key == "managedFields" { &Shape::Nothing } else { &Shape::All });

    /// The items, and what is beside them, of a text that comes in pieces.
    fn sieved(text: &str, piece: usize) -> Result<(Vec<Value>, Value), SieveError> {
        let mut sieve = Sieve::new(&LIST, 1000);
        let mut items = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            sieve.push(piece, |item| items.push(serde_json::from_slice(item).unwrap()))?;
        }
        Ok((items, serde_json::from_slice(&sieve.finish()?).unwrap()))
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "[a\"\\\\{}\\[\\]:, é]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            let key = prop_oneof![Just("ballast".to_owned()), Just("managedFields".to_owned()), "[a\"\\\\}]{0,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_wanted_is_kept_whatever_the_pieces(
            items in prop::collection::vec((value(), value()), 0..3), piece in 1_usize..20, pretty in any::<bool>(),
        ) {
            let whole: Vec<Value> = items.iter().map(|(one, other)| json!({
                "metadata": {"name": one, "managedFields": other, "z": 1}, "ballast": one, "spec": other,
            })).collect();
            let kept: Vec<Value> =
                items.iter().map(|(one, other)| json!({"metadata": {"name": one, "z": 1}, "spec": other})).collect();
            let list = json!({"kind": "List", "items": whole, "metadata": {"continue": "x"}});
            let text = if pretty { serde_json::to_string_pretty(&list).unwrap() } else { list.to_string() };
            prop_assert_eq!(sieved(&text, piece).unwrap(), (kept, json!({"metadata": {"continue": "x"}})));
        }

        #[test]
        fn any_text_is_taken_or_refused(text in "[{}\\[\\]\",:a1 \\\\items]{0,40}", piece in 1_usize..5) {
            let mut sieve = Sieve::new(&LIST, 1000);
            for piece in text.as_bytes().chunks(piece) {
                if sieve.push(piece, |_| {}).is_err() {
                    return Ok(());
                }
            }
            let _ = sieve.finish();
        }
    }

    #[test]
    fn ballast_takes_no_room_l132() {
        let ballast = "x".repeat(100_000);
        let text = json!({"items": [{"metadata": {"name": "db", "managedFields": [ballast]}, "ballast": ballast}]});
        let (items, _) = sieved(&text.to_string(), 100).unwrap();
        assert_eq!(items, [json!({"metadata": {"name": "db"}})]);
        let text = json!({"items": [{"metadata": {"name": ballast}}]});
        assert_eq!(sieved(&text.to_string(), 100), Err(SieveError::TooLong(1000)));
    }

    #[test]
    fn what_ends_too_soon_is_refused() {
        for text in ["", "{", r#"{"items":[{"spec":1}"#, r#"{"items":["#] {
            assert_eq!(sieved(text, 3), Err(SieveError::Malformed), "{text}");
        }
    }
}
