//! Hostile bodies and files, before a `quorate serve --standalone` that runs as a process.
//!
//! Whatever is sent, the answer is an AdmissionReview with the request's own uid or an HTTP 4xx, the process lives, and its memory
//! stays bounded.

mod bodies;
mod bombs;
mod cluster;
mod files;
mod words;

use std::fs::{File, read_to_string};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use quorate::certs::development;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{dial, soon};

/// Policies that look at everything, and admit what they can't judge.
const POLICIES: &str = r"
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: everything }
spec:
  validate:
    headlessService: { action: Deny }
    replicas: { action: Deny, minimum: 3, even: Warn }
    persistentStorage: { action: Warn }
    readinessProbe: { action: Deny }
    updateStrategy: { action: Deny }
    terminationGracePeriod: { action: Deny, minimumSeconds: 10 }
    podDisruptionBudget: { action: Deny }
    spread: { action: Warn }
  mutate:
    podAntiAffinity:
      - { topologyKey: kubernetes.io/hostname, mode: Required }
      - { topologyKey: topology.kubernetes.io/zone, mode: Preferred }
    topologySpreadConstraints:
      - { topologyKey: example.com/rack, maxSkew: 1, whenUnsatisfiable: DoNotSchedule }
  podDisruptionBudget: { maxUnavailable: Quorum }
  exemptions: { requireReason: true, maxDays: 90, groups: [platform-admins] }
";

/// `quorate` without anything of the environment.
fn quorate(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.current_dir(directory).env_clear().env("HOME", directory);
    command
}

/// A `quorate serve --standalone` that runs.
struct Served {
    child: Child,
    webhook: SocketAddr,
    directory: TempDir,
    sender: Option<http1::SendRequest<Body>>,
}

impl Served {
    /// Serves with [`POLICIES`], logging in this format.
    async fn start(format: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("policies")).unwrap();
        std::fs::write(directory.path().join("policies/everything.yaml"), POLICIES).unwrap();
        Self::start_in(directory, format).await
    }

    /// Serves with the policies in `policies/` of a directory.
    async fn start_in(directory: TempDir, format: &str) -> Self {
        development::make(&development::Request {
            directory: directory.path().join("certs"),
            service: "quorate".to_owned(),
            namespace: "quorate-system".to_owned(),
            names: Vec::new(),
            days: 30,
            force: false,
        })
        .unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let child = quorate(directory.path())
            .args(["serve", "--standalone", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--tls-cert", "certs/tls.pem", "--tls-key", "certs/tls-key.pem", "--log-format", format])
            .stderr(log)
            .spawn()
            .unwrap();
        let mut served = Self { child, webhook: SocketAddr::from(([127, 0, 0, 1], 0)), directory, sender: None };
        let serving = served.until_logged("serving TLS").await;
        assert!(serving.contains("starting"), "{serving}");
        let port = serving.split("webhook").nth(1).unwrap().split("127.0.0.1:").nth(1).unwrap();
        let port: String = port.chars().take_while(char::is_ascii_digit).collect();
        served.webhook.set_port(port.parse().unwrap());
        served
    }

    /// What was logged, once it contains `words`.
    async fn until_logged(&mut self, words: &str) -> String {
        soon(async {
            loop {
                let log = self.log();
                if log.contains(words) {
                    return log;
                }
                assert!(self.child.try_wait().unwrap().is_none(), "it ended: {log}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }

    fn log(&self) -> String {
        read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// The status and body that are answered to a body.
    async fn post(&mut self, path: &str, body: impl Into<Body>) -> (StatusCode, Vec<u8>) {
        let mut sender = match self.sender.take().filter(http1::SendRequest::is_ready) {
            Some(sender) => sender,
            None => self.dial().await,
        };
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
        let response = soon(sender.send_request(request.body(body.into()).unwrap())).await.unwrap();
        let status = response.status();
        let bytes = soon(response.into_body().collect()).await.unwrap().to_bytes().to_vec();
        self.sender = Some(sender);
        assert!(self.child.try_wait().unwrap().is_none(), "it ended: {}", self.log());
        (status, bytes)
    }

    async fn dial(&self) -> http1::SendRequest<Body> {
        let ca = self.directory.path().join("certs/ca.pem");
        let stream = soon(dial(self.webhook, &ca, &["http/1.1"])).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// What both webhooks answer to a body that has a uid.
    async fn review(&mut self, body: &str) -> [Value; 2] {
        let mut answers = [Value::Null, Value::Null];
        for (path, answer) in ["/validate", "/mutate"].into_iter().zip(&mut answers) {
            let (status, bytes) = self.post(path, body.to_owned()).await;
            assert_eq!(status, StatusCode::OK, "{path}: {}", String::from_utf8_lossy(&bytes));
            *answer = serde_json::from_slice(&bytes).unwrap();
            assert_is_sound(answer, bytes.len());
        }
        answers
    }

    /// The most memory that the process ever had, in KiB.
    #[cfg(target_os = "linux")]
    fn peak_memory(&self) -> u64 {
        let status = read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const UID: &str = "0b4f0d4e-hostile";

/// What the API server demands of every answer, and what whoever reads it may expect: lines that are lines, and not too many.
fn assert_is_sound(answer: &Value, bytes: usize) {
    let response = &answer["response"];
    assert_eq!(response["uid"], UID);
    assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
    assert_eq!(answer["kind"], "AdmissionReview");
    assert!(response["allowed"].is_boolean());
    assert!(response["patch"].is_string() || bytes < 256 << 10, "an answer of {bytes} bytes");
    let status = &response["status"];
    let mut texts: Vec<&str> = status["message"].as_str().into_iter().flat_map(|text| text.split('\n')).collect();
    texts.extend(status["details"]["name"].as_str());
    texts.extend(response["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str));
    for cause in status["details"]["causes"].as_array().into_iter().flatten() {
        texts.extend([cause["message"].as_str(), cause["field"].as_str()].into_iter().flatten());
    }
    for text in texts {
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 8 << 10, "{} bytes: {text}", text.len());
    }
}

/// A StatefulSet that every policy is content with, but for its volumes.
fn statefulset() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "shop", "labels": {"app": "db"}},
        "spec": {
            "replicas": 3,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "db.example/server:1"}]}
            }
        }
    })
}

/// The request to create an object, or to update an old one to it.
fn request(object: &Value, old: Option<&Value>) -> Value {
    json!({
        "uid": UID,
        "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
        "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
        "operation": if old.is_some() { "UPDATE" } else { "CREATE" },
        "namespace": "shop",
        "name": "db",
        "userInfo": {"username": "developer", "groups": ["system:authenticated"]},
        "object": object,
        "oldObject": old,
    })
}

fn review(request: &Value) -> String {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).to_string()
}

/// The review of an object in which `"HERE"` is replaced by bytes that needn't be JSON.
fn review_with(request: &Value, here: &str) -> String {
    review(request).replacen(r#""HERE""#, here, 1)
}
