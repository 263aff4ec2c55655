//! A real Prometheus on a loopback port, which scrapes an instance of Quorate and evaluates the shipped alert rules.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::{observed, repository, tool};
use crate::controlplane::process::Process;
use crate::controlplane::quorate::http_get;
use crate::controlplane::run::free_port;
use crate::controlplane::{shared, wait_for};

/// A running Prometheus. Ended with the run, if not by [`Prometheus::end`].
pub(super) struct Prometheus {
    process: Process,
    port: u16,
}

impl Prometheus {
    /// Starts one that scrapes [`observed`] each second, as if it were a replica in a pod.
    pub(super) fn start() -> Result<Self> {
        let run = shared().run();
        let directory = run.path("prometheus");
        fs::create_dir(&directory)?;
        let port = free_port()?;
        let target = json!({
            "targets": [format!("127.0.0.1:{}", observed().admin_port())],
            "labels": {"namespace": "quorate-system"},
        });
        let configuration = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [repository().join("deploy/helm/quorate/files/alerts.yaml")],
            "scrape_configs": [{"job_name": "quorate", "static_configs": [target]}],
        });
        fs::write(directory.join("prometheus.yml"), configuration.to_string())?;
        let mut command = Command::new(tool("prometheus"));
        command
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
            .current_dir(&directory);
        let prometheus = Self { process: Process::start(run, "prometheus", &command)?, port };
        wait_for("Prometheus to become ready", || {
            prometheus.process.check()?;
            let (status, body) = http_get(port, "/-/ready")?;
            ensure!(status == 200, "{body}");
            Ok(())
        })?;
        Ok(prometheus)
    }

    /// What an expression yields now.
    pub(super) fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let data = self.get(&format!("/api/v1/query?query={}", encoded(expression)))?;
        data["result"].as_array().cloned().with_context(|| format!("no vector: {data}"))
    }

    /// The values that a label has in the series of a selector.
    pub(super) fn label_values(&self, label: &str, selector: &str) -> Result<Vec<Value>> {
        let data = self.get(&format!("/api/v1/label/{label}/values?match[]={}", encoded(selector)))?;
        data.as_array().cloned().with_context(|| format!("no values: {data}"))
    }

    /// The rules as they were last evaluated.
    pub(super) fn rules(&self) -> Result<Vec<Value>> {
        let data = self.get("/api/v1/rules")?;
        let groups = data["groups"].as_array().context("no groups")?;
        Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
    }

    /// Ends it; returns when it has ended.
    pub(super) fn end(self) -> Result<()> {
        self.process.end().map(drop)
    }

    fn get(&self, path: &str) -> Result<Value> {
        let (_, body) = http_get(self.port, path)?;
        let mut answer: Value = serde_json::from_str(&body).with_context(|| body.clone())?;
        ensure!(answer["status"] == "success", "{path}: {body}");
        Ok(answer["data"].take())
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02x}");
        encoded
    })
}
