//! A real control plane on loopback ports: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and kwok in the
//! kubelets' stead.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::process::Process;
use super::programs;
use super::run::{Run, free_port};

/// Who talks to the API server: the context's name, the user name, and the groups.
///
/// `gitops` is what Flux and Argo CD are to it, a ServiceAccount. The last two are the control plane's own.
pub(crate) const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    ("platform", "platform", "platform-admins"),
    ("developer", "developer", "developers"),
    ("gitops", "system:serviceaccount:gitops-system:gitops", "system:serviceaccounts"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
];

/// What the user names of Quorate's ServiceAccounts begin with.
pub(crate) const QUORATE: &str = "system:serviceaccount:quorate-system:quorate";

/// A running control plane. Its end is the end of its [`Run`].
pub(crate) struct ControlPlane {
    pub(super) run: Arc<Run>,
    pub(super) programs: PathBuf,
    pub(super) port: u16,
    pub(super) processes: Vec<Process>,
    pub(super) commands: Vec<Command>,
    pub(super) nodes: AtomicUsize,
    pub(super) volumes: AtomicUsize,
    pub(super) instances: AtomicUsize,
    pub(super) installed: Mutex<bool>,
    pub(super) namespaces: AtomicUsize,
}

impl ControlPlane {
    /// Starts a control plane without nodes in a run of its own.
    pub(crate) fn start() -> Result<Self> {
        Self::start_in(&Run::new()?)
    }

    /// Starts a control plane without nodes; returns when it works.
    pub(crate) fn start_in(run: &Arc<Run>) -> Result<Self> {
        Self::start_by(run, Self::start_all)
    }

    /// Starts etcd and an API server that keeps no audit log: nobody makes pods of StatefulSets, or anything else that a
    /// measurement did not ask for.
    pub(crate) fn start_bare() -> Result<Self> {
        Self::start_by(&Run::new()?, Self::start_api)
    }

    fn start_by(run: &Arc<Run>, start: impl FnOnce(&mut Self) -> Result<()>) -> Result<Self> {
        let mut cluster = Self {
            run: Arc::clone(run),
            programs: programs::locate(run)?,
            port: free_port()?,
            processes: Vec::new(),
            commands: Vec::new(),
            nodes: AtomicUsize::new(0),
            volumes: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            installed: Mutex::new(false),
            namespaces: AtomicUsize::new(0),
        };
        let started = start(&mut cluster);
        if started.is_err() {
            let logs = run.keep_logs();
            return started
                .map(|()| cluster)
                .with_context(|| format!("the control plane does not start; its logs are kept in {}", logs.display()));
        }
        Ok(cluster)
    }

    /// The run it belongs to.
    pub(crate) fn run(&self) -> &Arc<Run> {
        &self.run
    }

    /// One of the programs that belong to it, by name.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The directory of these programs.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// A kubeconfig with a context for each of [`USERS`]; the current one is `admin`.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.run.path("kubeconfig")
    }

    /// The API server's address.
    pub(crate) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The authority of the API server's certificate, PEM.
    pub(crate) fn authority(&self) -> PathBuf {
        self.run.path("certificates/apiserver.crt")
    }

    /// One of its processes, by the program's name.
    pub(crate) fn process(&self, name: &str) -> Option<&Process> {
        self.processes.iter().find(|process| process.name() == name)
    }

    /// Starts one of its programs anew, as it was started before; its process has ended.
    pub(crate) fn start_again(&self, name: &str) -> Result<Process> {
        let at = self.processes.iter().position(|process| process.name() == name);
        let command = at.and_then(|at| self.commands.get(at)).with_context(|| format!("there is no {name}"))?;
        Process::start(&self.run, name, command)
    }

    /// An error, if one of its processes has ended.
    pub(crate) fn check(&self) -> Result<()> {
        self.processes.iter().try_for_each(Process::check)
    }

    /// A client of the API server, as `admin`. Belongs to the tokio runtime it is made in.
    pub(crate) async fn client(&self) -> Result<kube::Client> {
        // Whoever comes second finds it installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let kubeconfig = kube::config::Kubeconfig::read_from(self.kubeconfig())?;
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Makes a namespace of its own for a test, with these labels; returns its name.
    pub(crate) fn namespace(&self, prefix: &str, labels: &[(&str, &str)]) -> Result<String> {
        let name = format!("{prefix}-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        self.kubectl(&["create", "-f", "-"]).stdin(&namespace.to_string()).ok()?;
        Ok(name)
    }

    /// What the API server's audit log says of requests about an object (`statefulsets`, …), oldest first: `audit.k8s.io/v1` Events.
    ///
    /// An event is written when its request has been answered, so the newest may be a moment away.
    pub(crate) fn audit(&self, resource: &str, namespace: &str, name: &str) -> Result<Vec<Value>> {
        let mut events = self.audit_log()?;
        events.retain(|event| {
            let object = &event["objectRef"];
            let by_quorate = event["user"]["username"].as_str().is_some_and(|user| user.starts_with(QUORATE));
            object["resource"] == resource && object["namespace"] == namespace && object["name"] == name && !by_quorate
        });
        Ok(events)
    }

    /// The API server's whole audit log: requests that Quorate may have reviewed, and those of its own ServiceAccounts.
    pub(crate) fn audit_log(&self) -> Result<Vec<Value>> {
        let log = fs::read_to_string(self.run.path("logs/audit.log")).unwrap_or_default();
        let mut found = Vec::new();
        // The last line may not be whole yet.
        for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            found.push(serde_json::from_str(line).context("the audit log is not JSON")?);
        }
        Ok(found)
    }
}
