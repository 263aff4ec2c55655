//! The server that Quorate's is compared with: axum, rustls, the body read into a `serde_json::Value`, and a constant answer.
//! It is what a webhook costs at least.
//!
//! It is a process of its own, which is the bench's own program again. Such a bench begins its `main` with [`serve_if_asked`],
//! and starts the server with [`command`]:
//!
//! ```no_run
//! reference::serve_if_asked();
//! let mut child = reference::command("127.0.0.1:0".parse().unwrap(), certificate, key, Some(patch)).spawn().unwrap();
//! let address = reference::address(&mut child);
//! ```
//!
//! It ends when its stdin does, so that it can't outlive who started it: keep the `Child`, and its `stdin`. It answers
//! `/validate` and `/mutate`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// The argument that makes a bench this server.
const WORD: &str = "serve-reference";

/// What starts it: at an address, whose port may be 0; with a certificate and its key, in PEM files; and with the patch
/// that it answers on `/mutate`, if it is to answer one: in base64, as an AdmissionResponse has it.
pub(crate) fn command(address: SocketAddr, certificate: &Path, key: &Path, patch: Option<&str>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(WORD).arg(address.to_string()).arg(certificate).arg(key);
    command.args(patch);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Where it listens; returns once it does.
pub(crate) fn address(child: &mut Child) -> SocketAddr {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim().parse().unwrap_or_else(|_| panic!("the reference server says: {line}"))
}

/// Serves and does not return, if this process was started by [`command`].
pub(crate) fn serve_if_asked() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [word, address, certificate, key, patch @ ..] = arguments.as_slice() else { return };
    if word == WORD {
        std::thread::spawn(|| {
            let _ = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(0);
        });
        let tls = tls(Path::new(certificate), Path::new(key));
        // As many threads as Quorate has: one for each processor that it may use.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(serve(address.parse().unwrap(), tls, patch.first().cloned()));
    }
}

async fn serve(address: SocketAddr, tls: Arc<ServerConfig>, patch: Option<String>) -> ! {
    let router = Router::new()
        .route("/validate", post(|body| async move { answer(&body, None) }))
        .route(
            "/mutate",
            post(|State(patch): State<Arc<Option<String>>>, body| async move { answer(&body, patch.as_deref()) }),
        )
        .with_state(Arc::new(patch));
    let listener = TcpListener::bind(address).await.unwrap();
    println!("{}", listener.local_addr().unwrap());
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(keep(acceptor.clone(), stream, router.clone()));
    }
}

/// Answers the requests of a connection, as axum's own `serve` does.
async fn keep(acceptor: TlsAcceptor, stream: TcpStream, router: Router) {
    stream.set_nodelay(true).unwrap();
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    // A client that ends its connection is no failure.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).await;
}

/// Reads the body, as any webhook must, and says yes.
fn answer(body: &Bytes, patch: Option<&str>) -> Response {
    let review: Value = serde_json::from_slice(body).unwrap();
    let mut response = json!({"uid": review["request"]["uid"], "allowed": true});
    if let Some(patch) = patch {
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(patch);
    }
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    ([(header::CONTENT_TYPE, "application/json")], review.to_string()).into_response()
}

/// TLS as Quorate has it: 1.2 and 1.3 by ring, HTTP/1.1 first.
fn tls(certificate: &Path, key: &Path) -> Arc<ServerConfig> {
    let certificates = CertificateDer::pem_file_iter(certificate).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_no_client_auth().with_single_cert(certificates, key).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec(), b"h2".to_vec()];
    Arc::new(config)
}
