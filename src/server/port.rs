//! A socket that is served with a router: accepting, shaking hands, stopping.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::connection::Shared;
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
        let Self { listener, tls, router, limits, connections, shutdown, metrics } = self;
        let tls = tls.map(TlsAcceptor::from);
        let shared = Shared { router, limits, metrics, shutdown };
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = shared.shutdown.reached(Phase::Stopping) => break,
            };
            match accepted {
                Ok((stream, peer)) => enter(stream, peer, tls.as_ref(), &shared, &connections),
                Err(error) => wait_out(&error).await,
            }
        }
        drop(listener);
        timeout(limits.finish, connections.closed()).await.is_ok()
    }
}

/// Starts serving a connection. Where there is no room it is closed at once, so that its client learns so and tries another
/// replica, rather than wait in a queue until the API server's timeout.
fn enter(stream: TcpStream, peer: SocketAddr, tls: Option<&TlsAcceptor>, shared: &Shared, connections: &Connections) {
    let Some(slot) = connections.enter() else { return shared.metrics.rejected("connections") };
    tune(&stream);
    let (tls, shared, connections) = (tls.cloned(), shared.clone(), connections.clone());
    tokio::spawn(async move {
        match shake_hands(stream, tls, shared.limits.handshake).await {
            Ok(Stream::Plain(stream)) => shared.serve(stream, false).await,
            Ok(Stream::Tls(stream)) => {
                let http2 = stream.get_ref().1.alpn_protocol() == Some(H2);
                shared.serve(stream, http2).await;
            }
            Err(error) if connections.is_own(peer) => debug!(%error, "Quorate's own dial ended"),
            Err(error) => {
                debug!(%error, "a TLS handshake failed");
                shared.metrics.rejected("handshake");
            }
        }
        drop(slot);
    });
}

/// A connection that is ready for requests.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

async fn shake_hands(stream: TcpStream, tls: Option<TlsAcceptor>, patience: Duration) -> io::Result<Stream> {
    let Some(tls) = tls else { return Ok(Stream::Plain(stream)) };
    let shaken = timeout(patience, tls.accept(stream)).await?;
    shaken.map(|stream| Stream::Tls(Box::new(stream)))
}

/// Answers are small and wanted at once: no waiting for more to send (L38).
fn tune(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
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
        tune(&stream);
        assert!(stream.nodelay().unwrap());
    }
}
