//! What surrounds a StatefulSet, and which part of it a finding rests on.

use std::ops::{BitOr, BitOrAssign};

use super::{Autoscaler, Budget, Namespace, Service};

/// The objects around one StatefulSet that rules look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The StatefulSet's Namespace.
    pub namespace: Namespace,
    /// The Service that `spec.serviceName` names, where there is one.
    pub service: Option<Service>,
    /// The autoscalers of its namespace that target it, by name.
    pub autoscalers: Vec<Autoscaler>,
    /// The budgets of its namespace, by name.
    pub budgets: Vec<Budget>,
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
    /// The autoscalers of the namespace.
    pub const AUTOSCALERS: Self = Self(4);
    /// The budgets of the namespace.
    pub const BUDGETS: Self = Self(8);
    /// The StatefulSet itself, where the request is about something else.
    pub const PARENT: Self = Self(16);

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
