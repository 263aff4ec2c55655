//! What becomes of the annotation that names an owner which no operator has written yet (L133).

use crate::facts::{Metadata, UNVERIFIED_OWNER};

/// What is to be done about the annotation [`UNVERIFIED_OWNER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Nothing.
    Keep,
    /// It is to have this value.
    Set(&'a str),
    /// It goes.
    Remove,
}

impl<'a> Mark<'a> {
    /// What it takes for an object to have this value, or none.
    #[must_use]
    pub fn of(metadata: &Metadata, wanted: Option<&'a str>) -> Self {
        match (wanted, metadata.annotations.get(UNVERIFIED_OWNER)) {
            (Some(wanted), Some(there)) if wanted == there => Self::Keep,
            (Some(wanted), _) => Self::Set(wanted),
            (None, Some(_)) => Self::Remove,
            (None, None) => Self::Keep,
        }
    }
}
