//! What is made of the flags. Everything that can fail does so in [`Parts::gather`], before anything runs or is logged, so
//! that a failure is one line.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context as _, anyhow, ensure};
use arc_swap::ArcSwap;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::{info, warn};

use super::Args;
use super::args::Switch;
use super::background::Background;
use crate::admission::Admission;
use crate::certs::managed::{Managed, keep};
use crate::certs::{Clients, Files, Serving, client_authorities, follow, follow_clients};
use crate::cluster::{Cluster, Kind, Objects, Source, Target, register};
use crate::controller::{Controller, Lease};
use crate::files;
use crate::policy::PolicySet;
use crate::server::{Connections, Limits, Phase, Port, Probe, Shutdown, admin, dial_self, listen, tls, webhook};
use crate::telemetry::{Health, State};

/// What the flags name, read, bound and reached.
pub(super) struct Parts {
    policies: Arc<ArcSwap<PolicySet>>,
    certificates: Certificates,
    serving: Arc<Serving>,
    clients: Option<Arc<Clients>>,
    tls: Arc<ServerConfig>,
    webhook: TcpListener,
    admin: TcpListener,
    cluster: Option<Cluster>,
    surroundings: Objects,
    limits: Limits,
}

/// Where the certificate comes from.
enum Certificates {
    Files(Files),
    Managed(Managed),
}

/// What serves, ready to run.
pub(super) struct Server {
    pub(super) webhook: Port,
    pub(super) admin: Port,
    pub(super) shutdown: Shutdown,
    pub(super) connections: Connections,
    /// Whether no budgets are looked after any more; closed where they never were.
    pub(super) budgets_left: watch::Receiver<bool>,
}

impl Parts {
    /// Reads files, binds sockets, finds the cluster, whose API server may be away for now.
    pub(super) async fn gather(args: &Args, health: &Health) -> anyhow::Result<Self> {
        let limits = args.limits.limits()?;
        let policies = Arc::new(ArcSwap::from_pointee(policies(args)?));
        let files = certificate_files(args)?;
        let serving =
            Arc::new(files.as_ref().map_or_else(|| Ok(Serving::default()), |it| it.load().map(Serving::new))?);
        let clients = args.client_ca.as_deref().map(clients).transpose()?;
        let tls = tls::config(Arc::clone(&serving) as _, clients.clone().map(|clients| clients as _))?;
        let surroundings = surroundings(args)?;
        let (webhook, admin) = (bind(args.listen)?, bind(args.admin_listen)?);
        let cluster = cluster(args, health).await?;
        let certificates = match (files, &cluster) {
            (Some(files), _) => Certificates::Files(files),
            (None, Some(cluster)) => Certificates::Managed(managed(args, cluster)?),
            (None, None) => return Err(no_certificate()),
        };
        Ok(Self { policies, certificates, serving, clients, tls, webhook, admin, cluster, surroundings, limits })
    }

    /// Says what will be served.
    pub(super) fn report(&self) -> anyhow::Result<()> {
        let policies = self.policies.load();
        let names: Vec<_> = policies.all().iter().map(|policy| policy.name.as_str()).collect();
        info!(
            version = env!("CARGO_PKG_VERSION"),
            webhook = %self.webhook.local_addr()?,
            admin = %self.admin.local_addr()?,
            policies = names.join(", "),
            cluster = self.cluster.is_some(),
            "starting"
        );
        let objection = self.serving.pair().and_then(|pair| pair.objection(SystemTime::now()));
        if let (Some(objection), Certificates::Files(files)) = (objection, &self.certificates) {
            warn!(file = %files.certificate.display(), "{objection}");
        }
        Ok(())
    }

    /// Starts what runs in the background, and puts together what serves.
    pub(super) fn assemble(self, args: &Args, background: &Background) -> anyhow::Result<Server> {
        let Self { policies, certificates, serving, clients, tls, webhook, admin, cluster, surroundings, limits } =
            self;
        let Background { metrics, health } = background;
        let shutdown = Shutdown::default();
        let connections = Connections::new(limits.connections);
        health.set("shutdown", State::Ok);
        health.set("tls", State::NotReady("not dialled yet".to_owned()));

        metrics.policies_loaded(policies.load().all().len());
        follow_policies(args, Arc::clone(&policies), background);
        let budgets_left = look_after_budgets(args, cluster.as_ref(), &policies, &shutdown, background);
        let source = follow_cluster(cluster, surroundings, background);
        let address = webhook.local_addr()?;
        let probe = Probe {
            address,
            serving: Arc::clone(&serving),
            connections: connections.clone(),
            shutdown: shutdown.clone(),
        };
        follow_certificates(certificates, serving, background);
        if let Some((file, clients)) = args.client_ca.clone().zip(clients) {
            background.run("client_ca", move |_, health| follow_clients(file.clone(), Arc::clone(&clients), health));
        }
        background.run("self_dial", move |_, health| dial_self(probe.clone(), health));

        let admission = Arc::new(Admission::new(policies, source, Arc::clone(metrics)));
        let routes = webhook::router(webhook::Context {
            admission: Arc::clone(&admission),
            metrics: Arc::clone(metrics),
            limits,
        });
        let webhook = Port {
            listener: webhook,
            tls: Some(tls),
            nodelay: args.tcp_nodelay,
            router: routes,
            limits,
            connections: connections.clone(),
            shutdown: shutdown.clone(),
            metrics: Arc::clone(metrics),
        };
        let shown = admin::Context {
            health: Arc::clone(health),
            metrics: Arc::clone(metrics),
            connections: connections.clone(),
            admission,
        };
        // Probed and scraped until the process ends: its own shutdown never comes.
        let admin = Port {
            listener: admin,
            tls: None,
            nodelay: true,
            router: admin::router(shown),
            limits: Limits::admin(),
            connections: Connections::new(Limits::admin().connections),
            shutdown: Shutdown::default(),
            metrics: Arc::clone(metrics),
        };
        Ok(Server { webhook, admin, shutdown, connections, budgets_left })
    }
}

