//! What surrounds a StatefulSet, and which part of it a finding rests on.

use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;

use super::{Autoscaler, Budget, ByName, Namespace, Node, Revision, Service, StatefulSet};

/// The objects around one StatefulSet that rules look at; shared with the caches that they come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The StatefulSet's Namespace.
    pub namespace: Arc<Namespace>,
    /// The Service that `spec.serviceName` names, where there is one.
    pub service: Option<Arc<Service>>,
    /// The autoscalers of its namespace.
    pub autoscalers: ByName<Autoscaler>,
    /// The budgets of its namespace.
    pub budgets: ByName<Budget>,
    /// A few other StatefulSets of its namespace that share labels with it, so that a selector selects the pods of both. Known
    /// only where it is created.
    pub neighbours: Vec<String>,
    /// The Nodes of the cluster.
    pub nodes: ByName<Node>,
    /// The PersistentVolumeClaims of its pods. Volumes pin pods (L63).
    pub claims: Claims,
    /// Whether pods of its name run that nothing controls: as when it was deleted with `--cascade=orphan`. Known only once
    /// read live.
    pub has_pods: bool,
    /// The ControllerRevisions of its namespace that its selector selects and that nobody controls: those of a StatefulSet that
    /// was deleted with `--cascade=orphan` (L94). Known only once read live.
    pub orphaned_revisions: Vec<Revision>,
}

/// The PersistentVolumeClaims of a StatefulSet's pods: those named `<template>-<name>-<ordinal>`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claims {
    /// The highest ordinal that has one; `None` where there is no claim.
    pub highest: Option<u32>,
}

impl Claims {
    /// Whether there is one.
    #[must_use]
    pub fn any(self) -> bool {
        self.highest.is_some()
    }
}

impl FromIterator<u32> for Claims {
    fn from_iter<I: IntoIterator<Item = u32>>(ordinals: I) -> Self {
        Self { highest: ordinals.into_iter().max() }
    }
}

impl Surroundings {
    /// Whether a PersistentVolumeClaim of one of the StatefulSet's pods exists.
    #[must_use]
    pub fn has_claims(&self) -> bool {
        self.claims.any()
    }

    /// The autoscalers that target the StatefulSet. One that is being deleted is on its way out: nothing may rest on it (L135).
    pub fn autoscalers_of(&self, statefulset: &StatefulSet) -> impl Iterator<Item = &Autoscaler> {
        self.all_autoscalers_of(statefulset).filter(|autoscaler| !autoscaler.terminating)
    }

    /// The same, and those that are being deleted: they scale the StatefulSet until they are gone, which a finalizer may prevent.
    pub fn all_autoscalers_of(&self, statefulset: &StatefulSet) -> impl Iterator<Item = &Autoscaler> {
        self.autoscalers.values().map(Arc::as_ref).filter(|autoscaler| autoscaler.targets(statefulset))
    }
}

/// A set of kinds of surrounding objects: what a finding rests on, and so what has to be read live before it denies (L35).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence(u16);

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
    /// The Nodes.
    pub const NODES: Self = Self(32);
    /// The PersistentVolumeClaims of the namespace.
    pub const CLAIMS: Self = Self(64);
    /// The ControllerRevisions of the namespace that nobody controls.
    pub const REVISIONS: Self = Self(128);

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
