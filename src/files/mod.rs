//! What Quorate reads from disk, and keeps reading: policy files and manifests.
//!
//! The core ([`crate::policy`]) knows text and never opens a file; this module opens files and knows no rule. [`policies`]
//! reads files and directories once; [`watch`] reads them again whenever they change and puts what it read in force. [`manifests`] reads
//! Kubernetes objects, for the command line and for serving without a cluster.

pub mod manifests;
pub mod policies;
pub mod watch;
