//! Faults, one after the other, while StatefulSets are being created: none may be lost, left unmutated or wrongly denied.

pub(crate) mod record;
mod table;
