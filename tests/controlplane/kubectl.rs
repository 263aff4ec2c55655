//! kubectl as people use it: arguments in, what it prints out.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::cluster::ControlPlane;
use super::run::Run;

/// A call of kubectl that has not been made yet.
pub(crate) struct Kubectl<'c> {
    run: &'c Run,
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
    pub(crate) fn kubectl(&self, words: &[&str]) -> Kubectl<'_> {
        let mut command = Command::new(self.program("kubectl"));
        command
            .env("KUBECONFIG", self.kubeconfig())
            // The caller's own settings and cache are none of the run's business.
            .env("KUBECACHEDIR", self.run().path("kubectl-cache"))
            .env_remove("KUBERC")
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        let words = words.iter().map(|&word| word.to_owned()).collect();
        Kubectl { run: self.run(), command, words, stdin: None }
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

impl Kubectl<'_> {
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
        let stdin = self.stdin.take();
        let words = std::mem::take(&mut self.words);
        self.command.args(&words);
        let (mut command, entry) = self.run.register("kubectl", &self.command);
        let mut child = command
            .stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        // Written aside: kubectl may print before it has read all.
        let writer = child.stdin.take().zip(stdin).map(|(mut pipe, text)| {
            // kubectl that does not want to read any further says why itself.
            std::thread::spawn(move || drop(pipe.write_all(text.as_bytes())))
        });
        let output = child.wait_with_output()?;
        let _ = fs::remove_file(entry);
        if let Some(writer) = writer {
            let _ = writer.join();
        }
        Ok(Output {
            words,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Shows each line of what kubectl prints to `is_last` until that says so, and then ends it.
    pub(crate) fn watch(mut self, mut is_last: impl FnMut(&str) -> bool) -> Result<()> {
        self.command.args(&self.words);
        let (mut command, entry) = self.run.register("kubectl", &self.command);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start kubectl")?;
        let output = child.stdout.take().context("kubectl has no output")?;
        let found = BufReader::new(output).lines().any(|line| line.is_ok_and(|line| is_last(&line)));
        child.kill()?;
        let _ = fs::remove_file(entry);
        child.wait()?;
        ensure!(found, "`kubectl {}` ended before what was waited for", self.words.join(" "));
        Ok(())
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
