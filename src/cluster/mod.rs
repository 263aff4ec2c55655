//! Where the surroundings of a StatefulSet come from: a cluster's API server, or manifests in files.
//!
//! Of a cluster, reflectors keep a trimmed index of each kind that rules look at; only this module writes to them, and
//! before they are synced nothing is answered from them. What a denial rests on is read live (L35), all of it at once and
//! under one deadline (L34).

mod changes;
mod connect;
mod index;
mod live;
mod reflector;
mod registration;
mod source;

pub use changes::{Changed, Changes};
pub use connect::{ConnectError, Target, client, connect};
pub use live::{Cluster, Inside, ReadError};
pub use registration::register;
pub use source::{Objects, Source};
