//! How PersistentVolumeClaims are kept: by what their names begin with, and in the order of their ordinals.
//!
//! A namespace may hold any number of claims; the highest ordinal of a StatefulSet's is found without looking at them all.

use serde::de::IgnoredAny;

use super::index::Index;
use crate::facts::split_ordinal;

/// What stands between a claim's stem and its ordinal; no name holds it.
const BETWEEN: char = '\0';

/// By what a claim is found; `None` for one that no StatefulSet can own.
#[expect(clippy::needless_pass_by_value, reason = "as every kind's key is made of its name")]
pub(super) fn key(name: String) -> Option<String> {
    let (stem, ordinal) = split_ordinal(&name)?;
    Some(format!("{stem}{BETWEEN}{ordinal:010}"))
}

/// The highest ordinal of the claims of a namespace whose names begin with `stem`.
pub(super) fn highest(claims: &Index<IgnoredAny>, namespace: &str, stem: &str) -> Option<u32> {
    let key = claims.last_with(namespace, &format!("{stem}{BETWEEN}"))?;
    key.rsplit(BETWEEN).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_ordinal_is_found_as_a_number() {
        let claims = Index::default();
        let names =
            ["data-db-9", "data-db-10", "data-db-2-x", "data-db-2-99", "data-db-011", "data-db-4294967296", "data"];
        for name in names {
            if let Some(key) = key(name.to_owned()) {
                claims.insert("shop".to_owned(), key, IgnoredAny);
            }
        }
        assert_eq!(highest(&claims, "shop", "data-db"), Some(10));
        assert_eq!(highest(&claims, "shop", "data-db-2"), Some(99));
        assert_eq!(highest(&claims, "shop", "data-d"), None);
        assert_eq!(highest(&claims, "bank", "data-db"), None);
    }
}
