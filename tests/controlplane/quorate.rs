//! Quorate as a process on this host, in front of the API server: installed from its own manifests, with its own
//! ServiceAccount's rights.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use super::cluster::ControlPlane;
use super::process::Process;
use super::wait::wait_for;
use super::webhooks::{INSTANCE, NAMESPACE, Target, configurations};

/// What an instance is started with; made by [`Quorate::builder`].
pub(crate) struct Builder<'c> {
    cluster: &'c ControlPlane,
    binary: Option<PathBuf>,
    label: Option<String>,
    policies: Vec<PathBuf>,
    inline: Vec<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    everywhere: bool,
    registered: bool,
}

/// A running instance. Dropping it deletes its webhook configurations, then ends its process.
pub(crate) struct Quorate<'c> {
    cluster: &'c ControlPlane,
    command: Command,
    process: Process,
    instance: String,
    target: Target,
    admin_port: u16,
    everywhere: bool,
    registered: AtomicBool,
}

impl<'c> Builder<'c> {
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

    /// Serves every namespace as the shipped configurations say, under the name `quorate`: one of these per cluster.
    pub(crate) fn everywhere(mut self) -> Self {
        self.everywhere = true;
        self.label = Some("quorate".to_owned());
        self
    }

    /// Without webhook configurations: for one that another instance [switches to](Quorate::switch_to).
    pub(crate) fn unregistered(mut self) -> Self {
        self.registered = false;
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
        let kubeconfig = write_kubeconfig(cluster, &directory)?;
        let admin_port = super::run::free_port()?;
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(&directory);
        for path in self.all_policies(&directory)? {
            command.arg("--policies").arg(path);
        }
        command
            .args(["--listen", &format!("127.0.0.1:{}", target.port)])
            .args(["--admin-listen", &format!("127.0.0.1:{admin_port}")])
            .args(["--tls-cert", "tls.crt", "--tls-key", "tls.key"])
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
        quorate.wait_ready()?;
        if self.registered {
            quorate.register()?;
        }
        Ok(quorate)
    }

