//! Dials the webhook's own port: ready means that a TLS handshake with it works, not that somebody meant to start it (L30).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tracing::{info, warn};

use super::{Connections, Phase, Shutdown};
use crate::certs::Serving;
use crate::telemetry::{Health, State};

/// The name of this part in `/readyz?verbose`.
const PART: &str = "tls";

/// How often, until the first success and after it.
const INTERVALS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// For one dial, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(5);

/// So many failures in a row mean that the listener is dead: one may be a certificate that changed between the two sides.
const DEAD: u32 = 3;

/// What to dial, and what should answer.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The listener's address.
    pub address: SocketAddr,
    /// The certificates that it serves.
    pub serving: Arc<Serving>,
    /// The listener's connections: a full house is no dead listener.
    pub connections: Connections,
    /// No dialling once it began: readiness has been given up, and the port closes.
    pub shutdown: Shutdown,
}

/// Dials for ever and keeps the part `tls` of `health` as what it finds.
pub async fn dial_self(probe: Probe, health: Arc<Health>) {
    let connector = match connector(&probe.serving) {
        Ok(connector) => connector,
        Err(error) => return warn!(%error, "cannot dial the webhook's own port"),
    };
    let mut failures = 0;
    let mut reached = false;
    while probe.shutdown.phase() == Phase::Serving {
        match probe.dial(&connector).await {
            Ok(()) => {
                if !reached || failures >= DEAD {
                    info!(address = %probe.address, "serving TLS");
                }
                (reached, failures) = (true, 0);
                health.set(PART, State::Ok);
            }
            Err(_) if probe.connections.is_full() => {}
            Err(error) => {
                failures += 1;
                if !reached || failures == DEAD {
                    health.set(PART, State::NotReady(format!("cannot reach {}: {error}", probe.address)));
                }
                if failures == DEAD {
                    warn!(%error, address = %probe.address, "the webhook's own port does not answer");
                }
            }
        }
        sleep(if reached { INTERVALS.1 } else { INTERVALS.0 }).await;
    }
    std::future::pending::<()>().await;
}

impl Probe {
    /// A whole handshake. An unspecified address is dialled on loopback, over IPv4 where IPv6 is switched off.
    async fn dial(&self, connector: &TlsConnector) -> io::Result<()> {
        let mut result = Err(io::ErrorKind::AddrNotAvailable.into());
        for address in loopback(self.address) {
            let dial = async { connector.connect(ServerName::from(address.ip()), self.connect(address).await?).await };
            result = timeout(PATIENCE, dial).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(drop);
            if result.is_ok() {
                break;
            }
        }
        result
    }
}

impl Probe {
    async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() }?;
        socket.bind(SocketAddr::new(address.ip(), 0))?;
        self.connections.dial_from(socket.local_addr()?);
        socket.connect(address).await
    }
}

fn loopback(address: SocketAddr) -> Vec<SocketAddr> {
    let addresses: &[IpAddr] = match address.ip() {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)],
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
        ip => &[ip],
    };
    addresses.iter().map(|ip| SocketAddr::new(*ip, address.port())).collect()
}

fn connector(serving: &Arc<Serving>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let own = OwnCertificate { serving: Arc::clone(serving), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(own))
        .with_no_client_auth();
    // A resumed session would show no certificate.
    config.resumption = Resumption::disabled();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Accepts the very certificate that Quorate serves, whatever names it has, and no other.
#[derive(Debug)]
struct OwnCertificate {
    serving: Arc<Serving>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OwnCertificate {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.serving.pair().is_some_and(|served| served.key().cert.first() == Some(leaf)) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, leaf, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
