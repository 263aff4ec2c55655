//! The TLS side of the webhook's port.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};

/// HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";

/// HTTP/1.1 in ALPN.
const HTTP11: &[u8] = b"http/1.1";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cryptography at hand knows no TLS 1.2 or 1.3.
    #[error("cannot set TLS up: {0}")]
    Versions(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with the certificate that `certificates` gives for each handshake. With `clients`, a client must show a
/// certificate that these accept, at every connection. HTTP/1.1 is preferred, since that is what the API server speaks to webhooks (L1).
///
/// # Errors
///
/// The cryptography at hand knows neither.
pub fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let is_open = clients.is_none();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(clients),
    };
    let mut config = builder.with_cert_resolver(certificates);
    if !is_open {
        // A resumed session would be spared the question who is there, after its authority has been removed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![HTTP11.to_vec(), H2.to_vec()];
    Ok(Arc::new(config))
}