    /// A Service that leads to this host, and a certificate for its name.
    fn make_target(&self, binary: &Path, instance: &str, directory: &Path) -> Result<Target> {
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
        let authority = fs::read(directory.join("ca.crt")).context("`quorate certs` made no ca.crt")?;
        Ok(Target { service: instance.to_owned(), port: super::run::free_port()?, authority })
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

impl<'c> Quorate<'c> {
    /// An instance in front of this cluster, with the baseline policy unless others are given.
    pub(crate) fn builder(cluster: &'c ControlPlane) -> Builder<'c> {
        Builder {
            cluster,
            binary: None,
            label: None,
            policies: Vec::new(),
            inline: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            everywhere: false,
            registered: true,
        }
    }

    /// Makes a namespace whose objects are sent to this instance; returns its name.
    pub(crate) fn namespace(&self, prefix: &str, labels: &[(&str, &str)]) -> Result<String> {
        let labels: Vec<_> = labels.iter().copied().chain([(INSTANCE, self.instance.as_str())]).collect();
        self.cluster.namespace(prefix, &labels)
    }

    /// The name of the instance: of its Service, and in those of its webhook configurations.
    pub(crate) fn instance(&self) -> &str {
        &self.instance
    }

    /// The port of the webhook.
    pub(crate) fn port(&self) -> u16 {
        self.target.port
    }

    /// The port of `/livez`, `/readyz` and `/metrics`.
    pub(crate) fn admin_port(&self) -> u16 {
        self.admin_port
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Its process, for signals and the exit status.
    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    /// The directory it runs in, with its certificate and the policies given as text (`policy-0.yaml`, …).
    pub(crate) fn directory(&self) -> PathBuf {
        self.cluster.run().path(&format!("quorate-{}", self.instance))
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// What `/metrics` says.
    pub(crate) fn metrics(&self) -> Result<String> {
        let (status, body) = self.admin("/metrics")?;
        ensure!(status == 200, "/metrics answers {status}: {body}");
        Ok(body)
    }

    /// Asks the admin port; returns the status and the body.
    pub(crate) fn admin(&self, path: &str) -> Result<(u16, String)> {
        http_get(self.admin_port, path).with_context(|| format!("cannot ask the admin port for {path}"))
    }

    /// Ends the process as Kubernetes does and starts it anew on the same ports; returns when it is ready.
    pub(crate) fn restart(&mut self) -> Result<ExitStatus> {
        let status = self.process.end()?;
        self.start_again()?;
        Ok(status)
    }

    /// Starts the process anew after [`Quorate::kill`] or [`Quorate::terminate`]; returns when it is ready.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        ensure!(self.process.exit_status()?.is_some(), "it is still running");
        self.process = Process::start(self.cluster.run(), &log_name(&self.instance), &self.command)?;
        self.wait_ready()
    }

    /// Ends the process with SIGKILL; its webhook configurations stay.
    pub(crate) fn kill(&self) -> Result<ExitStatus> {
        self.process.kill()
    }

    /// Ends the process with SIGTERM; its webhook configurations stay. Returns when it has ended.
    pub(crate) fn terminate(&self) -> Result<ExitStatus> {
        self.process.end()
    }

    /// Applies its webhook configurations and returns when the API server asks it: again after
    /// [`Quorate::switch_to`] or [`Quorate::unregister`].
    pub(crate) fn register(&self) -> Result<()> {
        self.point_webhooks_at(&self.target)
    }

    /// Sends what this instance's namespaces hold to another instance from now on.
    pub(crate) fn switch_to(&self, other: &Quorate<'_>) -> Result<()> {
        self.point_webhooks_at(&other.target)
    }

    /// Deletes its webhook configurations and returns when the API server no longer asks it.
    pub(crate) fn unregister(&self) -> Result<()> {
        self.delete_webhooks()?;
        self.cluster.settle_webhooks()
    }

    /// Deletes its webhook configurations, then ends the process with SIGTERM; returns how that ended.
    pub(crate) fn stop(self) -> Result<ExitStatus> {
        self.unregister()?;
        self.process.end()
    }

    fn point_webhooks_at(&self, target: &Target) -> Result<()> {
        self.registered.store(true, Ordering::Relaxed);
        self.cluster.apply_all(&configurations(target, self.scope())?)?;
        self.cluster.settle_webhooks()
    }

    fn delete_webhooks(&self) -> Result<()> {
        if self.registered.swap(false, Ordering::Relaxed) {
            for configuration in configurations(&self.target, self.scope())? {
                let (Some(kind), Some(name)) =
                    (configuration["kind"].as_str(), configuration["metadata"]["name"].as_str())
                else {
                    bail!("a webhook configuration without a name: {configuration}");
                };
                self.cluster.kubectl(&["delete", "--ignore-not-found", kind, name]).ok()?;
            }
        }
        Ok(())
    }

    fn scope(&self) -> Option<&str> {
        (!self.everywhere).then_some(self.instance.as_str())
    }

    fn wait_ready(&self) -> Result<()> {
        let ready = wait_for("Quorate to become ready", || {
            if self.process.exit_status()?.is_some() {
                // Nothing to wait for any more; the process itself is looked at below.
                return Ok(());
            }
            let (status, body) = http_get(self.admin_port, "/readyz?verbose")?;
            ensure!(status == 200, "/readyz answers {status}: {body}");
            Ok(())
        });
        self.process.check()?;
        ready.with_context(|| format!("its log is {}", self.process.log_file().display()))
    }
}

impl Drop for Quorate<'_> {
    fn drop(&mut self) {
        // The keeper ends the process, and the webhook configurations go with the cluster.
        if self.cluster.run().is_over() {
            return;
        }
        let ended = self.delete_webhooks().and_then(|()| self.process.end());
        if let Err(error) = ended {
            eprintln!("controlplane: instance {} of Quorate could not be ended: {error:#}", self.instance);
        }
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
fn write_kubeconfig(cluster: &ControlPlane, directory: &Path) -> Result<PathBuf> {
    let token = cluster.kubectl(&["create", "token", "quorate", "-n", NAMESPACE, "--duration=24h"]).ok()?;
    let server = json!({"server": cluster.server(), "certificate-authority": cluster.authority()});
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

fn log_name(instance: &str) -> String {
    format!("quorate-{instance}")
}

/// Plain HTTP/1.0, in which the answer ends with the connection.
fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    let status = head.split(' ').nth(1).context("no status line")?;
    Ok((status.parse()?, body.to_owned()))
}
