//! Helm as people use it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Result, ensure};

use super::CHART;
use crate::controlplane::ControlPlane;
use crate::controlplane::programs;
use crate::controlplane::run::Run;

/// The release, and the namespace it is in.
pub(super) const RELEASE: &str = "quorate";
pub(super) const NAMESPACE: &str = "quorate-system";

/// Helm, with or without a cluster.
pub(super) struct Helm {
    run: Arc<Run>,
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
}

impl Helm {
    /// Without a cluster: it renders.
    pub(super) fn alone() -> Self {
        let run = Run::new().unwrap();
        let program = programs::locate(&run).unwrap().join("helm");
        Self { run, program, kubeconfig: None }
    }

    /// As the cluster's administrator.
    pub(super) fn of(cluster: &ControlPlane) -> Self {
        let (run, program) = (Arc::clone(cluster.run()), cluster.program("helm"));
        Self { run, program, kubeconfig: Some(cluster.kubeconfig()) }
    }

    /// The exit code, and what it printed to stdout and stderr.
    pub(super) fn run(&self, words: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .env("HELM_CACHE_HOME", self.run.path("helm"))
            .env("HELM_CONFIG_HOME", self.run.path("helm"));
        command.env("HELM_DATA_HOME", self.run.path("helm")).current_dir(env!("CARGO_MANIFEST_DIR"));
        match &self.kubeconfig {
            Some(kubeconfig) => command.env("KUBECONFIG", kubeconfig),
            None => command.env("KUBECONFIG", "/dev/null"),
        };
        let (mut command, entry) = self.run.register("helm", &command);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let _ = fs::remove_file(entry);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// What it printed; an error unless it succeeded.
    pub(super) fn ok(&self, words: &[&str]) -> Result<String> {
        let (code, stdout, stderr) = self.run(words);
        ensure!(code == 0, "`helm {}` ended with {code}\n{stdout}{stderr}", words.join(" "));
        Ok(stdout)
    }

    /// What the chart is with these arguments (`--set …`), without its hooks.
    pub(super) fn template(&self, arguments: &[&str]) -> Result<String> {
        let words = ["template", RELEASE, CHART, "-n", NAMESPACE, "--no-hooks"];
        self.ok(&[&words, arguments].concat())
    }
}

impl Drop for Helm {
    fn drop(&mut self) {
        // One that belongs to a cluster ends with that.
        if self.kubeconfig.is_none() {
            self.run.end();
        }
    }
}
