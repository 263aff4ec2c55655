//! Where the surroundings of a StatefulSet come from: a cluster's API server, or manifests in files.
//!
//! Of a cluster, reflectors keep a trimmed index of each kind that rules look at; only this module writes to them, and
//! before they are synced nothing is answered from them. What a denial rests on is read live (L35), all of it at once and
//! under one deadline (L34). While the API server says nothing, the caches go on answering with what they know, and it shows how
//! old that is.

mod answers;
mod changes;
mod claims;
mod collection;
mod connect;
mod heard;
mod index;
mod kind;
mod live;
mod nodes;
mod orphans;
mod owners;
mod reads;
mod reflector;
mod registration;
mod removals;
mod room;
mod shared;
mod sieve;
mod single;
mod source;
mod trimmed;
mod wire;

pub use changes::{Changed, Changes};
pub use connect::{ConnectError, Target, connect};
pub use kind::Kind;
pub use live::{Cluster, Inside, ReadError};
pub use reads::Question;
pub use registration::register;
pub use shared::Ticket;
pub use sieve::SieveError;
pub(crate) use single::watch_one;
pub use source::{Objects, Source};
