//! The client: oha, on the last processor that this process may use.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quorate::admission::Webhook;
use serde_json::{Value, from_slice};

use crate::server::{Ground, Processor, Server, children_computed, pinned};
use crate::world::body::{self, Operation};

/// What an open-loop run begins with and is not counted: connections are made, and caches filled.
const WARM_UP: f64 = 0.5;
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
    /// How much of a processor the server took, and the client.
    pub(crate) server: f64,
    pub(crate) client: f64,
}

impl Sample {
    /// Microseconds of the server's processor for each answer.
    pub(crate) fn cost(&self) -> f64 {
        self.server / self.rate * 1e6
    }
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
        let answer = run(&mut self.oha(server, question, &["--debug"])).0;
        let text = String::from_utf8_lossy(&answer).replace('\\', "");
        assert!(text.contains(r#""allowed":true"#), "{} does not allow: {text}", server.name);
        assert_eq!(text.contains(r#""patch":"#), injects, "{}: {text}", server.name);
    }

    /// As many requests as the server answers, each connection asking the next once it was answered.
    pub(crate) fn ask_at_most(&self, server: &Server, question: Question, time: Duration) -> Sample {
        let flags = ["-c", &CONNECTIONS.to_string(), "-z", &seconds(time), "-w", "--output-format", "json"];
        let (output, load) = measured(server, &mut self.oha(server, question, &flags));
        let found: Value = from_slice(&output).unwrap();
        let statuses = found["statusCodeDistribution"].as_object().unwrap();
        let only_success = statuses.len() == 1 && statuses.contains_key("200");
        assert!(only_success && found["errorDistribution"] == serde_json::json!({}), "{}: {found}", server.name);
        let milliseconds = |name: &str| found["latencyPercentiles"][name].as_f64().unwrap() * 1e3;
        let rate = found["summary"]["requestsPerSec"].as_f64().unwrap();
        load.sample(rate, milliseconds("p50"), milliseconds("p99"))
    }

    /// So many requests per second, whether the server keeps up or not: the time of each counts from when it was due.
    pub(crate) fn ask(&self, server: &Server, question: Question, rate: f64, time: Duration) -> Sample {
        let (connections, every) = (OPEN_CONNECTIONS.to_string(), rate.to_string());
        let flags = ["-c", &connections, "-z", &seconds(time), "-w", "--output-format", "csv"];
        let mut oha = self.oha(server, question, &flags);
        let (output, load) = measured(server, oha.args(["-q", &every, "--latency-correction"]));
        let answers = String::from_utf8(output).unwrap();
        let mut times = Vec::new();
        for line in answers.lines().skip(1) {
            let fields: Vec<_> = line.split(',').collect();
            let &[start, _, _, _, duration, _, status] = fields.as_slice() else { panic!("oha says: {line}") };
            assert_eq!(status, "200", "{}: {line}", server.name);
            if start.parse::<f64>().unwrap() >= WARM_UP {
                times.push(duration.parse::<f64>().unwrap() * 1e3);
            }
        }
        times.sort_by(f64::total_cmp);
        let quantile = |percent: usize| times[(times.len() - 1) * percent / 100];
        #[allow(clippy::cast_precision_loss, reason = "there are few")]
        let answered = times.len() as f64 / (time.as_secs_f64() - WARM_UP);
        load.sample(answered, quantile(50), quantile(99))
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

/// How busy a server and the client were.
struct Load {
    server: f64,
    client: f64,
}

impl Load {
    fn sample(&self, rate: f64, p50: f64, p99: f64) -> Sample {
        Sample { rate, p50, p99, server: self.server, client: self.client }
    }
}

fn measured(server: &Server, oha: &mut Command) -> (Vec<u8>, Load) {
    let before = (server.computed(), children_computed());
    let (output, time) = run(oha);
    let share = |after: Duration, before: Duration| after.saturating_sub(before).as_secs_f64() / time.as_secs_f64();
    (output, Load { server: share(server.computed(), before.0), client: share(children_computed(), before.1) })
}

/// What the client prints, and how long it took.
fn run(oha: &mut Command) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    let output = pinned(Processor::Last, oha)
        .stderr(Stdio::piped())
        .output()
        .unwrap_or_else(|error| panic!("setpriv: {error}; it is of util-linux"));
    let time = started.elapsed();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "oha: {said}; tests/tools.sh bench builds it");
    (output.stdout, time)
}

fn seconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// Whether there is a client.
pub(crate) fn is_there() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| Path::new(&directory).join("oha").is_file())
}