fn policies(args: &Args) -> anyhow::Result<PolicySet> {
    let policies = files::policies::read(&args.policies.policies)?;
    Ok(match own_namespace(args) {
        Some(namespace) => policies.without_own_namespace(&namespace),
        None => policies,
    })
}

/// What the manifests say that there is.
fn surroundings(args: &Args) -> anyhow::Result<Objects> {
    const NAMESPACE: &str = "default";
    Ok(files::manifests::surroundings(&files::manifests::read(&args.surroundings)?, NAMESPACE)?)
}

async fn cluster(args: &Args, health: &Health) -> anyhow::Result<Option<Cluster>> {
    if args.standalone {
        return Ok(None);
    }
    let target = Target { kubeconfig: args.kubeconfig.clone(), context: args.context.clone() };
    Ok(Some(Cluster::new(&target, health, args.limits.cache_memory()).await?))
}

fn follow_policies(args: &Args, policies: Arc<ArcSwap<PolicySet>>, background: &Background) {
    let (paths, own_namespace) = (args.policies.policies.clone(), own_namespace(args));
    background.run("policies", move |metrics, health| {
        files::watch::watch(paths.clone(), Arc::clone(&policies), own_namespace.clone(), metrics, health)
    });
}

/// Runs the budget controller, which goes as soon as this process drains: another replica then takes over.
fn look_after_budgets(
    args: &Args,
    cluster: Option<&Cluster>,
    policies: &Arc<ArcSwap<PolicySet>>,
    shutdown: &Shutdown,
    background: &Background,
) -> watch::Receiver<bool> {
    const LEASE: &str = "quorate";
    let (left, budgets_left) = watch::channel(false);
    let Some(cluster) = cluster.filter(|_| args.budget_controller == Switch::Enabled).cloned() else {
        return budgets_left;
    };
    background.metrics.leads_budgets(false);
    let namespace = own_namespace(args).unwrap_or_else(|| cluster.client().default_namespace().to_owned());
    let controller = Arc::new(Controller {
        cluster,
        policies: Arc::clone(policies),
        lease: Lease { namespace, name: LEASE.to_owned() },
        metrics: Arc::clone(&background.metrics),
        health: Arc::clone(&background.health),
    });
    let shutdown = shutdown.clone();
    background.run("budgets", move |_, _| {
        let (controller, shutdown, left) = (Arc::clone(&controller), shutdown.clone(), left.clone());
        async move {
            controller.run(shutdown.reached(Phase::Draining)).await;
            left.send_replace(true);
            // Supervised tasks that end are started again.
            std::future::pending::<()>().await;
        }
    });
    budgets_left
}

fn follow_cluster(cluster: Option<Cluster>, surroundings: Objects, background: &Background) -> Source {
    let Some(cluster) = cluster else { return Source::Objects(surroundings) };
    for kind in Kind::ALL {
        let followed = cluster.clone();
        background.run(kind.part(), move |_, health| followed.clone().follow(kind, health));
    }
    let asking = cluster.client().clone();
    background.run("registration", move |_, health| register(asking.clone(), health));
    Source::Cluster(cluster)
}

/// The Namespace that Quorate runs in: as the flag says, or where the pod's ServiceAccount is.
fn own_namespace(args: &Args) -> Option<String> {
    const MOUNTED: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
    let mounted = || std::fs::read_to_string(Path::new(MOUNTED)).ok().map(|name| name.trim().to_owned());
    args.namespace.clone().or_else(mounted).filter(|name| !name.is_empty())
}

fn certificate_files(args: &Args) -> anyhow::Result<Option<Files>> {
    match args.tls_cert.clone().zip(args.tls_key.clone()) {
        Some((certificate, key)) => Ok(Some(Files { certificate, key })),
        None if args.standalone => Err(no_certificate()),
        None => Ok(None),
    }
}

fn clients(file: &Path) -> anyhow::Result<Arc<Clients>> {
    Ok(Arc::new(Clients::new(client_authorities(file)?)?))
}

fn no_certificate() -> anyhow::Error {
    anyhow!(
        "there is no certificate to serve with; give --tls-cert and --tls-key \
         (`quorate certs` makes them for development)"
    )
}

fn managed(args: &Args, cluster: &Cluster) -> anyhow::Result<Managed> {
    let namespace = own_namespace(args).context(
        "a certificate of its own making goes into Secrets of the Namespace that Quorate runs in, which isn't known: give \
         --namespace, or --tls-cert and --tls-key",
    )?;
    ensure!(
        args.certificate_validity <= args.ca_validity,
        "--certificate-validity is longer than --ca-validity: a certificate is worth nothing without its CA"
    );
    Ok(Managed {
        client: cluster.client().clone(),
        namespace,
        service: args.service.clone(),
        ca_validity: args.ca_validity,
        certificate_validity: args.certificate_validity,
    })
}

fn follow_certificates(certificates: Certificates, serving: Arc<Serving>, background: &Background) {
    match certificates {
        Certificates::Files(files) => background
            .run("certificate", move |metrics, health| follow(files.clone(), Arc::clone(&serving), metrics, health)),
        Certificates::Managed(managed) => {
            background.health.set("certificate", State::NotReady("there is none yet".to_owned()));
            background.run("certificate", move |metrics, health| {
                keep(managed.clone(), Arc::clone(&serving), metrics, health)
            });
        }
    }
}

fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    listen(address).with_context(|| format!("cannot listen on {address}"))
}
