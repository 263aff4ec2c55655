//! The two other processes: Quorate, and who attacks it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use quorate::certs::development;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::attack::Scenario;

/// `quorate serve --standalone`.
pub(crate) struct Quorate {
    child: Child,
    /// Kept, so that it can go on talking.
    _stderr: Lines<BufReader<ChildStderr>>,
    directory: TempDir,
    pub(crate) webhook: SocketAddr,
    admin: SocketAddr,
}

impl Quorate {
    pub(crate) async fn start(program: &Path, flags: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let request = development::Request {
            directory: directory.path().to_owned(),
            service: "quorate".to_owned(),
            namespace: "quorate-system".to_owned(),
            names: Vec::new(),
            days: 30,
            force: false,
        };
        let made = development::make(&request).unwrap();
        let mut child = with_files(program, &["serve", "--standalone", "--log-format", "json"])
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--drain", "0s"])
            .args(["--policies", "policies/baseline.yaml", "--surroundings", "tests/fixtures/database.yaml"])
            .arg("--tls-cert")
            .arg(made.serving.certificate)
            .arg("--tls-key")
            .arg(made.serving.key)
            .args(flags)
            .env("QUORATE_LOG", "info,quorate::admission=warn,quorate::server::port=error")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it with cargo build --release", program.display()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = loop {
            let line = stderr.next_line().await.unwrap().expect("it ended before it started");
            let entry: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|_| panic!("Quorate says: {line}"));
            if entry["message"] == "starting" {
                break entry;
            }
        };
        let address = |name: &str| started[name].as_str().unwrap().parse().unwrap();
        Self { child, _stderr: stderr, webhook: address("webhook"), admin: address("admin"), directory }
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Looks at what the process takes until it is told to stop.
    pub(crate) fn watch(&self) -> Watch {
        let (stop, mut stopped) = oneshot::channel();
        let pid = self.child.id().unwrap();
        let task = tokio::spawn(async move {
            let mut peak = Taken::now(pid);
            while timeout(Duration::from_millis(50), &mut stopped).await.is_err() {
                peak = peak.max(Taken::now(pid));
            }
            peak
        });
        Watch { stop, task }
    }

    pub(crate) async fn until_quiet(&self) {
        while !self.metrics().await.lines().any(|line| {
            line.strip_prefix("quorate_http_connections ")
                .is_some_and(|count| count.parse().is_ok_and(|count: u32| count < 20))
        }) {
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// How many were rejected, and why.
    pub(crate) async fn rejected(&self) -> String {
        let metrics = self.metrics().await;
        let counts = metrics.lines().filter_map(|line| {
            let (reason, count) = line.strip_prefix("quorate_http_rejected_total{reason=\"")?.split_once("\"} ")?;
            (count != "0").then(|| format!("{reason} {count}"))
        });
        counts.collect::<Vec<_>>().join(", ")
    }

    async fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }
}

/// What a process takes of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Resident memory in KiB.
    pub(crate) resident: u64,
    pub(crate) files: usize,
}

impl Taken {
    fn now(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("Quorate is gone");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.split_whitespace().next().unwrap().parse().unwrap();
        Self { resident, files: fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count) }
    }

    fn max(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), files: self.files.max(other.files) }
    }
}

pub(crate) struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Taken>,
}

impl Watch {
    pub(crate) async fn end(self) -> Taken {
        let _ = self.stop.send(());
        self.task.await.unwrap()
    }
}

/// This program again, as the one who attacks.
pub(crate) struct Attack {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Attack {
    pub(crate) async fn start(scenario: Scenario, clients: usize, nice: u8, address: SocketAddr, ca: &Path) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = with_files(Path::new("nice"), &["-n", &nice.to_string()])
            .arg(program)
            .args(["attack", &scenario.to_string(), &clients.to_string(), &address.to_string()])
            .arg(ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        stdout.next_line().await.unwrap().expect("the attack ended before it began");
        Self { child, stdout }
    }

    /// Ends it; what it says that it did.
    pub(crate) async fn end(mut self) -> String {
        drop(self.child.stdin.take());
        let said = self.stdout.next_line().await.unwrap().unwrap_or_default();
        self.child.wait().await.unwrap();
        said
    }
}

/// A command that may have as many files open as the system lets it.
fn with_files(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n $(ulimit -Hn) && exec \"$@\"", "sh"]).arg(program).args(arguments);
    command
}
