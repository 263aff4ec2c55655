//! The client: oha, on the last processor that this process may use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use quorate::admission::Webhook;

use crate::server::{Ground, Processor, Server, children_computed, pinned};
use crate::world::body::{self, Operation};

/// What a run without a given rate begins with and is not counted: connections are made.
const WARM_UP: Duration = Duration::from_millis(200);
/// The same of one with a given rate: requests that were due before there was a connection are caught up with.
const OPEN_WARM_UP: Duration = Duration::from_millis(600);
/// Connections of a run without a given rate.
const CONNECTIONS: usize = 16;
/// Connections over which requests of a given rate go: as many as are ever wanted at once, while few of the requests make one.
const OPEN_CONNECTIONS: usize = 32;

/// Whether connections are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connections {
    Kept,
    /// One for each request, with a full handshake, as of a client that does not know the server.
    New,
}

/// What is asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) webhook: Webhook,
    pub(crate) connections: Connections,
}

/// What a run measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    /// Answers per second.
    pub(crate) rate: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Microseconds of the server's processor for each answer.
    pub(crate) cost: f64,
    /// How much of a processor the server took, and the client.
    pub(crate) server: f64,
    pub(crate) client: f64,
}

/// One thing that a run measured.
pub(crate) type Gauge = fn(&Sample) -> f64;

/// Who asks.
pub(crate) struct Client {
    ca: PathBuf,
    validate: PathBuf,
    mutate: PathBuf,
}

impl Client {
    pub(crate) fn new(ground: &Ground) -> Self {
        Self {
            ca: ground.ca().to_owned(),
            validate: ground.file("validate.json", &body::review(&Operation::CreateMutated)),
            mutate: ground.file("mutate.json", &body::review(&Operation::Create)),
        }
    }

    /// Fails unless the server allows what is asked, and says what it has to say about it.
    pub(crate) fn check(&self, server: &Server, webhook: Webhook, injects: bool) {
        let question = Question { webhook, connections: Connections::Kept };
        let answer = run(&mut self.oha(server, question, &["--debug"]));
        let text = String::from_utf8_lossy(&answer).replace('\\', "");
        assert!(text.contains(r#""allowed":true"#), "{} does not allow: {text}", server.name);
        assert_eq!(text.contains(r#""patch":"#), injects, "{}: {text}", server.name);
    }

    /// As many requests as the server answers, each connection asking the next once it was answered.
    pub(crate) fn ask_at_most(&self, server: &Server, question: Question, time: Duration) -> Sample {
        self.ask(server, question, &["-c", &CONNECTIONS.to_string()], (WARM_UP, time))
    }

    /// So many requests per second, whether the server keeps up or not: the time of each counts from when it was due.
    pub(crate) fn ask_at(&self, server: &Server, question: Question, rate: f64, time: Duration) -> Sample {
        let (connections, rate) = (OPEN_CONNECTIONS.to_string(), rate.to_string());
        self.ask(server, question, &["-c", &connections, "-q", &rate, "--latency-correction"], (OPEN_WARM_UP, time))
    }

    /// Asks during a warm-up, which is not counted, and for some time after it.
    fn ask(
        &self,
        server: &Server,
        question: Question,
        flags: &[&str],
        (warm_up, time): (Duration, Duration),
    ) -> Sample {
        let whole = warm_up + time;
        let mut oha = self.oha(server, question, flags);
        oha.args(["-z", &format!("{}ms", whole.as_millis()), "-w", "--output-format", "csv"]);
        let before = (server.computed(), children_computed());
        let output = run(&mut oha);
        let computed = [server.computed().saturating_sub(before.0), children_computed().saturating_sub(before.1)];
        let [by_server, by_client] = computed.map(|time| time.as_secs_f64());
        let all = answers(server, &String::from_utf8(output).unwrap());
        let counted = all.iter().filter(|answer| answer.start >= warm_up.as_secs_f64());
        let mut times: Vec<_> = counted.map(|answer| answer.time * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let quantile = |percent: usize| times[(times.len() - 1) * percent / 100];
        #[allow(clippy::cast_precision_loss, reason = "there are few")]
        let [all, counted] = [all.len(), times.len()].map(|count| count as f64);
        Sample {
            rate: counted / time.as_secs_f64(),
            p50: quantile(50),
            p99: quantile(99),
            cost: by_server / all * 1e6,
            server: by_server / whole.as_secs_f64(),
            client: by_client / whole.as_secs_f64(),
        }
    }

    fn oha(&self, server: &Server, question: Question, flags: &[&str]) -> Command {
        let (path, body) = match question.webhook {
            Webhook::Validate => ("validate", &self.validate),
            Webhook::Mutate => ("mutate", &self.mutate),
        };
        let mut oha = Command::new("oha");
        oha.args(["--no-tui", "--worker-threads", "1", "-m", "POST", "-T", "application/json", "-D"]).arg(body);
        oha.args(flags);
        match question.connections {
            Connections::Kept => {
                oha.arg("--cacert").arg(&self.ca).arg(format!("https://127.0.0.1:{}/{path}?timeout=10s", server.port))
            }
            // Sessions are resumed by name, so each connection has another; to oha a dot is just a dot. To check a certificate
            // costs the client more than it costs the server to show it, and nothing but the server is measured.
            Connections::New => oha
                .args(["--disable-keepalive", "--insecure", "--rand-regex-url"])
                .arg(format!(r"https://[a-z]{{12}}.localhost:{}/{path}\?timeout=10s", server.port)),
        };
        oha
    }
}

/// One answer: when its request began, since the run did, and how long it took; both in seconds.
struct Answer {
    start: f64,
    time: f64,
}

/// What oha says of each request that was answered, every one of which has to succeed.
fn answers(server: &Server, csv: &str) -> Vec<Answer> {
    let answer = |line: &str| {
        let fields: Vec<_> = line.split(',').collect();
        let &[start, _, _, _, time, _, status] = fields.as_slice() else { panic!("oha says: {line}") };
        assert_eq!(status, "200", "{}: {line}", server.name);
        Answer { start: start.parse().unwrap(), time: time.parse().unwrap() }
    };
    csv.lines().skip(1).map(answer).collect()
}

/// What the client prints.
fn run(oha: &mut Command) -> Vec<u8> {
    let output = pinned(Processor::Last, oha)
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("setpriv: {error}; it is of util-linux"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "oha: {said}; tests/tools.sh bench builds it");
    output.stdout
}

/// Whether there is a client.
pub(crate) fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join("oha").is_file())
}
