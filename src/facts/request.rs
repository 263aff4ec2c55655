//! A request to write a StatefulSet, as facts.

use super::StatefulSet;

/// A request to write a StatefulSet.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The object as it shall be.
    pub object: &'a StatefulSet,
    /// The object as it is; absent on CREATE.
    pub old: Option<Old<'a>>,
    /// Whether nothing will be stored. A dry run can't see its siblings (L91).
    pub dry_run: bool,
}

/// The object as it is, and how the request changes it.
#[derive(Debug, Clone, Copy)]
pub struct Old<'a> {
    /// The object.
    pub object: &'a StatefulSet,
    /// Whether `spec` changes; where it doesn't, the update is about metadata only.
    pub spec_changed: bool,
    /// Whether `spec.template` changes, so that a rollout follows anyway.
    pub template_changed: bool,
}
