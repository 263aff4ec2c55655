//! How much memory the answer to a body may take, from a look at its bytes.
//!
//! Decoded, JSON takes many times its length: `{"a":0}` is 7 bytes, and as a map of one member some 700. A count of commas and
//! of braces bounds how many values there are, at a small part of the cost of decoding them.

use memchr::memchr_iter;
use memchr::memmem::find_iter;

/// The most that a value takes which follows another.
const VALUE: usize = 128;

/// The most that an object takes beside its members.
const OBJECT: usize = 640;

/// The most bytes that decoding and answering `body` takes at once, beside the body itself.
pub(super) fn of(body: &[u8]) -> usize {
    let count = |byte| memchr_iter(byte, body).count();
    let objects = count(b'{').saturating_sub(find_iter(body, b"{}").count());
    body.len() + VALUE * (count(b',') + count(b'[')) + OBJECT * objects
}
