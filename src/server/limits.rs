//! What clients may take of time and memory. Past each limit there is an answer or a close, never a wait.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::telemetry::Metrics;

/// The limits of a port.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Open connections; one more is closed at once.
    pub connections: u32,
    /// Requests being answered; one more gets 503 with `Retry-After`.
    pub requests: usize,
    /// The longest body in bytes: an object and its old self of 3 MB each, and their envelope (L9).
    pub body: usize,
    /// From accept to the end of the TLS handshake.
    pub handshake: Duration,
    /// From a request's first byte to the end of its head (L32: not from the end of the request before).
    pub head: Duration,
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
            connections: 4096,
            requests: 256,
            body: 7 << 20,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(10),
            idle: Duration::from_mins(2),
            write: Duration::from_secs(30),
            finish: Duration::from_secs(15),
        }
    }
}

/// The connections of a port: how many are open, how many may be.
#[derive(Debug, Clone)]
pub struct Connections {
    slots: Arc<Semaphore>,
    limit: u32,
    /// Where Quorate dials its own port from.
    own: Arc<ArcSwapOption<SocketAddr>>,
}

impl Connections {
    /// Room for `limit` connections.
    #[must_use]
    pub fn new(limit: u32) -> Self {
        Self { slots: Arc::new(Semaphore::new(limit as usize)), limit, own: Arc::default() }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.limit as usize - self.slots.available_permits().min(self.limit as usize)
    }

    /// Whether the next one is closed at once.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.slots.available_permits() == 0
    }

    /// Says where Quorate will dial its own port from. It has no client certificate to show, which is no client's failure.
    pub(super) fn dial_from(&self, address: SocketAddr) {
        self.own.store(Some(Arc::new(address)));
    }

    /// Whether a connection is Quorate's own.
    pub(super) fn is_own(&self, peer: SocketAddr) -> bool {
        let own = self.own.load();
        own.as_ref().is_some_and(|own| own.ip() == peer.ip().to_canonical() && own.port() == peer.port())
    }

    /// Room for one more, for as long as the permit lives.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }

    /// Returns once none is open.
    pub async fn closed(&self) {
        // The semaphore is never closed, and an error would mean just that there is nothing to wait for.
        let _ = self.slots.acquire_many(self.limit).await;
    }
}

/// Room for requests.
#[derive(Debug, Clone)]
pub(super) struct Requests {
    slots: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl Requests {
    pub(super) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { slots: Arc::new(Semaphore::new(limit)), metrics }
    }
}

/// Answers 503 where there is no room for a request; the API server then applies `failurePolicy`, and whoever asked tries
/// again.
pub(super) async fn limit_requests(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let Ok(_slot) = requests.slots.try_acquire() else {
        requests.metrics.rejected("requests");
        let mut response = (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once\n").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    next.run(request).await
}
