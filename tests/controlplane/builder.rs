//! What an instance of Quorate is started with, and its start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::cluster::ControlPlane;
use super::process::Process;
use super::quorate::{Quorate, log_name};
use super::run::free_port;
use super::webhooks::{NAMESPACE, Target};

/// What an instance is started with; made by [`Quorate::builder`].
pub(crate) struct Builder<'c> {
    cluster: &'c ControlPlane,
    binary: Option<PathBuf>,
    label: Option<String>,
    policies: Vec<PathBuf>,
    inline: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    api_server: Option<String>,
    replica_of: Option<(PathBuf, Target)>,
    everywhere: bool,
    until: Until,
    budgets: bool,
    service: Option<String>,
}

/// What its start waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Until {
    Started,
    Ready,
    Registered,
}

impl<'c> Builder<'c> {
    /// The baseline policy, unless others are given, for namespaces labelled for this instance.
    pub(super) fn new(cluster: &'c ControlPlane) -> Self {
        Self {
            cluster,
            binary: None,
            label: None,
            policies: Vec::new(),
            inline: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            api_server: None,
            replica_of: None,
            everywhere: false,
            until: Until::Registered,
            budgets: false,
            service: None,
        }
    }

    /// The name of the instance (a DNS label), in place of one that counts up.
    pub(crate) fn label(mut self, label: &str) -> Self {
        self.label = Some(label.to_owned());
        self
    }

    /// A policy file or a directory of them; may be repeated. A relative path starts at the repository.
    pub(crate) fn policies(mut self, path: impl AsRef<Path>) -> Self {
        self.policies.push(Path::new(env!("CARGO_MANIFEST_DIR")).join(path));
        self
    }

    /// A policy as YAML text; may be repeated.
    pub(crate) fn policy(mut self, yaml: &str) -> Self {
        self.inline.push(yaml.to_owned());
        self
    }

    /// The program, in place of the `quorate` that Cargo built beside this one.
    pub(crate) fn binary(mut self, path: impl AsRef<Path>) -> Self {
        self.binary = Some(path.as_ref().to_owned());
        self
    }

    /// A further argument of `quorate serve`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// An environment variable of the process.
    pub(crate) fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Where it finds the API server, in place of the API server's own address: `https://` and a loopback address.
    pub(crate) fn api_server(mut self, server: &str) -> Self {
        self.api_server = Some(server.to_owned());
        self
    }

    /// As another replica of this one: not registered itself, with the same certificate, so that a [proxy](super::proxy) can be
    /// in front of both.
    pub(crate) fn replica_of(mut self, other: &Quorate<'_>) -> Self {
        self.replica_of = Some((other.directory(), other.target.clone()));
        self.unregistered()
    }

