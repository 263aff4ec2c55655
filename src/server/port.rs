//! A socket that is served with a router: accepting, shaking hands, stopping.

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::connection::Shared;
use super::connections::Visit;
use super::tls::H2;
use super::{Connections, Limits, Phase, Shutdown};
use crate::telemetry::Metrics;

/// For a process without file descriptors to get some back.
const BREATH: Duration = Duration::from_millis(100);

/// A socket and what it is served with.
#[derive(Debug)]
pub struct Port {
    /// The socket.
    pub listener: TcpListener,
    /// TLS; without it, plain HTTP/1.1.
    pub tls: Option<Arc<ServerConfig>>,
    /// Whether answers, which are small, are sent at once, rather than wait for more to send (L38).
    pub nodelay: bool,
    /// What is served.
    pub router: Router,
    /// What clients may take.
    pub limits: Limits,
    /// The port's connections.
    pub connections: Connections,
    /// Says when to stop.
    pub shutdown: Shutdown,
    /// Where limits and panics are counted.
    pub metrics: Arc<Metrics>,
}

impl Port {
    /// Serves until [`Phase::Stopping`], then until the requests in flight are answered, though no longer than
    /// [`Limits::finish`]. Returns whether all were.
    pub async fn serve(self) -> bool {
        let Self { listener, tls, nodelay, router, limits, connections, shutdown, metrics } = self;
        let shared = Shared { router, limits, metrics, shutdown: shutdown.clone() };
        let entrance = Entrance::new(tls, nodelay, shared, connections.clone());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shutdown.reached(Phase::Stopping) => break,
            };
            match accepted {
                Ok((stream, peer)) => entrance.enter(stream, peer).await,
                Err(error) => wait_out(&error).await,
            }
        }
        drop(listener);
        timeout(limits.finish, connections.closed()).await.is_ok()
    }
}

/// What every connection needs to be served.
#[derive(Clone)]
struct Entrance {
    tls: Option<Arc<ServerConfig>>,
    nodelay: bool,
    /// Handshakes that are being computed, each a quarter of a millisecond: beyond half of the processors they wait, so that
    /// a flood of them leaves the other half to those who are in.
    handshakes: Arc<Semaphore>,
    shared: Shared,
    connections: Connections,
}

impl Entrance {
    fn new(tls: Option<Arc<ServerConfig>>, nodelay: bool, shared: Shared, connections: Connections) -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self { tls, nodelay, handshakes: Arc::new(Semaphore::new(processors.div_ceil(2))), shared, connections }
    }

    /// Starts serving a connection. Where all that are open are being answered it is closed at once, so that its client
    /// learns so and tries another replica, rather than wait in a queue until the API server's timeout.
    async fn enter(&self, stream: TcpStream, peer: SocketAddr) {
        let Some(visit) = self.connections.enter().await else { return self.shared.metrics.rejected("connections") };
        tune(&stream, self.nodelay);
        tokio::spawn(self.clone().serve(stream, peer, visit));
    }

    async fn serve(self, stream: TcpStream, peer: SocketAddr, visit: Visit) {
        let Some(tls) = &self.tls else { return self.shared.serve(stream, false, visit).await };
        let shaken = tokio::select! {
            shaken = timeout(self.shared.limits.handshake, self.shake_hands(stream, tls)) => shaken,
            () = visit.must_go() => return self.shared.metrics.rejected("connections"),
        };
        match shaken.unwrap_or_else(|late| Err(late.into())) {
            Ok(stream) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                self.shared.serve(stream, http2, visit).await;
            }
            Err(error) if self.connections.is_own(peer) => debug!(%error, "Quorate's own dial ended"),
            Err(error) => {
                debug!(%error, "a TLS handshake failed");
                self.shared.metrics.rejected("handshake");
            }
        }
    }

    async fn shake_hands(&self, stream: TcpStream, tls: &Arc<ServerConfig>) -> io::Result<Box<TlsStream<TcpStream>>> {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let turn = self.handshakes.acquire().await;
        let answer = hello.into_stream(Arc::clone(tls));
        drop(turn);
        // On the heap: it is large, and every connection's task would have room for it.
        answer.await.map(Box::new)
    }
}

fn tune(stream: &TcpStream, nodelay: bool) {
    if let Err(error) = stream.set_nodelay(nodelay) {
        debug!(%error, "cannot set TCP_NODELAY");
    }
}

/// A client that went before it was accepted is no matter; anything else (no file descriptors, no memory) passes with time.
async fn wait_out(error: &io::Error) {
    if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        warn!(%error, "cannot accept a connection");
        sleep(BREATH).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L38
    #[tokio::test]
    async fn sends_small_answers_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        tune(&stream, true);
        assert!(stream.nodelay().unwrap());
    }
}
