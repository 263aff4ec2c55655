//! Clients of the webhook, each of which counts its requests and writes down what went wrong.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use axum::body::Body;
use futures::StreamExt as _;
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::PostParams;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::{is_injected, statefulset};
use crate::controlplane::ControlPlane;
use crate::server::{soon, text};

/// A breath between requests, so that replicas and control plane have a share of the machine too.
const PAUSE: Duration = Duration::from_millis(20);

/// What clients have done and seen so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    enough: AtomicBool,
    pub(super) reconnecting: AtomicUsize,
    pub(super) keeping: AtomicUsize,
    pub(super) creating: AtomicUsize,
    failed: Mutex<Vec<String>>,
}

/// Clients at work.
pub(super) struct Clients {
    pub(super) seen: Arc<Seen>,
    tasks: Vec<JoinHandle<()>>,
}

impl Clients {
    /// One that connects for each request, one on each replica that keeps its connection, and two that have the API server create
    /// StatefulSets (dry runs: both webhooks are asked all the same).
    pub(super) async fn start(cluster: &ControlPlane, namespace: &str, balanced: u16, ports: &[u16]) -> Self {
        let client = cluster.client().await.unwrap();
        let trusted = follow_bundle(client.clone()).await;
        let seen = Arc::new(Seen::default());
        let mut tasks = vec![tokio::spawn(reconnect(balanced, Arc::clone(&trusted), Arc::clone(&seen)))];
        for port in ports {
            let connection = dial(*port, &trusted.load()).await.unwrap();
            tasks.push(tokio::spawn(keep(connection, Arc::clone(&seen))));
        }
        for number in 0..2 {
            tasks.push(tokio::spawn(create(client.clone(), namespace.to_owned(), number, Arc::clone(&seen))));
        }
        Self { seen, tasks }
    }

    /// Ends them; everything that went wrong.
    pub(super) async fn end(self) -> Vec<String> {
        self.seen.enough.store(true, Ordering::SeqCst);
        for task in self.tasks {
            soon(task).await.unwrap();
        }
        std::mem::take(&mut *self.seen.failed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seen {
    fn count(&self, counter: &AtomicUsize, result: Result<()>) {
        counter.fetch_add(1, Ordering::SeqCst);
        if let Err(error) = result {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("at {now}: {error:#}"));
        }
    }

    fn is_enough(&self) -> bool {
        self.enough.load(Ordering::SeqCst)
    }
}

/// `caBundle` as it is at each moment, by a watch, which is how the API server has it.
async fn follow_bundle(client: Client) -> Arc<ArcSwap<Vec<u8>>> {
    let bundle = Arc::new(ArcSwap::from_pointee(Vec::new()));
    let followed = Arc::clone(&bundle);
    let mut objects =
        watch_object(Api::<ValidatingWebhookConfiguration>::all(client), "quorate").default_backoff().boxed();
    tokio::spawn(async move {
        while let Some(object) = objects.next().await {
            let webhook = object.ok().flatten().and_then(|object| object.webhooks?.into_iter().next());
            if let Some(webhook) = webhook {
                followed.store(Arc::new(webhook.client_config.ca_bundle.unwrap_or_default().0));
            }
        }
    });
    soon(async {
        while bundle.load().is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    })
    .await;
    bundle
}

/// A connection to the webhook, whose certificate is verified as the API server does it.
async fn dial(port: u16, bundle: &[u8]) -> Result<SendRequest<Body>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from("quorate.quorate-system.svc")?;
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.context("TLS")?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(sender: &mut SendRequest<Body>) -> Result<()> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7e6f3c1c",
            "operation": "CREATE",
            "namespace": "default",
            "name": "db",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "ada"},
            "object": statefulset("db", 3),
        },
    });
    sender.ready().await?;
    let request = Request::post("/validate?timeout=10s").header("host", "quorate.quorate-system.svc");
    let request = request.header("content-type", "application/json").body(Body::from(review.to_string()))?;
    let answer = sender.send_request(request).await?;
    ensure!(answer.status() == 200, "{}", answer.status());
    let answer: Value = serde_json::from_str(&text(answer).await)?;
    ensure!(answer["response"]["allowed"] == true, "{answer}");
    Ok(())
}

async fn reconnect(port: u16, trusted: Arc<ArcSwap<Vec<u8>>>, seen: Arc<Seen>) {
    while !seen.is_enough() {
        let bundle = trusted.load_full();
        let asked = async { ask(&mut dial(port, &bundle).await?).await };
        let result = soon(asked).await.context("the client that reconnects");
        seen.count(&seen.reconnecting, result);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn keep(mut connection: SendRequest<Body>, seen: Arc<Seen>) {
    while !seen.is_enough() {
        let result = soon(ask(&mut connection)).await.context("a client that keeps its connection");
        seen.count(&seen.keeping, result);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn create(client: Client, namespace: String, number: usize, seen: Arc<Seen>) {
    let statefulsets: Api<StatefulSet> = Api::namespaced(client, &namespace);
    let parameters = PostParams { dry_run: true, ..PostParams::default() };
    for count in 0.. {
        if seen.is_enough() {
            return;
        }
        let object = serde_json::from_value(statefulset(&format!("db-{number}-{count}"), 3)).unwrap();
        let made = soon(statefulsets.create(&parameters, &object)).await;
        let result = made.context("the API server").and_then(|made| {
            ensure!(is_injected(&serde_json::to_value(made)?), "the API server: it is not injected");
            Ok(())
        });
        seen.count(&seen.creating, result);
        tokio::time::sleep(PAUSE).await;
    }
}
