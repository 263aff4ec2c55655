//! Certificate files: chains, and renewal as kubelet does it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate::certs::{Clients, Files, client_authorities, follow, follow_clients};
use quorate::server::Limits;
use quorate::telemetry::{Health, Metrics, State};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Gate, Served, certificates, serve, serve_to, shown, soon, until};

/// A directory as kubelet mounts a Secret: files are links through `..data`, which is swapped as a whole.
struct Mounted {
    directory: PathBuf,
    swaps: usize,
}

impl Mounted {
    fn new(directory: &Path, certificate: &[u8], key: &[u8]) -> Self {
        let mut mounted = Self { directory: directory.to_owned(), swaps: 0 };
        fs::create_dir_all(directory).unwrap();
        mounted.swap(certificate, key);
        for name in ["tls.crt", "tls.key"] {
            symlink(Path::new("..data").join(name), directory.join(name)).unwrap();
        }
        mounted
    }

    fn swap(&mut self, certificate: &[u8], key: &[u8]) {
        self.swaps += 1;
        let target = format!("..{}", self.swaps);
        fs::create_dir(self.directory.join(&target)).unwrap();
        fs::write(self.directory.join(&target).join("tls.crt"), certificate).unwrap();
        fs::write(self.directory.join(&target).join("tls.key"), key).unwrap();
        symlink(&target, self.directory.join("..data_tmp")).unwrap();
        fs::rename(self.directory.join("..data_tmp"), self.directory.join("..data")).unwrap();
        if self.swaps > 1 {
            fs::remove_dir_all(self.directory.join(format!("..{}", self.swaps - 1))).unwrap();
        }
    }

    fn files(&self) -> Files {
        Files { certificate: self.directory.join("tls.crt"), key: self.directory.join("tls.key") }
    }
}

/// A new pair by the same CA, as PEM.
fn renew(directory: &Path) -> (Vec<u8>, Vec<u8>) {
    let made = certificates(directory);
    (fs::read(made.serving.certificate).unwrap(), fs::read(made.serving.key).unwrap())
}

/// L40, L44
#[tokio::test]
async fn serves_each_renewed_certificate_and_nothing_of_the_garbage_in_between() {
    let served = serve(Gate::new().router());
    let (certificate, key) = renew(served.directory.path());
    let mut mounted = Mounted::new(&served.directory.path().join("mounted"), &certificate, &key);
    let (metrics, health) = (Arc::new(Metrics::default()), Arc::new(Health::default()));
    served.serving.replace(mounted.files().load().unwrap());
    tokio::spawn(follow(mounted.files(), Arc::clone(&served.serving), Arc::clone(&metrics), Arc::clone(&health)));
    until("it is followed", async || health.states().contains_key("certificate")).await;

    let mut seen = vec![shown(served.address, &served.made.ca).await];
    for round in 0..3 {
        let (certificate, key) = renew(served.directory.path());
        // Garbage; a key that belongs to another certificate; nothing at all.
        let bad: [(&[u8], &[u8]); 3] = [(b"-----BEGIN", b"garbage"), (&certificate, &renewed_key(&served)), (b"", b"")];
        mounted.swap(bad[round].0, bad[round].1);
        until("it is reported", async || matches!(health.states()["certificate"], State::Degraded(_))).await;
        assert_eq!(&shown(served.address, &served.made.ca).await, seen.last().unwrap(), "the old one is served on");

        mounted.swap(&certificate, &key);
        until("the new one is served", async || &shown(served.address, &served.made.ca).await != seen.last().unwrap())
            .await;
        until("all is well", async || health.states()["certificate"] == State::Ok).await;
        seen.push(shown(served.address, &served.made.ca).await);
    }
    seen.dedup();
    assert_eq!(seen.len(), 4);
    assert!(metrics.encode().contains(r#"quorate_certificate_reloads_total{result="success"} 3"#));
    assert!(metrics.encode().contains(r#"quorate_certificate_reloads_total{result="failure"} 3"#));
}

fn renewed_key(served: &super::Served) -> Vec<u8> {
    renew(served.directory.path()).1
}

/// L43
#[tokio::test]
async fn serves_a_chain_with_its_intermediate() {
    let directory = tempfile::tempdir().unwrap();
    let authority = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    };
    let root = CertifiedIssuer::self_signed(authority("root"), KeyPair::generate().unwrap()).unwrap();
    let middle = CertifiedIssuer::signed_by(authority("middle"), KeyPair::generate().unwrap(), &root).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &middle).unwrap();
    let files = Files { certificate: directory.path().join("chain.pem"), key: directory.path().join("key.pem") };
    let ca = directory.path().join("root.pem");
    fs::write(&files.certificate, format!("{}{}", leaf.pem(), middle.pem())).unwrap();
    fs::write(&files.key, key.serialize_pem()).unwrap();
    fs::write(&ca, root.pem()).unwrap();

    let served = serve(Gate::new().router());
    served.serving.replace(files.load().unwrap());
    // The client trusts the root alone.
    assert_eq!(shown(served.address, &ca).await.len(), 2);
}

/// A client's certificate and key, by a CA of its own, which is written into a file.
fn client_of(ca: &Path) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(ca, authority.pem()).unwrap();
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

/// Whether a client with this certificate gets an answer.
async fn is_answered(served: &Served, client: &(CertificateDer<'static>, PrivateKeyDer<'static>)) -> bool {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(client_authorities(&served.made.ca).unwrap())
        .with_client_auth_cert(vec![client.0.clone()], client.1.clone_key())
        .unwrap();
    let answered = async {
        let stream = TcpStream::connect(served.address).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
        stream.write_all(b"GET /fast HTTP/1.1\r\nhost: quorate\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.ends_with(b"fast"))
    };
    soon(answered).await.unwrap_or(false)
}

#[tokio::test]
async fn accepts_the_clients_of_the_authorities_in_a_file_as_it_is_now() {
    let directory = tempfile::tempdir().unwrap();
    let [file, other] = ["clients.pem", "other.pem"].map(|name| directory.path().join(name));
    let (first, second) = (client_of(&file), client_of(&other));
    let clients = Arc::new(Clients::new(client_authorities(&file).unwrap()).unwrap());
    let served = serve_to(Gate::new().router(), Limits::default(), Some(Arc::clone(&clients) as _));
    let health = Arc::new(Health::default());
    tokio::spawn(follow_clients(file.clone(), clients, Arc::clone(&health)));
    until("it is followed", async || health.states().get("client-ca") == Some(&State::Ok)).await;
    assert!(is_answered(&served, &first).await && !is_answered(&served, &second).await);

    fs::write(&file, "garbage").unwrap();
    until("it is reported", async || matches!(health.states()["client-ca"], State::Degraded(_))).await;
    assert!(is_answered(&served, &first).await && !is_answered(&served, &second).await);

    fs::rename(&other, &file).unwrap();
    until("it is taken up", async || is_answered(&served, &second).await).await;
    assert!(!is_answered(&served, &first).await);
    until("all is well", async || health.states()["client-ca"] == State::Ok).await;
}
