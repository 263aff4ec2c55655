//! What is made of the flags: everything that can fail does so here, before anything is served.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow};
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tracing::{info, warn};

use super::Args;
use crate::admission::Admission;
use crate::certs::{Files, Serving, client_authorities, follow};
use crate::cluster::{Cluster, Objects, Source, Target, connect};
use crate::policy::PolicySet;
use crate::server::{Connections, Limits, Port, Probe, Shutdown, admin, dial_self, listen, supervise, tls, webhook};
use crate::telemetry::{Health, Metrics, State};

/// The parts, ready to run.
pub(super) struct Wiring {
    pub(super) webhook: Port,
    pub(super) admin: Port,
    pub(super) shutdown: Shutdown,
    pub(super) connections: Connections,
    pub(super) health: Arc<Health>,
}

impl Wiring {
    /// Reads files, binds sockets, and starts what runs in the background.
    pub(super) async fn start(args: &Args) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let health = Arc::new(Health::default());
        let shutdown = Shutdown::default();
        let limits = Limits::default();
        let connections = Connections::new(limits.connections);
        let background = Background { metrics: Arc::clone(&metrics), health: Arc::clone(&health) };

        health.set("shutdown", State::Ok);
        health.set("tls", State::NotReady("not listening yet".to_owned()));
        let policies = background.policies(args)?;
        let files = certificate_files(args)?;
        let serving = background.certificates(&files)?;
        let clients = args.client_ca.as_deref().map(client_authorities).transpose()?;
        let tls = tls::config(Arc::clone(&serving) as _, clients)?;
        let webhook = bind(args.listen)?;
        let admin = bind(args.admin_listen)?;
        let source = background.source(args).await?;
        let admission = Arc::new(Admission::new(policies, source, Arc::clone(&metrics)));

        let address = webhook.local_addr()?;
        let probe = Probe { address, serving, connections: connections.clone(), shutdown: shutdown.clone() };
        background.run("self_dial", move |_, health| dial_self(probe.clone(), health));
        let context = webhook::Context { admission, metrics: Arc::clone(&metrics), limits };
        let webhook = Port {
            listener: webhook,
            tls: Some(tls),
            router: webhook::router(context),
            limits,
            connections: connections.clone(),
            shutdown: shutdown.clone(),
            metrics: Arc::clone(&metrics),
        };
        let context = admin::Context { health: Arc::clone(&health), metrics: Arc::clone(&metrics) };
        // Scraped and probed until the process ends: its shutdown never comes.
        let admin = Port {
            listener: admin,
            tls: None,
            router: admin::router(context),
            limits,
            connections: Connections::new(limits.connections),
            shutdown: Shutdown::default(),
            metrics,
        };
        Ok(Self { webhook, admin, shutdown, connections, health })
    }
}

/// Runs tasks beside the webhook until the process ends.
struct Background {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Background {
    fn run<F>(&self, name: &'static str, start: impl Fn(Arc<Metrics>, Arc<Health>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (metrics, health) = (Arc::clone(&self.metrics), Arc::clone(&self.health));
        let start = {
            let (metrics, health) = (Arc::clone(&metrics), Arc::clone(&health));
            move || start(Arc::clone(&metrics), Arc::clone(&health))
        };
        tokio::spawn(supervise(name, metrics, health, start));
    }

    /// Loads the serving certificate and keeps it as its files are.
    fn certificates(&self, files: &Files) -> anyhow::Result<Arc<Serving>> {
        let pair = files.load()?;
        if let Some(objection) = pair.objection(SystemTime::now()) {
            warn!(file = %files.certificate.display(), "{objection}");
        }
        let serving = Arc::new(Serving::new(pair));
        let (files, followed) = (files.clone(), Arc::clone(&serving));
        self.run("certificate", move |metrics, health| follow(files.clone(), Arc::clone(&followed), metrics, health));
        Ok(serving)
    }
}

impl Background {
    /// Reads the policies and keeps them as their files are.
    ///
    /// To be merged: `files::policies::read(&args.policies)?`, and `files::watch::watch(paths, policies, own, metrics, health)`
    /// under `self.run("policies", …)`.
    #[allow(clippy::unnecessary_wraps, clippy::unused_self, reason = "reading will fail, and watching will need self")]
    fn policies(&self, args: &Args) -> anyhow::Result<Arc<ArcSwap<PolicySet>>> {
        let policies = PolicySet::new(Vec::new());
        let policies = match own_namespace(args) {
            Some(namespace) => policies.without_own_namespace(&namespace),
            None => policies,
        };
        info!(
            policies = policies.all().iter().map(|policy| policy.name.as_str()).collect::<Vec<_>>().join(", "),
            "loaded"
        );
        Ok(Arc::new(ArcSwap::from_pointee(policies)))
    }

    /// Connects to the cluster and keeps its caches; without one, what manifests say stands for it.
    ///
    /// To be merged: `files::manifests::surroundings(&files::manifests::read(&args.surroundings)?, "default")?`.
    async fn source(&self, args: &Args) -> anyhow::Result<Source> {
        if args.standalone {
            return Ok(Source::Objects(Objects::default()));
        }
        let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
        let cluster = Cluster::new(connect(&target).await?, &self.health);
        let followed = cluster.clone();
        self.run("cluster", move |_, health| followed.clone().follow(health));
        Ok(Source::Cluster(cluster))
    }
}

/// The Namespace that Quorate runs in: as the flag says, or where the pod's ServiceAccount is.
fn own_namespace(args: &Args) -> Option<String> {
    const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let mounted = || std::fs::read_to_string(Path::new(MOUNTED)).ok().map(|name| name.trim().to_owned());
    args.namespace.clone().or_else(mounted).filter(|name| !name.is_empty())
}

fn certificate_files(args: &Args) -> anyhow::Result<Files> {
    let files = args.tls_cert.clone().zip(args.tls_key.clone());
    let (certificate, key) = files.ok_or_else(|| {
        anyhow!("there is no certificate to serve with; give --tls-cert and --tls-key (`quorate certs` makes a pair for development)")
    })?;
    Ok(Files { certificate, key })
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("cannot listen on {address}"))
}
