//! A real control plane on loopback ports: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, and kwok in the
//! kubelets' stead.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::process::Process;
use super::programs;
use super::run::{Run, free_port};
use super::wait::wait_for;

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

/// A running control plane. Its end is the end of its [`Run`].
pub(crate) struct ControlPlane {
    run: Arc<Run>,
    programs: PathBuf,
    port: u16,
    processes: Vec<Process>,
    pub(super) nodes: AtomicUsize,
    pub(super) volumes: AtomicUsize,
    pub(super) instances: AtomicUsize,
    pub(super) installed: Mutex<bool>,
    namespaces: AtomicUsize,
}

impl ControlPlane {
    /// Starts a control plane without nodes in a run of its own.
    pub(crate) fn start() -> Result<Self> {
        Self::start_in(&Run::new()?)
    }

    /// Starts a control plane without nodes; returns when it works.
    pub(crate) fn start_in(run: &Arc<Run>) -> Result<Self> {
        let mut cluster = Self {
            run: Arc::clone(run),
            programs: programs::locate(run)?,
            port: free_port()?,
            processes: Vec::new(),
            nodes: AtomicUsize::new(0),
            volumes: AtomicUsize::new(0),
            instances: AtomicUsize::new(0),
            installed: Mutex::new(false),
            namespaces: AtomicUsize::new(0),
        };
        let started = cluster.start_all();
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
        let log = fs::read_to_string(self.run.path("logs/audit.log")).unwrap_or_default();
        let mut found = Vec::new();
        // The last line may not be whole yet.
        for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let event: Value = serde_json::from_str(line).context("the audit log is not JSON")?;
            let object = &event["objectRef"];
            if object["resource"] == resource && object["namespace"] == namespace && object["name"] == name {
                found.push(event);
            }
        }
        Ok(found)
    }

    fn start_all(&mut self) -> Result<()> {
        self.write_secrets()?;
        self.start_storage_and_api()?;
        wait_for("the API server", || match self.check() {
            Ok(()) => self.kubectl(&["get", "--raw", "/readyz", "--request-timeout=5s"]).ok().map(drop),
            // Nothing to wait for any more.
            Err(_) => Ok(()),
        })?;
        self.check()?;
        self.start_controllers()?;
        self.apply(include_str!("cluster.yaml"))?;
        Ok(())
    }

    /// Tokens, kubeconfig, and the key that signs ServiceAccounts' tokens.
    fn write_secrets(&self) -> Result<()> {
        let (mut tokens, mut contexts, mut users) = (Vec::new(), Vec::new(), Vec::new());
        for (context, user, group) in USERS {
            let token = random();
            tokens.push(format!("{token},{user},{context},\"{group}\""));
            contexts.push(json!({"name": context, "context": {"cluster": "tests", "user": context}}));
            users.push(json!({"name": context, "user": {"token": token}}));
        }
        let cluster = json!({"server": self.server(), "certificate-authority": self.authority()});
        let kubeconfig = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "tests", "cluster": cluster}],
            "contexts": contexts,
            "users": users,
            "current-context": "admin",
        });
        let key = rcgen::KeyPair::generate()?;
        fs::write(self.run.path("tokens.csv"), tokens.join("\n"))?;
        fs::write(self.run.path("service-accounts.key"), key.serialize_pem())?;
        fs::write(self.run.path("service-accounts.pub"), key.public_key_pem())?;
        fs::write(self.run.path("stages.yaml"), include_str!("stages.yaml"))?;
        fs::write(self.run.path("audit-policy.yaml"), include_str!("audit-policy.yaml"))?;
        fs::write(self.kubeconfig(), kubeconfig.to_string())?;
        for context in ["controller-manager", "scheduler"] {
            let mut own = kubeconfig.clone();
            own["current-context"] = json!(context);
            fs::write(self.run.path(&format!("{context}.kubeconfig")), own.to_string())?;
        }
        Ok(())
    }

    fn start_storage_and_api(&mut self) -> Result<()> {
        let etcd = format!("http://127.0.0.1:{}", free_port()?);
        let peer = format!("http://127.0.0.1:{}", free_port()?);
        self.spawn(
            "etcd",
            &[
                "--data-dir=etcd",
                "--unsafe-no-fsync",
                "--log-level=warn",
                &format!("--listen-client-urls={etcd}"),
                &format!("--advertise-client-urls={etcd}"),
                &format!("--listen-peer-urls={peer}"),
                &format!("--initial-advertise-peer-urls={peer}"),
                &format!("--initial-cluster=default={peer}"),
            ],
        )?;
        let server = self.server();
        self.spawn(
            "kube-apiserver",
            &[
                &format!("--etcd-servers={etcd}"),
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                &format!("--secure-port={}", self.port),
                "--cert-dir=certificates",
                "--token-auth-file=tokens.csv",
                "--authorization-mode=RBAC",
                "--service-cluster-ip-range=10.96.0.0/16",
                &format!("--service-account-issuer={server}"),
                "--service-account-key-file=service-accounts.pub",
                "--service-account-signing-key-file=service-accounts.key",
                "--audit-policy-file=audit-policy.yaml",
                "--audit-log-path=logs/audit.log",
                // Tests ask for more at once than people do, and watch nothing that outlives them.
                "--max-requests-inflight=1000",
                "--max-mutating-requests-inflight=1000",
            ],
        )
    }

    fn start_controllers(&mut self) -> Result<()> {
        let authority = self.authority();
        self.spawn(
            "kube-controller-manager",
            &[
                "--kubeconfig=controller-manager.kubeconfig",
                "--secure-port=0",
                "--leader-elect=false",
                // Each controller under its own name, as in production: webhooks tell them apart by it.
                "--use-service-account-credentials=true",
                "--service-account-private-key-file=service-accounts.key",
                &format!("--root-ca-file={}", authority.display()),
                "--horizontal-pod-autoscaler-sync-period=2s",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )?;
        self.spawn(
            "kube-scheduler",
            &[
                "--kubeconfig=scheduler.kubeconfig",
                "--secure-port=0",
                "--leader-elect=false",
                "--kube-api-qps=200",
                "--kube-api-burst=400",
            ],
        )?;
        let port = free_port()?;
        self.spawn(
            "kwok",
            &[
                "--kubeconfig=kubeconfig",
                "--config=stages.yaml",
                "--manage-all-nodes=true",
                "--node-lease-duration-seconds=40",
                &format!("--server-address=127.0.0.1:{port}"),
                &format!("--node-port={port}"),
            ],
        )
    }

    fn spawn(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.program(name));
        command.args(arguments);
        self.processes.push(Process::start(&self.run, name, &command)?);
        Ok(())
    }
}

/// 128 bits that nobody can guess, in hexadecimal.
fn random() -> String {
    let half = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", half(), half())
}
