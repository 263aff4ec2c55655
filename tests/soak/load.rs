//! Clients that ask: as fast as they can, or at a constant rate.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_rustls::TlsConnector;

use crate::controlplane::Quorate;
use crate::reviews::review;

/// How many connections are kept alive.
const CONNECTIONS: usize = 16;

/// How long the maximum is measured, after as long a time to get warm.
const MEASURED: Duration = Duration::from_secs(10);

/// One request in so many is about what has to be denied, for which something is read live.
const DENIED: usize = 500;

/// So many requests go over a connection before a new one is made, as when the API server's own are replaced.
const PER_CONNECTION: usize = 5_000;

/// The webhook's port, as its clients know it.
pub(crate) struct Target {
    address: SocketAddr,
    connector: TlsConnector,
    good: Bytes,
    bad: Bytes,
}

/// What came of the requests.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    answered: AtomicUsize,
    errors: Mutex<Vec<String>>,
}

impl Counts {
    pub(crate) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    pub(crate) fn errors(&self) -> MutexGuard<'_, Vec<String>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, result: Result<()>) -> bool {
        match result {
            Ok(()) => {
                self.answered.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(error) => {
                self.errors().push(format!("{error:#}"));
                false
            }
        }
    }
}

impl Target {
    pub(crate) fn of(quorate: &Quorate<'_>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(&fs::read(quorate.directory().join("ca.pem"))?)?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            address: SocketAddr::from(([127, 0, 0, 1], quorate.port())),
            connector: TlsConnector::from(Arc::new(config)),
            good: review("good", 3).into(),
            bad: review("bad", 1).into(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the caches hold what is around the StatefulSet.
    pub(crate) async fn until_known(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let mut connection = self.connect().await?;
            let answer = self.ask(&mut connection, 1).await;
            match answer {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>> {
        let stream = TcpStream::connect(self.address).await.context("can't connect")?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(ServerName::try_from("localhost")?, stream).await.context("no TLS")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender)
    }

    /// One request, of which the number decides what it is; an error where the answer is another one than it should be.
    async fn ask(&self, connection: &mut SendRequest<Body>, number: usize) -> Result<()> {
        let is_good = !number.is_multiple_of(DENIED);
        let path = if is_good && number.is_multiple_of(2) { "/mutate?timeout=3s" } else { "/validate?timeout=3s" };
        let body = if is_good { &self.good } else { &self.bad };
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
        connection.ready().await.context("the connection is closed")?;
        let response = connection.send_request(request.body(Body::from(body.clone()))?).await.context("no answer")?;
        let status = response.status();
        let body = response.into_body().collect().await.context("half an answer")?.to_bytes();
        ensure!(status == 200, "{path} answers {status}: {}", String::from_utf8_lossy(&body));
        let answer: Value = serde_json::from_slice(&body).context("no JSON")?;
        let response = &answer["response"];
        match path {
            _ if response["uid"] != if is_good { "good" } else { "bad" } => bail!("another's answer: {answer}"),
            _ if is_good && response["allowed"] != true => bail!("denied: {answer}"),
            "/mutate?timeout=3s" if response["patch"].is_null() => bail!("unmutated: {answer}"),
            "/validate?timeout=3s" if is_good && !response["warnings"].to_string().contains("pending injection") => {
                bail!("not judged: {answer}")
            }
            // What can't be read live is admitted with a warning.
            _ if !is_good && response["allowed"] == true && response["warnings"].is_null() => {
                bail!("admitted in silence: {answer}")
            }
            _ => Ok(()),
        }
    }
}

/// How many requests per second are answered if there is always another one.
pub(crate) async fn maximum(target: &Arc<Target>) -> Result<f64> {
    let mut rate = 0.0;
    for _ in 0..2 {
        let counts = Arc::new(Counts::default());
        let started = Instant::now();
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (target, counts) = (Arc::clone(target), Arc::clone(&counts));
                tokio::spawn(async move { client(&target, number, None, started + MEASURED, &counts).await })
            })
            .collect();
        for client in clients {
            client.await?;
        }
        if let Some(error) = counts.errors().first() {
            bail!("even without any fault: {error}");
        }
        #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
        let answered = counts.answered() as f64;
        rate = answered / started.elapsed().as_secs_f64();
    }
    Ok(rate)
}

/// Asks at this rate, whether answers come late or not, until the time is over.
pub(crate) fn constant(target: &Arc<Target>, rate: f64, until: Instant, counts: &Arc<Counts>) -> Vec<JoinHandle<()>> {
    #[expect(clippy::cast_precision_loss, reason = "it is a small constant")]
    let period = Duration::from_secs_f64(CONNECTIONS as f64 / rate);
    let start = |number| {
        let (target, counts) = (Arc::clone(target), Arc::clone(counts));
        tokio::spawn(async move { client(&target, number, Some(period), until, &counts).await })
    };
    (0..CONNECTIONS).map(start).collect()
}

async fn client(target: &Target, first: usize, period: Option<Duration>, until: Instant, counts: &Counts) {
    let mut pace = period.map(interval);
    if let Some(pace) = &mut pace {
        // A late answer does not make the load any smaller.
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    }
    let mut connection = None;
    // Each client begins elsewhere, so that not all are denied at once.
    let mut number = first * 31;
    while Instant::now() < until {
        if let Some(pace) = &mut pace {
            pace.tick().await;
        }
        number += 1;
        let result = async {
            if connection.is_none() || number.is_multiple_of(PER_CONNECTION) {
                connection = Some(target.connect().await?);
            }
            let connection = connection.as_mut().context("no connection")?;
            target.ask(connection, number).await
        };
        if !counts.count(result.await) {
            connection = None;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}
