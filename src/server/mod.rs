//! Sockets, TLS, limits, the admin port and shutdown.
//!
//! A [`Port`] is a socket served with a router: it accepts, shakes hands, bounds what a client may take of time and memory,
//! and knows how to stop without losing an answer. [`webhook::router`] and [`admin::router`] say what is served; neither
//! knows what a review is about, which is [`admission`](crate::admission)'s.

pub mod admin;
mod body;
mod connection;
mod connections;
mod deadline;
mod limits;
mod line;
mod listen;
mod memory;
mod patience;
mod port;
mod probe;
mod shares;
mod shutdown;
mod supervise;
pub mod tls;
pub mod webhook;
mod weight;

pub use connections::Connections;
pub use deadline::duration;
pub use limits::Limits;
pub use listen::listen;
pub use port::Port;
pub use probe::{Probe, dial_self};
pub use shutdown::{Phase, Shutdown, Signals};
pub use supervise::supervise;
