//! kubectl as people use it: arguments in, what it prints out.

use std::fmt;
use std::io::Write;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::cluster::ControlPlane;

/// A call of kubectl that has not been made yet.
pub(crate) struct Kubectl {
    command: Command,
    words: Vec<String>,
    stdin: Option<String>,
}

/// What kubectl said.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    /// The arguments, for messages.
    pub(crate) words: Vec<String>,
    /// Its exit code; -1 where a signal ended it.
    pub(crate) code: i32,
    /// Results.
    pub(crate) stdout: String,
    /// Errors and warnings: denials and the warnings of webhooks are here.
    pub(crate) stderr: String,
}

impl ControlPlane {
    /// kubectl with these arguments, as `admin`.
    pub(crate) fn kubectl(&self, words: &[&str]) -> Kubectl {
        let mut command = Command::new(self.program("kubectl"));
        command
            .env("HOME", self.run().directory())
            .env("KUBECONFIG", self.kubeconfig())
            // Without a cache directory of its own it would write to the caller's.
            .env("KUBECACHEDIR", self.run().path("kubectl-cache"))
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Kubectl { command, words, stdin: None }
    }

    /// Applies manifests, as `admin`.
    pub(crate) fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl(&["apply", "-f", "-"]).stdin(manifests).ok()
    }

    /// An object as JSON.
    pub(crate) fn object(&self, namespace: &str, kind: &str, name: &str) -> Result<Value> {
        self.kubectl(&["get", kind, name, "-n", namespace, "-o", "json"]).json()
    }
}

impl Kubectl {
    /// Makes the call as one of the users of [`super::cluster::USERS`].
    #[expect(clippy::wrong_self_convention, reason = "it reads as what it does: kubectl as a user")]
    pub(crate) fn as_user(mut self, user: &str) -> Self {
        self.words.push(format!("--context={user}"));
        self
    }

    /// Makes the call in a namespace.
    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        self.words.push(format!("--namespace={namespace}"));
        self
    }

    /// Gives it something to read: a manifest for `-f -`.
    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = Some(text.to_owned());
        self
    }

    /// Makes the call, whatever comes of it; an error only if kubectl could not be run.
    pub(crate) fn run(mut self) -> Result<Output> {
        let mut child = self
            .command
            .args(&self.words)
            .stdin(if self.stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        // Written aside: kubectl may print before it has read all.
        let writer = child.stdin.take().zip(self.stdin).map(|(mut pipe, text)| {
            // kubectl that does not want to read any further says why itself.
            std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())))
        });
        let output = child.wait_with_output()?;
        if let Some(writer) = writer {
            let _ = writer.join();
        }
        Ok(Output {
            words: self.words,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Starts the call with its output on a pipe, for what goes on until somebody ends it.
    pub(crate) fn spawn(mut self) -> Result<Child> {
        let command = self.command.args(&self.words).stdin(Stdio::null()).stdout(Stdio::piped());
        command.spawn().context("cannot start kubectl")
    }

    /// Makes the call and returns what it printed; an error unless it succeeded.
    pub(crate) fn ok(self) -> Result<String> {
        let output = self.run()?;
        if output.code != 0 {
            bail!("{output}");
        }
        Ok(output.stdout)
    }

    /// Makes the call and returns what it printed as JSON.
    pub(crate) fn json(self) -> Result<Value> {
        let stdout = self.ok()?;
        serde_json::from_str(&stdout).with_context(|| format!("kubectl printed no JSON but: {stdout}"))
    }
}

impl Output {
    /// Whether it succeeded.
    pub(crate) fn success(&self) -> bool {
        self.code == 0
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`kubectl {}` ended with {}", self.words.join(" "), self.code)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n{name}: {}", text.trim_end())?;
            }
        }
        Ok(())
    }
}
