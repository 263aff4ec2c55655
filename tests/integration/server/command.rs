//! `quorate serve` as a process: what it says where it can't start, and how it ends.

use std::convert::Infallible;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;

use axum::body::Body;
use futures::{StreamExt as _, stream};
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use insta::{assert_snapshot, with_settings};
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::{certificates, dial, soon, text, until};

/// Runs `quorate` in a directory with development certificates; its exit code and stderr.
fn fails(arguments: &[&str]) -> String {
    let directory = tempfile::tempdir().unwrap();
    certificates(&directory.path().join("certs"));
    std::fs::write(directory.path().join("garbage.pem"), "garbage").unwrap();
    let output = quorate(directory.path()).args(arguments).output().unwrap();
    assert!(output.stdout.is_empty());
    format!("{}{}", String::from_utf8(output.stderr).unwrap(), output.status)
}

/// The command without anything of the environment, and with the repository's policies.
fn quorate(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.current_dir(directory).env_clear().env("HOME", directory);
    command.env("QUORATE_POLICIES", concat!(env!("CARGO_MANIFEST_DIR"), "/policies/baseline.yaml"));
    command
}

const PAIR: [&str; 4] = ["--tls-cert", "certs/tls.pem", "--tls-key", "certs/tls-key.pem"];

fn serve_fails(arguments: &[&str]) -> String {
    fails(&[&["serve", "--standalone"], arguments].concat())
}

