//! The servers that are measured: each a process of its own, on the first processor that this one may use.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use quorate::certs::Files;
use quorate::certs::development::{self, Made};
use serde_json::json;

use crate::world::{self, Size, reference, result};

/// What servers and clients read: certificates, policies, surroundings.
pub(crate) struct Ground {
    directory: PathBuf,
    made: Made,
}

impl Ground {
    /// Writes it all below `target`, where an interrupted run leaves nothing that matters.
    pub(crate) fn prepare() -> Self {
        let directory = result::directory().join("https");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(directory.join("policies")).unwrap();
        for number in 0..10 {
            fs::write(directory.join(format!("policies/{number}.yaml")), world::policy_text(number)).unwrap();
        }
        fs::write(directory.join("surroundings.json"), surroundings(&Size::SERVICES)).unwrap();
        let request = development::Request {
            directory: directory.clone(),
            service: "quorate".to_owned(),
            namespace: "quorate-system".to_owned(),
            names: Vec::new(),
            days: 1,
            force: true,
        };
        let made = development::make(&request).unwrap();
        Self { directory, made }
    }

    /// The authority that clients trust.
    pub(crate) fn ca(&self) -> &Path {
        &self.made.ca
    }

    /// A file of this content.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// The Namespaces and Services of a cluster, as manifests. The request's own Service is among them.
fn surroundings(size: &Size) -> String {
    let objects = |kind: &'static str, word: &'static str, count| {
        (0..count).map(move |number| {
            let mut object = world::object(kind, number, size.namespaces);
            object["apiVersion"] = json!("v1");
            object["kind"] = json!(word);
            object
        })
    };
    let own = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "namespace": "shop-7"},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]},
    });
    let namespaces = objects("namespaces", "Namespace", size.namespaces);
    let services = objects("services", "Service", size.services);
    let items: Vec<_> = namespaces.chain(services).chain([own]).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string()
}

/// A server that runs; it ends with the value, and with this process.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    /// The one that parses the body and answers a constant.
    pub(crate) fn reference(ground: &Ground) -> Self {
        let Files { certificate, key } = &ground.made.serving;
        let alone = reference::command((Ipv4Addr::LOCALHOST, 0).into(), certificate, key, None);
        let mut child = pinned(Processor::First, &alone).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let port = reference::address(&mut child).port();
        Self { name: "reference", port, child }
    }

    /// Quorate without a cluster, which logs from this level on, to nowhere.
    pub(crate) fn quorate(ground: &Ground, name: &'static str, level: &str) -> Self {
        let [webhook, admin] = free_ports();
        let mut quorate = Command::new(env!("CARGO_BIN_EXE_quorate"));
        quorate
            .args(["serve", "--standalone", "--drain", "0s", "--log", level])
            .args(["--listen", &format!("127.0.0.1:{webhook}"), "--admin-listen", &format!("127.0.0.1:{admin}")])
            .arg("--policies")
            .arg(ground.directory.join("policies"))
            .arg("--surroundings")
            .arg(ground.directory.join("surroundings.json"))
            .arg("--tls-cert")
            .arg(&ground.made.serving.certificate)
            .arg("--tls-key")
            .arg(&ground.made.serving.key);
        let child = pinned(Processor::First, &quorate).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { name, port: webhook, child };
        server.wait_until_ready(admin);
        server
    }

    /// For how long it has been computing since it started.
    pub(crate) fn computed(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        ticks(&stat, 14) + ticks(&stat, 15)
    }

    fn wait_until_ready(&mut self, admin: u16) {
        while !is_ready((Ipv4Addr::LOCALHOST, admin).into()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "quorate serve ended: {ended:?}");
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended with the terminal's signal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin) else { return false };
    let mut answer = String::new();
    let request = b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).and_then(|()| stream.read_to_string(&mut answer)).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

/// Ports that nobody listens on.
fn free_ports() -> [u16; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Where a process runs: servers on one processor, the client on another.
#[derive(Clone, Copy)]
pub(crate) enum Processor {
    First,
    Last,
}

/// The command on one processor, which ends at the latest when this process does.
pub(crate) fn pinned(processor: Processor, command: &Command) -> Command {
    let mut pinned = Command::new("setpriv");
    let processors = processors();
    let number = match processor {
        Processor::First => processors.first(),
        Processor::Last => processors.last(),
    };
    pinned.args(["--pdeathsig", "KILL", "taskset", "--cpu-list", &number.unwrap().to_string()]);
    pinned.arg(command.get_program()).args(command.get_args());
    pinned
}

/// The processors that this process may use.
pub(crate) fn processors() -> Vec<usize> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ranges = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let number = |text: &str| text.parse::<usize>().unwrap();
    ranges
        .split(',')
        .flat_map(|part| match part.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        })
        .collect()
}

/// For how long the children of this process that have ended were computing.
pub(crate) fn children_computed() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    ticks(&stat, 16) + ticks(&stat, 17)
}

/// A time of `/proc/<pid>/stat`, whose fields are counted from 1; the second is a name in parentheses, which may hold spaces.
fn ticks(stat: &str, field: usize) -> Duration {
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u32 = after_name.split_whitespace().nth(field - 3).unwrap().parse().unwrap();
    Duration::from_secs(1) * ticks / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap()
}
