//! TLS to Quorate, and what is sent to it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use quorate::certs::client_authorities;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    connector: TlsConnector,
}

impl Client {
    pub(crate) fn new(address: SocketAddr, ca: &Path) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(client_authorities(ca).unwrap())
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = Resumption::disabled();
        Self { address, connector: TlsConnector::from(Arc::new(config)) }
    }

    pub(crate) async fn dial(&self) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        self.connector.connect(ServerName::try_from("localhost").unwrap(), stream).await
    }
}

/// The bytes of a request with this body.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{}content-length: {}\r\n\r\n", head(path), body.len());
    [head.as_bytes(), body].concat()
}

/// The beginning of a request.
pub(crate) fn head(path: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: quorate.quorate-system.svc\r\ncontent-type: application/json\r\n")
}

/// A review of a StatefulSet of about 20 kB, whose containers have this more.
pub(crate) fn review(more: &str) -> Vec<u8> {
    let environment: Vec<_> = (0..250)
        .map(|number| json!({"name": format!("SETTING_{number}"), "value": "a value of some length, as there are"}))
        .collect();
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7e6f3c1c",
            "operation": "CREATE",
            "namespace": "default",
            "name": "database",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "ada"},
            "object": {
                "apiVersion": "apps/v1",
                "kind": "StatefulSet",
                "metadata": {"name": "database", "namespace": "default"},
                "spec": {
                    "serviceName": "database",
                    "replicas": 3,
                    "selector": {"matchLabels": {"app": "database"}},
                    "template": {
                        "metadata": {"labels": {"app": "database"}},
                        "spec": {"containers": [{"name": "database", "image": "d:1", "env": environment, "x": "MORE"}]},
                    },
                },
            },
        },
    });
    review.to_string().replace("\"MORE\"", if more.is_empty() { "0" } else { more }).into_bytes()
}
