//! Certificates in PEM files: where they are, and reading them.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;

use super::authority::Authority;
use super::pair::{Error, Pair, certificates};

/// The files of a certificate chain and its key.
#[derive(Debug, Clone)]
pub struct Files {
    /// The chain, leaf first, as PEM.
    pub certificate: PathBuf,
    /// The key, as PEM: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// What the two files held at one moment.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Files {
    /// The pair that the files hold.
    ///
    /// # Errors
    ///
    /// A file can't be read, is not what it should be, or the two don't belong together.
    pub fn load(&self) -> Result<Pair, Error> {
        self.parse(&self.read()?)
    }

    /// The CA that the files hold.
    pub(super) fn authority(&self) -> Result<Authority, Error> {
        let contents = self.read()?;
        Authority::parse((&self.certificate, &contents.certificate), (&self.key, &contents.key))
    }

    pub(super) fn read(&self) -> Result<Contents, Error> {
        Ok(Contents { certificate: read(&self.certificate)?, key: read(&self.key)? })
    }

    pub(super) fn parse(&self, contents: &Contents) -> Result<Pair, Error> {
        Pair::parse((&self.certificate, &contents.certificate), (&self.key, &contents.key))
    }
}

/// The authorities in a PEM file, by one of which a client's certificate must be signed.
///
/// # Errors
///
/// The file can't be read or holds no usable certificate.
pub fn client_authorities(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, &read(path)?)? {
        roots.add(certificate).map_err(|error| Error::BadCertificate(path.to_owned(), error.to_string()))?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Unreadable { path: path.to_owned(), source })
}
