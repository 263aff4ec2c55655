//! Who may call: clients whose certificates are signed by an authority in a file, which is read again when it changes.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tracing::{error, info};

use super::client_authorities;
use super::follow::{pause, watch};
use crate::telemetry::{Health, State};

/// The name of this part in `/readyz?verbose`.
const PART: &str = "client-ca";

/// The authorities of clients, replaced as a whole. A client is accepted by those that are in force when it shakes hands.
#[derive(Debug)]
pub struct Clients(ArcSwap<Arc<dyn ClientCertVerifier>>);

impl Clients {
    /// Accepts clients with a certificate signed by one of `roots`.
    ///
    /// # Errors
    ///
    /// There are none.
    pub fn new(roots: RootCertStore) -> Result<Self, VerifierBuilderError> {
        Ok(Self(ArcSwap::from_pointee(verifier(roots)?)))
    }

    /// Accepts others from the next handshake on.
    ///
    /// # Errors
    ///
    /// There are none; then nothing changes.
    pub fn replace(&self, roots: RootCertStore) -> Result<(), VerifierBuilderError> {
        self.0.store(Arc::new(verifier(roots)?));
        Ok(())
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<dyn ClientCertVerifier>, VerifierBuilderError> {
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider())).build()
}

impl ClientCertVerifier for Clients {
    /// None: a client that has a certificate shows it unasked, and the list could not change with the authorities.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.0.load().verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.load().verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().supported_verify_schemes()
    }
}

/// Keeps `clients` as the file is, for ever; as long as it is no good, as it was (L44).
pub async fn follow_clients(file: PathBuf, clients: Arc<Clients>, health: Arc<Health>) {
    let changed = Arc::new(Notify::new());
    // Its failure is no matter: the file is compared anyway.
    let _watcher = watch([file.as_path()], Arc::clone(&changed));
    let mut seen = None;
    loop {
        let path = file.clone();
        let read = spawn_blocking(move || client_authorities(&path)).await;
        let taken = match read {
            Ok(Ok(roots)) if seen.as_ref() == Some(&roots.roots) => Ok(false),
            Ok(Ok(roots)) => {
                let anchors = roots.roots.clone();
                clients.replace(roots).map(|()| seen.replace(anchors).is_some()).map_err(|error| error.to_string())
            }
            Ok(Err(error)) => Err(error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let before = health.states().remove(PART);
        let state = match taken {
            Ok(is_new) => {
                if is_new {
                    info!(file = %file.display(), "accepting clients of other authorities");
                }
                State::Ok
            }
            Err(reason) => State::Degraded(reason),
        };
        if let State::Degraded(error) = &state
            && before.as_ref() != Some(&state)
        {
            error!(error, "cannot take the new authorities of clients; the old ones are in force");
        }
        health.set(PART, state);
        pause(&changed).await;
    }
}
