//! The client of the API server: HTTP/1.1 over TLS on kept connections, with the admin's token.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::controlplane::ControlPlane;

/// A server that is asked over TLS, and as whom.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    name: ServerName<'static>,
    connector: TlsConnector,
    authorization: String,
}

/// One connection to it.
pub(crate) struct Connection {
    sender: SendRequest<Body>,
    authorization: String,
}

/// What came of a request.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
    /// From the first byte of the request to the last of its answer.
    pub(crate) took: Duration,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Client {
    /// The API server, asked by its admin.
    pub(crate) fn of(cluster: &ControlPlane) -> Self {
        let kubeconfig: Value = serde_json::from_slice(&fs::read(cluster.kubeconfig()).unwrap()).unwrap();
        let users = kubeconfig["users"].as_array().unwrap();
        let token = users.iter().find(|user| user["name"] == "admin").unwrap()["user"]["token"].as_str().unwrap();
        let address = cluster.server().strip_prefix("https://").unwrap().parse().unwrap();
        Self::new(address, "127.0.0.1", &fs::read(cluster.authority()).unwrap(), format!("Bearer {token}"))
    }

    /// A server whose certificate is for this name and signed by this authority, given as PEM.
    pub(crate) fn new(address: SocketAddr, name: &'static str, authority: &[u8], authorization: String) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(authority) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(name).unwrap();
        Self { address, name, connector: TlsConnector::from(Arc::new(config)), authorization }
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let stream = self.connector.connect(self.name.clone(), stream).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Connection { sender, authorization: self.authorization.clone() }
    }
}

impl Connection {
    pub(crate) async fn post(&mut self, path: &str, body: Bytes) -> Answer {
        let request = Request::post(path)
            .header("host", "localhost")
            .header("authorization", &self.authorization)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("user-agent", "quorate-bench")
            .body(Body::from(body))
            .unwrap();
        self.sender.ready().await.unwrap();
        let sent = Instant::now();
        let response = self.sender.send_request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, body, took: sent.elapsed() }
    }
}
