//! The TLS side of the webhook's port.

use std::sync::Arc;

use rustls::server::{ResolvesServerCert, VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};

/// HTTP/2 in ALPN.
pub(super) const H2: &[u8] = b"h2";

/// HTTP/1.1 in ALPN.
const HTTP11: &[u8] = b"http/1.1";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The authorities of client certificates can't be used.
    #[error("cannot verify client certificates: {0}")]
    Clients(#[from] VerifierBuilderError),
    /// The cryptography at hand knows no TLS 1.2 or 1.3.
    #[error("cannot set TLS up: {0}")]
    Versions(#[from] rustls::Error),
}

/// TLS 1.2 and 1.3 with the certificate that `certificates` gives for each handshake. With `clients`, a client must show a
/// certificate that one of them signed. HTTP/1.1 is preferred, since that is what the API server speaks to webhooks (L1).
///
/// # Errors
///
/// `clients` is empty.
pub fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    clients: Option<RootCertStore>,
) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(roots) => builder
            .with_client_cert_verifier(WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?),
    };
    let mut config = builder.with_cert_resolver(certificates);
    config.alpn_protocols = vec![HTTP11.to_vec(), H2.to_vec()];
    Ok(Arc::new(config))
}
