//! What Quorate reads from disk, and keeps reading: policy files.
//!
//! The core ([`crate::policy`]) knows text and never opens a file; this module opens files and knows no rule. [`policies`]
//! reads files and directories once; [`watch`] reads them again whenever they change and puts what it read in force.

pub mod policies;
pub mod watch;
