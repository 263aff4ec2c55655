//! The server over real sockets: a port with a router of the test's own, and clients that hold on to their connections.

mod certificates;
pub(crate) mod command;
mod crowds;
mod hostile;
mod hostile_http2;
mod limits;
mod ready;
mod requests;
mod shutdown;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use quorate::certs::development::{self, Made};
use quorate::certs::{Clients, Serving, client_authorities};
use quorate::server::{Connections, Limits, Port, Shutdown, listen, tls};
use quorate::telemetry::Metrics;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Long enough for a machine that is busy with everything else.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Waits for something that must come.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it does not come")
}

/// Development certificates in a directory of their own.
pub(crate) fn certificates(directory: &Path) -> Made {
    development::make(&development::Request {
        directory: directory.to_owned(),
        service: "quorate".to_owned(),
        namespace: "quorate-system".to_owned(),
        names: Vec::new(),
        days: 30,
        force: false,
    })
    .unwrap()
}

/// A port that is served.
struct Served {
    address: SocketAddr,
    directory: TempDir,
    made: Made,
    serving: Arc<Serving>,
    shutdown: Shutdown,
    connections: Connections,
    metrics: Arc<Metrics>,
    task: JoinHandle<bool>,
}

/// Serves a router on a free port of loopback.
fn serve(router: Router) -> Served {
    serve_with(router, Limits::default(), None)
}

fn serve_with(router: Router, limits: Limits, clients: Option<RootCertStore>) -> Served {
    serve_to(router, limits, clients.map(|roots| Arc::new(Clients::new(roots).unwrap()) as _))
}

fn serve_to(router: Router, limits: Limits, clients: Option<Arc<dyn ClientCertVerifier>>) -> Served {
    serve_port(router, limits, |serving| Some(tls::config(serving, clients).unwrap()))
}

/// Serves without TLS, as the admin port does.
fn serve_plain(router: Router) -> Served {
    serve_port(router, Limits::default(), |_| None)
}

fn serve_port(router: Router, limits: Limits, tls: impl FnOnce(Arc<Serving>) -> Option<Arc<ServerConfig>>) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let made = certificates(directory.path());
    let serving = Arc::new(Serving::new(made.serving.load().unwrap()));
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, metrics) = (Shutdown::default(), Arc::new(Metrics::default()));
    let connections = Connections::new(limits.connections);
    let port = Port {
        listener,
        tls: tls(Arc::clone(&serving)),
        nodelay: true,
        router,
        limits,
        connections: connections.clone(),
        shutdown: shutdown.clone(),
        metrics: Arc::clone(&metrics),
    };
    let task = tokio::spawn(port.serve());
    Served { address, directory, made, serving, shutdown, connections, metrics, task }
}

/// Requests that wait at a gate, and how they fared.
#[derive(Debug, Clone)]
struct Gate {
    open: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    dropped: Arc<AtomicUsize>,
}

impl Gate {
    fn new() -> Self {
        Self { open: Arc::new(Semaphore::new(0)), waiting: Arc::default(), dropped: Arc::default() }
    }

    /// Routes: `POST /slow` waits at the gate; `GET /fast` doesn't; `GET /panic` does as it says.
    fn router(&self) -> Router {
        let gate = self.clone();
        let slow = move || {
            let gate = gate.clone();
            async move {
                let mut cancelled = Cancelled(Some(Arc::clone(&gate.dropped)));
                gate.waiting.fetch_add(1, Ordering::SeqCst);
                gate.open.acquire().await.unwrap().forget();
                cancelled.0 = None;
                "slow"
            }
        };
        Router::new().route("/slow", post(slow)).route("/fast", get(|| async { "fast" })).route("/panic", get(panics))
    }

    fn let_pass(&self, count: usize) {
        self.open.add_permits(count);
    }

    async fn until_waiting(&self, count: usize) {
        until("requests wait at the gate", async || self.waiting.load(Ordering::SeqCst) >= count).await;
    }
}

async fn panics() -> &'static str {
    // Past the panic hook, which would keep the control plane's logs as after a failed test.
    std::panic::resume_unwind(Box::new("as the test wants"))
}

/// Counts when it is dropped before its end.
struct Cancelled(Option<Arc<AtomicUsize>>);

impl Drop for Cancelled {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A TLS connection to `address`, trusting the CA in a file, offering these protocols.
pub(crate) async fn dial(address: SocketAddr, ca: &Path, protocols: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(client_authorities(ca).unwrap())
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config.resumption = rustls::client::Resumption::disabled();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// The certificates that the server shows.
async fn shown(address: SocketAddr, ca: &Path) -> Vec<CertificateDer<'static>> {
    let stream = soon(dial(address, ca, &[])).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap().iter().map(|certificate| certificate.clone().into_owned()).collect()
}

/// An HTTP/1.1 client with one connection.
struct Client1 {
    sender: http1::SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client1 {
    async fn dial(served: &Served) -> Self {
        let stream = soon(dial(served.address, &served.made.ca, &["http/1.1"])).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<hyper::body::Incoming>> {
        soon(self.sender.ready()).await?;
        soon(self.sender.send_request(request)).await
    }

    async fn get(&mut self, path: &str) -> hyper::Result<Response<hyper::body::Incoming>> {
        self.send(request("GET", path)).await
    }
}

/// An HTTP/2 client with one connection.
struct Client2 {
    sender: http2::SendRequest<Body>,
    connection: JoinHandle<hyper::Result<()>>,
}

impl Client2 {
    async fn dial(served: &Served) -> Self {
        let stream = soon(dial(served.address, &served.made.ca, &["h2"])).await.unwrap();
        let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }
}

fn request(method: &str, path: &str) -> Request<Body> {
    Request::builder().method(method).uri(format!("https://localhost{path}")).body(Body::empty()).unwrap()
}

/// The body of a response as text.
pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: hyper::body::Body<Error: std::fmt::Debug>,
{
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
