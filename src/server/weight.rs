//! How much memory the answer to a body may take, from a look at its bytes.
//!
//! Decoded, JSON takes many times its length: `{},` is 3 bytes, and as a container of a pod 2,000. A count of commas and braces
//! outside of strings bounds how many values there are, at a small part of the cost of decoding them. What a value may take at most was measured,
//! with bodies of nothing but the most expensive values that there are at each place that is decoded. More values than
//! [`MOST_VALUES`] are not decoded of an object, however many there are.

use crate::admission::{Count, Webhook, count};
use crate::facts::MOST_VALUES;

/// The most bytes that something in a body takes.
struct Cost {
    /// A byte of text: so many copies there are of it.
    text: usize,
    /// A value or a member that follows another.
    value: usize,
    /// An object, its members aside.
    object: usize,
}

/// Facts are decoded of the object and of the old one, a few fields of each.
const FACTS: Cost = Cost { text: 1, value: 192, object: 640 };

/// What a patch may touch of the object is decoded twice more: as values, and as the type that these must be of when it is
/// patched.
const PATCH: Cost = Cost { text: 1, value: 96, object: 1664 };

impl Cost {
    /// What so much costs, of which so many values are decoded at most.
    fn of(&self, length: usize, count: &Count, most: usize) -> usize {
        self.text * length + self.value * count.values.min(most) + self.object * count.objects.min(most)
    }
}

/// The most bytes that decoding and answering `body` takes at once, beside the body itself.
pub(super) fn of(webhook: Webhook, body: &[u8]) -> usize {
    let count = count(body);
    let facts = FACTS.of(body.len(), &count, 2 * MOST_VALUES);
    match webhook {
        Webhook::Validate => facts,
        Webhook::Mutate => facts + PATCH.of(body.len(), &count, MOST_VALUES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_weighs_little_and_objects_much() {
        let text = format!(r#"{{"a":"{}"}}"#, "x".repeat(10_000));
        assert!(of(Webhook::Mutate, text.as_bytes()) < 3 * text.len());
        let braces = format!(r#"{{"a":"{}"}}"#, "{,".repeat(10_000));
        assert!(of(Webhook::Mutate, braces.as_bytes()) < 3 * braces.len(), "text of braces is text");
        let objects = format!("[{}{{}}]", "{},".repeat(5_000));
        assert!(of(Webhook::Mutate, objects.as_bytes()) > 700 * objects.len());
        assert!(of(Webhook::Validate, objects.as_bytes()) > 200 * objects.len());
    }

    /// L131: by default, each body that is read can be decoded.
    #[test]
    fn more_than_is_decoded_weighs_no_more() {
        let limits = crate::server::Limits::default();
        let longest = "{},".repeat(limits.body / 3);
        assert!(longest.len() + of(Webhook::Mutate, longest.as_bytes()) < limits.body_memory);
    }
}
