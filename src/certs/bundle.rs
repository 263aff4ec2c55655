//! The CAs that clients shall trust: the present one, and former ones as long as something that they signed may be served.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::parse_x509_certificate;

use super::authority::{is_authority, pem};
use super::validity::Validity;

/// More than any rotation needs; so that somebody who makes Quorate rotate over and over can't grow the webhook configurations.
const MOST: usize = 8;

/// CAs, each there once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Bundle(Vec<CertificateDer<'static>>);

impl Bundle {
    /// The CAs that can be read from PEM, up to the first garbage; what is not a CA is left out.
    pub(super) fn parse(text: &[u8]) -> Self {
        let read = CertificateDer::pem_slice_iter(text).map_while(Result::ok);
        read.filter(|certificate| is_authority(certificate)).collect()
    }

    /// Without those that have ended at `now`, nor more than there may be.
    pub(super) fn at(self, now: SystemTime) -> Self {
        Self(self.0.into_iter().filter(|it| validity(it).is_some_and(|it| !it.has_ended(now))).take(MOST).collect())
    }

    /// All of them as PEM.
    pub(super) fn pem(&self) -> String {
        self.0.iter().map(|certificate| pem(certificate)).collect()
    }

    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.iter().any(|it| it == certificate)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }

    /// Which of them makes a client that calls the server `name` accept `chain` at `now`; `None` if none does.
    pub(super) fn signer(
        &self,
        chain: &[CertificateDer<'_>],
        name: &str,
        now: SystemTime,
    ) -> Option<&CertificateDer<'static>> {
        self.0.iter().find(|it| validity(it).is_some_and(|it| !it.has_ended(now)) && accepts(it, chain, name, now))
    }
}

impl FromIterator<CertificateDer<'static>> for Bundle {
    fn from_iter<I: IntoIterator<Item = CertificateDer<'static>>>(certificates: I) -> Self {
        let mut bundle = Self::default();
        for certificate in certificates {
            if !bundle.contains(&certificate) {
                bundle.0.push(certificate);
            }
        }
        bundle
    }
}

fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    parse_x509_certificate(certificate).ok().map(|(_, parsed)| Validity::of(&parsed))
}

fn accepts(authority: &CertificateDer<'static>, chain: &[CertificateDer<'_>], name: &str, now: SystemTime) -> bool {
    let accepts = || {
        let (leaf, intermediates) = chain.split_first()?;
        let name = ServerName::try_from(name).ok()?;
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone()).ok()?;
        let provider = Arc::new(default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        let now = UnixTime::since_unix_epoch(since);
        verifier.verify_server_cert(leaf, intermediates, &name, &[], now).ok()
    };
    accepts().is_some()
}

#[cfg(test)]
mod tests {
    use super::super::authority::Authority;
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn authority(now: SystemTime) -> CertificateDer<'static> {
        Authority::make("test", HOUR, now).unwrap().certificate().clone()
    }

    #[test]
    fn holds_each_ca_once_and_reads_back_what_it_wrote() {
        let now = SystemTime::now();
        let (one, two) = (authority(now), authority(now));
        let bundle: Bundle = [one.clone(), two.clone(), one.clone()].into_iter().collect();
        assert_eq!(bundle.iter().collect::<Vec<_>>(), [&one, &two]);
        assert_eq!(Bundle::parse(bundle.pem().as_bytes()), bundle);
    }

    #[test]
    fn reads_what_comes_before_garbage_and_no_serving_certificates() {
        let now = SystemTime::now();
        let ca = Authority::make("test", HOUR, now).unwrap();
        let leaf = ca.issue(&["localhost".to_owned()], HOUR, now).unwrap();
        let text = format!("{}{}-----BEGIN CERTIFICATE-----\n?", leaf.certificate, pem(ca.certificate()));
        assert_eq!(Bundle::parse(text.as_bytes()), Bundle(vec![ca.certificate().clone()]));
        assert_eq!(Bundle::parse(b"garbage"), Bundle::default());
    }

    #[test]
    fn forgets_those_that_have_ended_and_grows_no_further_than_it_may() {
        let now = SystemTime::now();
        let (old, new) = (authority(now), authority(now + HOUR / 2));
        let bundle: Bundle = [old, new.clone()].into_iter().collect();
        assert_eq!(bundle.at(now + HOUR), Bundle(vec![new]));
        let many: Bundle = std::iter::repeat_with(|| authority(now)).take(20).collect();
        assert_eq!(many.at(now).0.len(), MOST);
    }

    #[test]
    fn knows_who_signed_a_certificate_that_clients_accept() {
        let now = SystemTime::now();
        let (one, two) = (Authority::make("test", HOUR, now).unwrap(), Authority::make("test", HOUR, now).unwrap());
        let bundle: Bundle = [&one, &two].map(|it| it.certificate().clone()).into_iter().collect();
        let issued = two.issue(&["quorate.here.svc".to_owned()], HOUR / 2, now).unwrap();
        let chain = [CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
        assert_eq!(bundle.signer(&chain, "quorate.here.svc", now), Some(two.certificate()));
        assert_eq!(bundle.signer(&chain, "quorate.there.svc", now), None);
        assert_eq!(bundle.signer(&chain, "quorate.here.svc", now + HOUR / 2 + HOUR / 60), None);
        assert_eq!(bundle.signer(&[], "quorate.here.svc", now), None);
    }
}
