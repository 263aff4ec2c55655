//! What clients may take of time and memory. Past each limit there is an answer or a close, never a wait.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limits of a port.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; for one more, the one that has been without an answer for the longest is closed.
    pub connections: usize,
    /// Requests being answered, their bodies read; one more gets 503 with `Retry-After`.
    pub requests: usize,
    /// The longest body in bytes: an object and its old self of 1.5 MB each, the most that etcd stores, where each byte is one
    /// that the API server escapes with six, and their envelope (L9).
    pub body: usize,
    /// Bytes of all bodies that come, and of what is decoded of them; past it, the body that has been coming for the longest
    /// gets 503 with `Retry-After`, or else the newcomer.
    pub body_memory: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head (L32: not from the end of the request before).
    pub head: Duration,
    /// From the end of a request's head to the end of its body; never longer than its deadline.
    pub body_time: Duration,
    /// Without any request. Longer than the 90 s after which the API server closes the connection itself (L32).
    pub idle: Duration,
    /// Without the client taking a byte of its answer.
    pub write: Duration,
    /// For requests in flight to be answered once the port stops: with the drain before it, less than the 30 s that kubelet
    /// waits by default.
    pub finish: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            requests: 256,
            body: 20 << 20,
            body_memory: 96 << 20,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            body_time: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            write: Duration::from_secs(30),
            finish: Duration::from_secs(15),
        }
    }
}

impl Limits {
    /// The limits of the admin port: for kubelet's probes and a few that scrape.
    #[must_use]
    pub fn admin() -> Self {
        Self { connections: 64, ..Self::default() }
    }
}

/// Room for requests that are being answered.
#[derive(Debug, Clone)]
pub(super) struct Requests(Arc<Semaphore>);

impl Requests {
    pub(super) fn new(limit: usize) -> Self {
        Self(Arc::new(Semaphore::new(limit)))
    }

    /// Room for one more, for as long as the permit lives.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_owned().ok()
    }
}