    /// Serves every namespace as the shipped configurations say, under the name `quorate`: one of these per cluster.
    pub(crate) fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self.budgets = true;
        self.label = Some("quorate".to_owned());
        self
    }

    /// With the budget controller, which looks after the whole cluster: one that governs nothing in another instance's
    /// namespaces would withdraw that one's budgets. So all that do in a cluster have the same policies.
    pub(crate) fn budgets(mut self) -> Self {
        self.budgets = true;
        self
    }

    /// Without webhook configurations: for one that another instance [switches to](Quorate::switch_to).
    pub(crate) fn unregistered(mut self) -> Self {
        self.until = Until::Ready;
        self
    }

    /// With certificates that it manages itself, as one of the replicas behind a Service. The webhook configurations that it
    /// looks after are called `quorate`, so whoever starts it makes them, and the Service.
    pub(crate) fn self_managed(mut self, service: &str) -> Self {
        self.service = Some(service.to_owned());
        self.unregistered()
    }

    /// Without webhook configurations, and its start does not wait until it is ready.
    pub(crate) fn not_awaited(mut self) -> Self {
        self.until = Until::Started;
        self
    }

    /// Starts it; returns when it is ready and the API server asks it.
    pub(crate) fn start(self) -> Result<Quorate<'c>> {
        let cluster = self.cluster;
        cluster.install()?;
        let number = cluster.instances.fetch_add(1, Ordering::Relaxed);
        let instance = self.label.clone().unwrap_or_else(|| format!("instance-{number}"));
        let directory = cluster.run().path(&format!("quorate-{instance}"));
        // Not its parents: a run that is over must not come back. A former instance may have had the same name.
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("cannot make {}", directory.display()));
            }
            _ => {}
        }

        let binary = match &self.binary {
            Some(binary) => binary.clone(),
            None => built_binary()?,
        };
        let target = self.make_target(&binary, &instance, &directory)?;
        let server = self.api_server.clone().unwrap_or_else(|| cluster.server());
        let kubeconfig = write_kubeconfig(cluster, &server, &directory)?;
        let admin_port = free_port()?;
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(&directory);
        for path in self.all_policies(&directory)? {
            command.arg("--policies").arg(path);
        }
        command
            .args(["--listen", &format!("127.0.0.1:{}", target.port)])
            .args(["--admin-listen", &format!("127.0.0.1:{admin_port}")])
            .args(match &self.service {
                Some(service) => vec!["--self-managed-tls", "--service", service],
                None => vec!["--tls-cert", "tls.pem", "--tls-key", "tls-key.pem"],
            })
            .args(["--namespace", NAMESPACE])
            .args(["--budget-controller", if self.budgets { "enabled" } else { "disabled" }])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(&self.arguments);
        // Settings of the caller's own shell are none of its business.
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("QUORATE_")) {
            command.env_remove(key);
        }
        command
            // What clients need in production tests only wait for; `--drain` overrides it.
            .env("QUORATE_DRAIN", "1s")
            .envs(self.environment.iter().map(|(key, value)| (key, value)));

        let process = Process::start(cluster.run(), &log_name(&instance), &command)?;
        let quorate = Quorate {
            cluster,
            command,
            process,
            instance,
            target,
            admin_port,
            everywhere: self.everywhere,
            registered: AtomicBool::new(false),
        };
        if self.until != Until::Started {
            quorate.wait_ready()?;
        }
        if self.until == Until::Registered {
            quorate.register()?;
        }
        Ok(quorate)
    }

    /// A Service that leads to this host, and a certificate for its name; neither where it sees to that itself.
    fn make_target(&self, binary: &Path, instance: &str, directory: &Path) -> Result<Target> {
        if let Some(service) = &self.service {
            return Ok(Target { service: service.clone(), port: free_port()?, authority: Vec::new() });
        }
        if let Some((other, target)) = &self.replica_of {
            for file in ["ca.pem", "tls.pem", "tls-key.pem"] {
                fs::copy(other.join(file), directory.join(file)).with_context(|| format!("cannot copy {file}"))?;
            }
            return Ok(Target { port: free_port()?, ..target.clone() });
        }
        let service = json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": instance, "namespace": NAMESPACE},
            "spec": {"type": "ExternalName", "externalName": "localhost"},
        });
        self.cluster.apply_all(&[service])?;
        let certs = Command::new(binary)
            .arg("certs")
            .arg("--out")
            .arg(directory)
            .args(["--service", instance, "--namespace", NAMESPACE])
            .env("HOME", self.cluster.run().directory())
            .output()
            .with_context(|| format!("cannot run {}", binary.display()))?;
        ensure!(certs.status.success(), "`quorate certs`: {}", String::from_utf8_lossy(&certs.stderr));
        let authority = fs::read(directory.join("ca.pem")).context("`quorate certs` made no ca.pem")?;
        Ok(Target { service: instance.to_owned(), port: free_port()?, authority })
    }

    fn all_policies(&self, directory: &Path) -> Result<Vec<PathBuf>> {
        let mut paths = self.policies.clone();
        for (number, policy) in self.inline.iter().enumerate() {
            let path = directory.join(format!("policy-{number}.yaml"));
            fs::write(&path, policy)?;
            paths.push(path);
        }
        if paths.is_empty() {
            paths.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("policies/baseline.yaml"));
        }
        Ok(paths)
    }
}

/// `quorate` beside this program: that is `target/<profile>/{examples,deps}/<name>`.
fn built_binary() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let binary = program.ancestors().nth(2).context("this program lies outside a target directory")?.join("quorate");
    ensure!(binary.exists(), "{} is missing: run `cargo build` first", binary.display());
    Ok(binary)
}

/// A kubeconfig with the token of Quorate's own ServiceAccount, so that a missing permission shows.
fn write_kubeconfig(cluster: &ControlPlane, server: &str, directory: &Path) -> Result<PathBuf> {
    let token = cluster.kubectl(&["create", "token", "quorate", "-n", NAMESPACE, "--duration=24h"]).ok()?;
    let server = json!({"server": server, "certificate-authority": cluster.authority()});
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": server}],
        "users": [{"name": "quorate", "user": {"token": token.trim()}}],
        "contexts": [{"name": "quorate", "context": {"cluster": "tests", "user": "quorate"}}],
        "current-context": "quorate",
    });
    let path = directory.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string())?;
    Ok(path)
}