#[test]
fn says_in_one_line_what_is_wrong_with_a_flag() {
    assert_snapshot!(serve_fails(&["--wat"]), @r#"
        quorate: unexpected argument '--wat' found; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--listen", "localhost"]), @r#"
        quorate: invalid value 'localhost' for '--listen <ADDR>': not an IP address and port such as [::]:8443 or 127.0.0.1:8443; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--drain", "soon"]), @r#"
        quorate: invalid value 'soon' for '--drain <TIME>': not a time such as 10s, 1m30s or 500ms; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--log", "=x="]), @r#"
        quorate: --log =x= is no filter such as info or quorate=debug,kube=warn: invalid filter directive
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--kubeconfig", "config"]), @r#"
        quorate: the argument '--standalone' cannot be used with '--kubeconfig <FILE>'; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--tls-cert", "certs/tls.pem"]), @r#"
        quorate: the following required arguments were not provided: --tls-key <FILE>; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--log-format", "xml"]), @r#"
        quorate: invalid value 'xml' for '--log-format <FORMAT>' [possible values: text, json]; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--max-connections", "0"]), @r#"
        quorate: invalid value '0' for '--max-connections <COUNT>': not a number from 16 to 65536; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--max-body", "7 MB"]), @r#"
        quorate: invalid value '7 MB' for '--max-body <SIZE>': not a size such as 512Ki, 7Mi or 1048576; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--max-body", "64Mi"]), @r#"
        quorate: --max-body-memory 100663296 is too little for one body of --max-body 67108864; give at least twice as much
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--idle-timeout", "60s"]), @r#"
        quorate: invalid value '60s' for '--idle-timeout <TIME>': must be more than 90s (the API server would send a request on a connection that closes) and at most 1h; see --help
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&["--body-timeout", "1ms"]), @r#"
        quorate: invalid value '1ms' for '--body-timeout <TIME>': must be from 100ms to 5m; see --help
        exit status: 2
        "#);
    assert_snapshot!(fails(&["serve", "--surroundings", "x"]), @r#"
        quorate: the following required arguments were not provided: --standalone; see --help
        exit status: 2
        "#);
    assert_snapshot!(fails(&["sevre"]), @r#"
        quorate: unrecognized subcommand 'sevre'; tip: a similar subcommand exists: 'serve'; see --help
        exit status: 2
        "#);
}

#[test]
fn says_in_one_line_what_is_wrong_with_a_certificate() {
    let with = |certificate, key| serve_fails(&["--tls-cert", certificate, "--tls-key", key]);
    assert_snapshot!(serve_fails(&[]), @r#"
        quorate: there is no certificate to serve with; give --tls-cert and --tls-key (`quorate certs` makes them for development)
        exit status: 2
        "#);
    assert_snapshot!(with("missing.pem", "certs/tls-key.pem"), @r#"
        quorate: cannot read missing.pem: No such file or directory (os error 2)
        exit status: 2
        "#);
    assert_snapshot!(with("certs/tls.pem", "certs"), @r#"
        quorate: cannot read certs: Is a directory (os error 21)
        exit status: 2
        "#);
    assert_snapshot!(with("garbage.pem", "certs/tls-key.pem"), @r#"
        quorate: garbage.pem holds no certificate; a block that starts with -----BEGIN CERTIFICATE----- is needed
        exit status: 2
        "#);
    assert_snapshot!(with("certs/tls.pem", "garbage.pem"), @r#"
        quorate: garbage.pem holds no private key; a block that starts with -----BEGIN PRIVATE KEY----- is needed
        exit status: 2
        "#);
    assert_snapshot!(with("certs/tls.pem", "certs/ca-key.pem"), @r#"
        quorate: the private key in certs/ca-key.pem does not belong to the certificate in certs/tls.pem
        exit status: 2
        "#);
    assert_snapshot!(serve_fails(&[&PAIR[..], &["--client-ca", "garbage.pem"]].concat()), @r#"
        quorate: garbage.pem holds no certificate; a block that starts with -----BEGIN CERTIFICATE----- is needed
        exit status: 2
        "#);
}

#[test]
fn says_in_one_line_that_a_port_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    with_settings!({filters => vec![(address.as_str(), "ADDRESS")]}, {
        assert_snapshot!(serve_fails(&[&PAIR[..], &["--listen", &address]].concat()), @r#"
        quorate: cannot listen on ADDRESS: Address already in use (os error 98)
        exit status: 2
        "#);
    });
}

#[test]
fn says_in_one_line_that_there_is_no_cluster() {
    let free = ["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    let text = fails(&[&["serve"], &PAIR[..], &free].concat());
    let (line, status) = text.split_once('\n').unwrap();
    assert!(line.starts_with("quorate: no cluster: ") && line.contains("--standalone"), "{text}");
    assert_eq!(status, "exit status: 2");
}

/// A `quorate serve --standalone` that runs.
pub(crate) struct Process {
    child: Child,
    stderr: BufReader<ChildStderr>,
    webhook: SocketAddr,
    admin: SocketAddr,
    directory: tempfile::TempDir,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        certificates(&directory.path().join("certs"));
        let mut command = quorate(directory.path());
        command.arg("serve").args(["--listen", "[::]:0"]).args(PAIR).args(arguments);
        Self::of(command, directory)
    }

    /// Starts a `quorate serve`, to which the rest is added; its certificates are in `certs` of the directory.
    pub(crate) fn of(mut command: Command, directory: tempfile::TempDir) -> Self {
        command.args(["--standalone", "--admin-listen", "127.0.0.1:0", "--log-format", "json"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        let started = loop {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "it ended before it started");
            let entry: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}"));
            if entry["message"] == "starting" {
                break entry;
            }
        };
        let address = |name: &str| started[name].as_str().unwrap().parse::<SocketAddr>().unwrap();
        let webhook = SocketAddr::from(([127, 0, 0, 1], address("webhook").port()));
        Self { child, stderr, webhook, admin: address("admin"), directory }
    }

    /// Sends a signal, named as `kill -s` does.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The status line and body of a path of the admin port.
    async fn admin(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon(stream.read_to_string(&mut text)).await.unwrap();
        text
    }

    /// Returns once it is ready.
    pub(crate) async fn until_ready(&self) {
        until("it is ready", async || self.admin("/readyz").await.starts_with("HTTP/1.1 200")).await;
    }

    /// The status line and headers of an answer of the webhook.
    async fn webhook(&self) -> String {
        let ca = self.directory.path().join("certs/ca.pem");
        let mut stream = soon(dial(self.webhook, &ca, &["http/1.1"])).await.unwrap();
        stream.write_all(b"GET /validate HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0);
        }
        String::from_utf8(answer).unwrap()
    }

    /// What the webhook answers to a review.
    pub(crate) async fn review(&self, path: &str, review: &Value) -> Value {
        let ca = self.directory.path().join("certs/ca.pem");
        let stream = soon(dial(self.webhook, &ca, &["http/1.1"])).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::post(path).header("host", "localhost").header("content-type", "application/json");
        let request = request.body(Body::from(review.to_string())).unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        serde_json::from_str(&text(response).await).unwrap()
    }

    /// The exit code, and everything that was logged since the start.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<String>) {
        let lines = self.stderr.by_ref().lines().map(Result::unwrap);
        let messages = lines
            .map(|line| serde_json::from_str::<Value>(&line).unwrap()["message"].as_str().unwrap().to_owned())
            .collect();
        (self.child.wait().unwrap().code(), messages)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// L30, L31
#[tokio::test]
async fn is_unready_at_once_after_sigterm_and_serves_until_the_drain_is_over() {
    let process = Process::start(&["--drain", "3s"]);
    process.until_ready().await;
    assert!(!process.webhook().await.contains("connection: close"));
    process.signal("TERM");
    until("it is unready", async || process.admin("/readyz").await.starts_with("HTTP/1.1 503")).await;
    assert!(process.admin("/readyz").await.contains("[-]shutdown not ready: draining"));
    assert!(process.admin("/livez").await.starts_with("HTTP/1.1 200"));
    assert!(process.webhook().await.contains("connection: close"));
    let (code, messages) = process.end();
    assert_eq!(code, Some(0));
    assert_eq!(messages.last().unwrap(), "every request was answered; bye");
}

/// L33: one request on a connection that was kept alive, one over HTTP/2; both are still being sent when the signal comes.
#[tokio::test]
async fn answers_what_is_in_flight_at_sigterm() {
    let process = Process::start(&["--drain", "1s", "--body-timeout", "1m"]);
    process.until_ready().await;
    let ca = process.directory.path().join("certs/ca.pem");
    let stream = soon(dial(process.webhook, &ca, &["http/1.1"])).await.unwrap();
    let (mut sender1, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let stream = soon(dial(process.webhook, &ca, &["h2"])).await.unwrap();
    let (mut sender2, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (whole, _) = slowly("/validate?timeout=30s");
    assert_eq!(soon(sender1.send_request(whole(true))).await.unwrap().status(), StatusCode::OK);

    let (halves, rest) = slowly("https://localhost/validate?timeout=30s");
    let answers =
        [tokio::spawn(sender1.send_request(halves(false))), tokio::spawn(sender2.send_request(halves(false)))]
            .map(soon);
    until("both have come", async || process.admin("/metrics").await.contains("quorate_http_connections 2")).await;
    process.signal("TERM");
    until("nobody else is let in", async || dial(process.webhook, &ca, &[]).await.is_err()).await;
    rest.add_permits(2);
    for answer in answers {
        let response = answer.await.unwrap().unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert!(text(response).await.contains("7e6f3c1c"));
    }
    assert_eq!(process.end().1.last().unwrap(), "every request was answered; bye");
}

/// Makes requests whose body comes in two halves, the second once there is a permit, or at once.
fn slowly(uri: &'static str) -> (impl Fn(bool) -> Request<Body>, Arc<Semaphore>) {
    let permits = Arc::new(Semaphore::new(0));
    let rest = Arc::clone(&permits);
    let make = move |at_once: bool| {
        let (first, second) = {
            let review = super::requests::review(1_000);
            let (first, second) = review.split_at(500);
            (first.to_vec(), second.to_vec())
        };
        let permits = Arc::clone(&permits);
        let second = async move {
            if !at_once {
                permits.acquire().await.unwrap().forget();
            }
            Ok(second)
        };
        let body = stream::once(async { Ok::<_, Infallible>(first) }).chain(stream::once(second));
        let request = Request::post(uri).header("host", "localhost").header("content-type", "application/json");
        request.body(Body::from_stream(body)).unwrap()
    };
    (make, rest)
}

/// The StatefulSet of `tests/fixtures/database.yaml`, as far as the shipped policies look at it.
fn database(replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "database", "namespace": "default"},
        "spec": {
            "serviceName": "database",
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "database"}},
            "template": {
                "metadata": {"labels": {"app": "database"}},
                "spec": {"containers": [{"name": "database", "image": "database.example/server:1"}]},
            },
        },
    })
}

/// The review of its creation.
pub(crate) fn creation(replicas: u32) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "7e6f3c1c",
            "operation": "CREATE",
            "namespace": "default",
            "name": "database",
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "userInfo": {"username": "ada"},
            "object": database(replicas),
        },
    })
}

/// The verdict of a served webhook on a StatefulSet with this many replicas, whose Service is among the surroundings.
#[rstest]
#[case(1, false)]
#[case(3, true)]
#[tokio::test]
async fn answers_reviews_with_manifests_for_surroundings(#[case] replicas: u32, #[case] allowed: bool) {
    let surroundings = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/database.yaml");
    let process = Process::start(&["--surroundings", surroundings, "--drain", "0s"]);
    process.until_ready().await;
    let answer = process.review("/validate?timeout=3s", &creation(replicas)).await;
    assert_eq!(answer["response"]["uid"], "7e6f3c1c");
    assert_eq!(answer["response"]["allowed"], allowed, "{answer:#}");
    process.signal("INT");
    assert_eq!(process.end().0, Some(0));
}

/// A webhook that waited until its log is read would hold up the cluster's writes whenever a node's disk is full.
#[tokio::test]
async fn answers_while_nobody_reads_its_log() {
    let process = Process::start(&["--log", "trace", "--drain", "0s"]);
    process.until_ready().await;
    // Far more than the pipe and the queue hold.
    until("lines are lost", async || {
        let answer = process.review("/validate?timeout=3s", &creation(3)).await;
        assert_eq!(answer["response"]["uid"], "7e6f3c1c");
        !process.admin("/metrics").await.contains("quorate_log_lines_lost_total 0")
    })
    .await;
    process.review("/validate?timeout=3s", &creation(3)).await;
    process.signal("INT");
    assert_eq!(process.end().0, Some(0));
}

#[tokio::test]
async fn ends_at_once_after_an_interrupt_where_nobody_is_connected() {
    let process = Process::start(&["--drain", "1h"]);
    process.until_ready().await;
    process.signal("INT");
    assert_eq!(process.end().0, Some(0));
}

#[tokio::test]
async fn ends_at_once_after_a_second_signal() {
    let process = Process::start(&["--drain", "1h"]);
    process.until_ready().await;
    process.signal("TERM");
    until("it drains", async || process.admin("/readyz").await.starts_with("HTTP/1.1 503")).await;
    process.signal("TERM");
    assert_eq!(process.end().0, Some(1));
}

#[tokio::test]
async fn says_nothing_but_that_it_starts_serves_and_ends() {
    let process = Process::start(&[]);
    process.until_ready().await;
    process.signal("INT");
    let (_, messages) = process.end();
    let expected =
        ["serving TLS", "draining; a second signal ends at once", "stopping", "every request was answered; bye"];
    assert_eq!(messages, expected);
}
