//! How much memory the answer to a body may take, from a look at its bytes.
//!
//! Decoded, JSON takes many times its length: `{},` is 3 bytes, and as a container of a pod 2,000. A count of commas and braces
//! outside of strings bounds how many values there are, at a small part of the cost of decoding them. What a value may take at most was measured,
//! with bodies of nothing but the most expensive values that there are at each place that is decoded.

use crate::admission::{Count, Webhook, count};

/// The most bytes that something in a body takes.
struct Cost {
    /// A byte of text: so many copies there are of it.
    text: usize,
    /// A value or a member that follows another.
    value: usize,
    /// An object, its members aside.
    object: usize,
}

/// Facts are decoded, a few fields of each object.
const VALIDATE: Cost = Cost { text: 1, value: 192, object: 640 };

/// What a patch may touch is decoded twice more: as values, and as the type that these must be of when it is patched.
const MUTATE: Cost = Cost { text: 2, value: 288, object: 2304 };

/// The most bytes that decoding and answering `body` takes at once, beside the body itself.
pub(super) fn of(webhook: Webhook, body: &[u8]) -> usize {
    let cost = match webhook {
        Webhook::Validate => VALIDATE,
        Webhook::Mutate => MUTATE,
    };
    let Count { objects, values } = count(body);
    [(cost.text, body.len()), (cost.value, values), (cost.object, objects)]
        .into_iter()
        .fold(0, |sum, (cost, count)| sum.saturating_add(cost.saturating_mul(count)))
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
        let objects = format!("[{}{{}}]", "{},".repeat(10_000));
        assert!(of(Webhook::Mutate, objects.as_bytes()) > 700 * objects.len());
        assert!(of(Webhook::Validate, objects.as_bytes()) > 200 * objects.len());
    }
}
