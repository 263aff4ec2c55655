//! Quorate as a process on this host, in front of the API server: installed from its own manifests, with its own
//! ServiceAccount's rights.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::builder::Builder;
use super::cluster::ControlPlane;
use super::process::Process;
use super::wait::wait_for;
use super::webhooks::{INSTANCE, Target, configurations};

/// A running instance. Dropping it deletes its webhook configurations, then ends its process.
pub(crate) struct Quorate<'c> {
    pub(super) cluster: &'c ControlPlane,
    pub(super) command: Command,
    pub(super) process: Process,
    pub(super) instance: String,
    pub(super) target: Target,
    pub(super) admin_port: u16,
    pub(super) everywhere: bool,
    pub(super) registered: AtomicBool,
}

impl<'c> Quorate<'c> {
    /// An instance in front of this cluster, with the baseline policy unless others are given.
    pub(crate) fn builder(cluster: &'c ControlPlane) -> Builder<'c> {
        Builder::new(cluster)
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
        self.start_unawaited()?;
        self.wait_ready()
    }

    /// The same, but returns at once.
    pub(crate) fn start_unawaited(&mut self) -> Result<()> {
        ensure!(self.process.exit_status()?.is_some(), "it is still running");
        self.process = Process::start(self.cluster.run(), &log_name(&self.instance), &self.command)?;
        Ok(())
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

    /// The same, by way of a proxy in front of it that listens on this port.
    pub(crate) fn register_behind(&self, port: u16) -> Result<()> {
        self.point_webhooks_at(&Target { port, ..self.target.clone() })
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

    /// Returns when it is ready.
    pub(crate) fn wait_ready(&self) -> Result<()> {
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

/// The name of its process and log.
pub(super) fn log_name(instance: &str) -> String {
    format!("quorate-{instance}")
}

/// The status and the body. Plain HTTP/1.0, in which the answer ends with the connection.
pub(crate) fn http_get(port: u16, path: &str) -> Result<(u16, String)> {
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
