//! Certificates as Quorate makes them: a CA, and serving certificates that it signs. Knows nothing of files or Secrets.

use std::path::Path;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use x509_parser::parse_x509_certificate;

use super::pair::{Error, Pair};
use super::validity::Validity;

/// A CA with its key.
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    validity: Validity,
}

/// A serving certificate and its key, both as PEM.
pub(super) struct Issued {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    /// A new CA that lasts `lifetime`.
    pub(super) fn make(name: &str, lifetime: Duration, now: SystemTime) -> Result<Self, rcgen::Error> {
        let validity = Validity::from_now(now, lifetime);
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        last(&mut params, validity);
        let made = CertifiedIssuer::self_signed(params.clone(), KeyPair::generate()?)?;
        let certificate = made.as_ref().der().clone();
        let key = KeyPair::from_pem(&made.key().serialize_pem())?;
        Ok(Self { certificate, issuer: Issuer::new(params, key), validity })
    }

    /// The CA that a certificate and its key make, as PEM. The paths are for messages.
    pub(super) fn parse(certificate: (&Path, &[u8]), key: (&Path, &[u8])) -> Result<Self, Error> {
        let unusable = |reason: &str| Error::BadCertificate(certificate.0.to_owned(), reason.to_owned());
        let pair = Pair::parse(certificate, key)?;
        let Some(certificate) = pair.chain().first().cloned() else {
            return Err(Error::NoCertificate(certificate.0.to_owned()));
        };
        if !is_authority(&certificate) {
            return Err(unusable("it is not a CA's"));
        }
        let bad_key = |reason: String| Error::BadKey(key.0.to_owned(), reason);
        let text = std::str::from_utf8(key.1).map_err(|error| bad_key(error.to_string()))?;
        let key = KeyPair::from_pem(text).map_err(|error| bad_key(error.to_string()))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| unusable(&error.to_string()))?;
        Ok(Self { certificate, issuer, validity: pair.validity() })
    }

    /// A serving certificate for these names, which lasts `lifetime`, but no longer than the CA.
    pub(super) fn issue(&self, names: &[String], lifetime: Duration, now: SystemTime) -> Result<Issued, rcgen::Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        // Nobody looks at it, but people, who know Quorate by its Service.
        params.distinguished_name = common_name(names.first().map_or("quorate", String::as_str));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        last(&mut params, Validity::from_now(now, lifetime).within(self.validity));
        Ok(Issued { certificate: params.signed_by(&key, &self.issuer)?.pem(), key: key.serialize_pem() })
    }

    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// The key as PEM: for whoever stores it, and nobody else.
    pub(super) fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }
}

/// The names of a Service, as the API server and others in the cluster call it.
pub(super) fn service_names(service: &str, namespace: &str) -> Vec<String> {
    vec![
        service.to_owned(),
        format!("{service}.{namespace}"),
        server_name(service, namespace),
        format!("{service}.{namespace}.svc.cluster.local"),
    ]
}

/// The name that the API server verifies (L1).
pub(super) fn server_name(service: &str, namespace: &str) -> String {
    format!("{service}.{namespace}.svc")
}

/// Whether a certificate may sign others.
pub(super) fn is_authority(certificate: &CertificateDer<'_>) -> bool {
    let Ok((_, parsed)) = parse_x509_certificate(certificate) else { return false };
    parsed.is_ca() && parsed.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()))
}

/// A certificate as PEM.
pub(super) fn pem(certificate: &CertificateDer<'_>) -> String {
    const WIDTH: usize = 64;
    let mut text = BASE64_STANDARD.encode(certificate);
    for end in (WIDTH..text.len()).step_by(WIDTH).rev() {
        text.insert(end, '\n');
    }
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn last(params: &mut CertificateParams, validity: Validity) {
    params.not_before = validity.starts.into();
    params.not_after = validity.ends.into();
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn writes_certificates_as_pem_that_can_be_read_back() {
        let authority = Authority::make("test", Duration::from_hours(1), SystemTime::now()).unwrap();
        let text = pem(authority.certificate());
        assert!(text.lines().all(|line| line.len() <= 64));
        assert_eq!(&CertificateDer::from_pem_slice(text.as_bytes()).unwrap(), authority.certificate());
    }

    #[test]
    fn issues_nothing_that_outlasts_the_ca() {
        let now = SystemTime::now();
        let authority = Authority::make("test", Duration::from_hours(1), now).unwrap();
        let issued = authority.issue(&["localhost".to_owned()], Duration::from_hours(9), now).unwrap();
        let path = Path::new("pem");
        let pair = Pair::parse((path, issued.certificate.as_bytes()), (path, issued.key.as_bytes())).unwrap();
        assert!(pair.ends() <= now + Duration::from_hours(1));
        assert!(!is_authority(&pair.chain()[0]));
        // And it is no CA itself.
        let parsed = Authority::parse((path, issued.certificate.as_bytes()), (path, issued.key.as_bytes()));
        assert_eq!(parsed.err().unwrap().to_string(), "the certificate in pem can't be used: it is not a CA's");
    }
}
