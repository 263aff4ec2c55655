//! What surrounds a StatefulSet, and which part of it a finding rests on.

use std::ops::{BitOr, BitOrAssign};

use super::{Namespace, Service};

/// The objects around one StatefulSet that rules look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The StatefulSet's Namespace.
    pub namespace: Namespace,
    /// The Service that `spec.serviceName` names, where there is one.
    pub service: Option<Service>,
}

/// A set of kinds of surrounding objects: what a finding rests on, and so what has to be read live before it denies (L35).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence(u8);

impl Evidence {
    /// Nothing but the object itself.
    pub const NONE: Self = Self(0);
    /// The Namespace's labels.
    pub const NAMESPACE: Self = Self(1);
    /// The Service that `spec.serviceName` names.
    pub const SERVICE: Self = Self(2);

    /// Whether all of `other` is part of this.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is part of this and not of `other`.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Evidence {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Evidence {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}
