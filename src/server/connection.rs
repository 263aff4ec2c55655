//! One connection, from its first request to its end.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};
use futures::FutureExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tower::ServiceExt as _;
use tracing::debug;

use super::connections::Visit;
use super::patience::{Expiry, InFlight, Patient, Pulse};
use super::{Limits, Phase, Shutdown};
use crate::telemetry::Metrics;

/// The longest head of a request, and the most that is read of a connection at a time; the API server's heads are under 1 KiB.
const HEAD: usize = 16 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;

/// The bytes of bodies that an HTTP/2 client may send before they are asked for: HTTP/2's own default, and the least.
const WINDOW: u32 = 65_535;

/// The bytes of an answer that wait for an HTTP/2 client to take them.
const ANSWER: usize = 64 << 10;

/// Requests that an HTTP/2 client may take back before they were looked at, and errors of its own that it may make; past
/// either the connection ends ("rapid reset").
const RESETS: (usize, usize) = (20, 64);

/// How often an HTTP/2 client is asked whether it is still there, and how long it may take to say so.
const PING: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// For a connection that was told to end while nothing was in flight.
const GOODBYE: Duration = Duration::from_secs(1);

/// What every connection of a port shares.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) router: Router,
    pub(super) limits: Limits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) shutdown: Shutdown,
}

impl Shared {
    /// Answers the requests of a connection until either side ends it or its time runs out.
    pub(super) async fn serve<S>(&self, stream: S, http2: bool, visit: Visit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let pulse = Pulse::new(self.limits, http2, visit);
        let io = TokioIo::new(Patient::new(stream, pulse.clone()));
        let service = service_fn(|request| self.clone().answer(pulse.request(), request));
        let builder = builder(http2);
        let mut connection = pin!(builder.serve_connection(io, service));
        let mut ending = pin!(self.shutdown.reached(self.ends_at(http2)));
        let expiry = tokio::select! {
            result = pulse.watch(connection.as_mut()) => match result {
                Ok(ended) => return log(ended),
                Err(expiry) => Some(expiry),
            },
            () = &mut ending => None,
        };
        connection.as_mut().graceful_shutdown();
        match expiry {
            Some(Expiry::Slow) => self.metrics.rejected("slow"),
            // It may hear of it, if that takes no time.
            Some(Expiry::Crowded) => {
                self.metrics.rejected("connections");
                drop(connection.now_or_never());
            }
            Some(Expiry::Idle) => drop(timeout(GOODBYE, connection).await),
            None => {
                if let Err(Expiry::Slow) = pulse.watch(connection).await {
                    self.metrics.rejected("slow");
                }
            }
        }
    }

    /// The phase in which the connection is told to end. HTTP/2 has a message for that, which is sent as soon as draining
    /// begins; with HTTP/1.1 it goes with an answer, so an idle connection stays until the port stops (L31).
    fn ends_at(&self, http2: bool) -> Phase {
        if http2 && self.shutdown.phase() == Phase::Serving { Phase::Draining } else { Phase::Stopping }
    }
}

impl Shared {
    /// Answers one request. Dropped, with everything it waits for, when the connection ends (L36). A panic ends nothing but
    /// the request.
    async fn answer(self, in_flight: InFlight, mut request: Request<Incoming>) -> Result<Response, Infallible> {
        let http2 = request.version() == Version::HTTP_2;
        request.extensions_mut().insert(in_flight.progress());
        let answered = AssertUnwindSafe(self.router.oneshot(request)).catch_unwind().await;
        let mut response = answered.map_or_else(
            |_panic| {
                self.metrics.internal_error("panic");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            },
            |Ok(response)| response,
        );
        if !http2 && self.shutdown.phase() != Phase::Serving {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if response.status().is_success() {
            in_flight.succeeded();
        }
        drop(in_flight);
        Ok(response)
    }
}

fn builder(http2: bool) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD).unwrap_or(u32::MAX))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(ANSWER)
        .max_pending_accept_reset_streams(RESETS.0)
        .max_local_error_reset_streams(RESETS.1)
        .keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}

fn log<E: std::fmt::Display>(ended: Result<(), E>) {
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::server::Connections;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: quorate\r\n\r\n";

    fn serve() -> (DuplexStream, Arc<Metrics>) {
        let (client, server) = duplex(1 << 16);
        let metrics = Arc::new(Metrics::default());
        let router = Router::new().route("/", get(|| async { "hello" }));
        let (limits, shutdown) = (Limits::default(), Shutdown::default());
        let shared = Shared { router, limits, metrics: Arc::clone(&metrics), shutdown };
        tokio::spawn(async move {
            let visit = Connections::new(1).enter().await.unwrap();
            shared.serve(server, false, visit).await;
        });
        (client, metrics)
    }

    async fn ask(client: &mut DuplexStream) {
        client.write_all(REQUEST).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "closed early");
        }
    }

    /// L32, on a clock that the test moves.
    #[tokio::test(start_paused = true)]
    async fn keeps_an_idle_connection_longer_than_the_api_server_does() {
        let (mut client, _) = serve();
        for _ in 0..3 {
            ask(&mut client).await;
            sleep(Duration::from_secs(95)).await;
        }
        ask(&mut client).await;
    }

    #[tokio::test(start_paused = true)]
    async fn closes_a_connection_that_was_idle_for_long() {
        let (mut client, metrics) = serve();
        ask(&mut client).await;
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(metrics.encode().contains(r#"rejected_total{reason="slow"} 0"#));
    }

    #[tokio::test(start_paused = true)]
    async fn closes_a_connection_whose_request_does_not_come_to_its_point() {
        let (mut client, metrics) = serve();
        ask(&mut client).await;
        sleep(Duration::from_mins(1)).await;
        // A byte now and then does not help.
        let mut sent = 0;
        while client.write_all(&REQUEST[sent..=sent]).await.is_ok() {
            sent += 1;
            sleep(Duration::from_secs(2)).await;
        }
        assert!(sent < REQUEST.len());
        assert!(metrics.encode().contains(r#"rejected_total{reason="slow"} 1"#));
    }

    #[tokio::test(start_paused = true)]
    async fn closes_a_connection_whose_client_does_not_read() {
        let (mut client, metrics) = serve();
        // More answers than the pipe holds.
        while tokio::time::timeout(Duration::from_secs(1), client.write_all(REQUEST))
            .await
            .is_ok_and(|sent| sent.is_ok())
        {}
        sleep(Duration::from_mins(1)).await;
        assert!(client.write_all(REQUEST).await.is_err());
        assert!(metrics.encode().contains(r#"rejected_total{reason="slow"} 1"#));
    }
}
