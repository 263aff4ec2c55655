//! A certificate chain and the key that belongs to it: a value of this type can be served.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

use super::validity::Validity;

/// A certificate chain and its key.
#[derive(Debug, Clone)]
pub struct Pair {
    key: Arc<CertifiedKey>,
    validity: Validity,
}

/// Why certificate files can't be used. Never holds anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file can't be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file holds PEM that can't be decoded.
    #[error("{} is not PEM: {reason}", .0.display(), reason = .1)]
    NotPem(PathBuf, String),
    /// The file holds no certificate.
    #[error("{} holds no certificate; a block that starts with -----BEGIN CERTIFICATE----- is needed", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds no private key.
    #[error("{} holds no private key; a block that starts with -----BEGIN PRIVATE KEY----- is needed", .0.display())]
    NoKey(PathBuf),
    /// The private key is encrypted.
    #[error("the private key in {} is encrypted; decrypt it, for example with `openssl pkey`", .0.display())]
    EncryptedKey(PathBuf),
    /// The private key is of a kind that can't sign.
    #[error("the private key in {} can't be used: {reason}", .0.display(), reason = .1)]
    BadKey(PathBuf, String),
    /// The certificate is no certificate.
    #[error("the certificate in {} can't be used: {reason}", .0.display(), reason = .1)]
    BadCertificate(PathBuf, String),
    /// Certificate and key don't belong together.
    #[error("the private key in {} does not belong to the certificate in {}", .key.display(), .certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
}

impl Pair {
    /// The pair that the two files' contents make. The paths are for messages.
    ///
    /// # Errors
    ///
    /// Either is not what it should be, or they don't belong together.
    pub fn parse(certificate: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Self, Error> {
        let chain = certificates(certificate.0, certificate.1)?;
        let validity = validity(certificate.0, &chain)?;
        let signing = any_supported_type(&private_key(key.0, key.1)?)
            .map_err(|error| Error::BadKey(key.0.to_owned(), error.to_string()))?;
        let pair = CertifiedKey::new(chain, signing);
        match pair.keys_match() {
            Ok(()) => Ok(Self { key: Arc::new(pair), validity }),
            Err(rustls::Error::InconsistentKeys(_)) => {
                Err(Error::Mismatch { certificate: certificate.0.to_owned(), key: key.0.to_owned() })
            }
            Err(error) => Err(Error::BadCertificate(certificate.0.to_owned(), error.to_string())),
        }
    }

    /// The chain and key as TLS takes them.
    #[must_use]
    pub fn key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// When the certificate ends.
    #[must_use]
    pub fn ends(&self) -> SystemTime {
        self.validity.ends
    }

    /// The certificates, leaf first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// What is wrong with the certificate's time at `now`, if anything.
    #[must_use]
    pub fn objection(&self, now: SystemTime) -> Option<&'static str> {
        if now < self.validity.starts {
            Some("the serving certificate is not valid yet")
        } else if now >= self.validity.ends {
            Some("the serving certificate has expired")
        } else {
            None
        }
    }
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path, bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::NotPem(path.to_owned(), reason(&error)))?;
    if chain.is_empty() { Err(Error::NoCertificate(path.to_owned())) } else { Ok(chain) }
}

fn private_key(path: &Path, bytes: &[u8]) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        _ if is_encrypted(bytes) => Error::EncryptedKey(path.to_owned()),
        pem::Error::NoItemsFound => Error::NoKey(path.to_owned()),
        error => Error::NotPem(path.to_owned(), reason(&error)),
    })
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"ENCRYPTED PRIVATE KEY", b"Proc-Type: 4,ENCRYPTED"];
    marks.iter().any(|mark| bytes.windows(mark.len()).any(|window| window == *mark))
}

/// The error in words; its own would print lines as lists of bytes.
fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a block has no end line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a block has a malformed first line".to_owned(),
        pem::Error::Base64Decode(_) => "a block is not base64".to_owned(),
        pem::Error::SectionTooLarge => "a block is too long".to_owned(),
        other => other.to_string(),
    }
}

fn validity(path: &Path, chain: &[CertificateDer<'_>]) -> Result<Validity, Error> {
    let leaf = chain.first().ok_or_else(|| Error::NoCertificate(path.to_owned()))?;
    match parse_x509_certificate(leaf) {
        Ok((_, leaf)) => Ok(Validity::of(&leaf)),
        Err(error) => Err(Error::BadCertificate(path.to_owned(), error.to_string())),
    }
}
