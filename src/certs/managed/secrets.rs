//! What the two Secrets hold, and how it is written there. Nothing of a key leaves this module but to be served or stored.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;

use super::super::authority::{Authority, Issued, pem};
use super::super::bundle::Bundle;
use super::super::pair::Pair;

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const CA: &str = "ca.crt";

/// Why what a Secret holds can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// There is nothing in it: it is as it was created.
    Empty,
    /// What is wrong with it, without anything of what it holds.
    Bad(String),
}

/// What Secret `quorate-ca` holds.
pub(super) struct Trust {
    /// The CA that signs.
    pub(super) authority: Result<Authority, Unusable>,
    /// What clients shall trust, as it is written.
    pub(super) text: Vec<u8>,
}

impl Trust {
    pub(super) fn of(secret: &Secret) -> Self {
        let parsed = read(secret, |certificate, key| Authority::parse(certificate, key).map_err(|it| it.to_string()));
        Self { authority: parsed, text: value(secret, CA).to_vec() }
    }

    /// The CAs that clients shall trust.
    pub(super) fn bundle(&self) -> Bundle {
        Bundle::parse(&self.text)
    }
}

/// What Secret `quorate-tls` holds.
pub(super) struct Leaf {
    /// What is to be served.
    pub(super) pair: Result<Pair, Unusable>,
    /// The CA that is said to have signed it.
    pub(super) authority: Bundle,
}

impl Leaf {
    pub(super) fn of(secret: &Secret) -> Self {
        let parsed = read(secret, |certificate, key| Pair::parse(certificate, key).map_err(|it| it.to_string()));
        Self { pair: parsed, authority: Bundle::parse(value(secret, CA)) }
    }
}

/// The Secret with another CA and bundle in it.
pub(super) fn with_authority(secret: &Secret, authority: &Authority, bundle: &Bundle) -> Secret {
    with(secret, &[(CERTIFICATE, pem(authority.certificate())), (KEY, authority.key_pem()), (CA, bundle.pem())])
}

/// The Secret with another bundle beside the CA in it.
pub(super) fn with_bundle(secret: &Secret, bundle: &Bundle) -> Secret {
    with(secret, &[(CA, bundle.pem())])
}

/// The Secret with another serving certificate, and who signed it.
pub(super) fn with_leaf(secret: &Secret, issued: &Issued, authority: &Authority) -> Secret {
    let ca = pem(authority.certificate());
    with(secret, &[(CERTIFICATE, issued.certificate.clone()), (KEY, issued.key.clone()), (CA, ca)])
}

fn with(secret: &Secret, values: &[(&str, String)]) -> Secret {
    let mut secret = secret.clone();
    let data = secret.data.get_or_insert_default();
    data.extend(values.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.clone().into_bytes()))));
    secret
}

fn read<T>(
    secret: &Secret,
    parse: impl FnOnce((&std::path::Path, &[u8]), (&std::path::Path, &[u8])) -> Result<T, String>,
) -> Result<T, Unusable> {
    let [certificate, key] = [CERTIFICATE, KEY].map(|name| value(secret, name));
    if certificate.is_empty() && key.is_empty() {
        return Err(Unusable::Empty);
    }
    // Named as a path is, since that is what the messages are about otherwise.
    let place = |name: &str| {
        let name_of = |it: &Option<String>| it.clone().unwrap_or_default();
        PathBuf::from(format!(
            "{name} of Secret {}/{}",
            name_of(&secret.metadata.namespace),
            name_of(&secret.metadata.name)
        ))
    };
    parse((&place(CERTIFICATE), certificate), (&place(KEY), key)).map_err(Unusable::Bad)
}

fn value<'s>(secret: &'s Secret, key: &str) -> &'s [u8] {
    let data: Option<&BTreeMap<String, ByteString>> = secret.data.as_ref();
    data.and_then(|data| data.get(key)).map_or(&[], |value| &value.0)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn empty(name: &str) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.to_owned());
        secret.metadata.namespace = Some("here".to_owned());
        secret
    }

    fn authority() -> Authority {
        Authority::make("test", Duration::from_hours(1), SystemTime::now()).unwrap()
    }

    #[test]
    fn reads_back_what_it_wrote() {
        let authority = authority();
        let bundle: Bundle = [authority.certificate().clone()].into_iter().collect();
        let trust = Trust::of(&with_authority(&empty("quorate-ca"), &authority, &bundle));
        assert_eq!(trust.authority.unwrap().certificate(), authority.certificate());
        let issued = authority.issue(&["here".to_owned()], Duration::from_mins(1), SystemTime::now()).unwrap();
        let leaf = Leaf::of(&with_leaf(&empty("quorate-tls"), &issued, &authority));
        assert_eq!(leaf.authority, bundle);
        // Neither what it prints as, nor the reason for which it is refused, tells anything of a key.
        let printed = format!("{:?}", leaf.pair.unwrap());
        let key = issued.key.lines().nth(1).unwrap();
        assert!(!printed.contains(key) && !printed.contains(&format!("{:?}", &issued.key.as_bytes()[30..40])));
    }

    #[test]
    fn tells_an_empty_secret_from_a_bad_one_without_telling_what_is_in_it() {
        assert_eq!(Leaf::of(&empty("quorate-tls")).pair.unwrap_err(), Unusable::Empty);
        let secret = with(&empty("quorate-tls"), &[(CERTIFICATE, "secret".to_owned()), (KEY, "secret".to_owned())]);
        let Unusable::Bad(reason) = Leaf::of(&secret).pair.unwrap_err() else { panic!("it is not empty") };
        assert!(reason.starts_with("tls.crt of Secret here/quorate-tls holds no certificate"), "{reason}");
        let (one, two) = (authority(), authority());
        let mixed = with(&empty("quorate-ca"), &[(CERTIFICATE, pem(one.certificate())), (KEY, two.key_pem())]);
        let Err(Unusable::Bad(reason)) = Trust::of(&mixed).authority else { panic!("they don't belong together") };
        assert_eq!(
            reason,
            "the private key in tls.key of Secret here/quorate-ca does not belong to the certificate in tls.crt of Secret here/quorate-ca"
        );
    }
}
