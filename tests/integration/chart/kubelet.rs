//! What the kubelets do: each Pod in Quorate's namespace is a process on this host.
//!
//! A process gets the arguments, environment, ConfigMaps and Secrets of its Pod, and its `ServiceAccount`'s token. What has to differ without
//! containers: mounted directories lie elsewhere, the ports are free ones, and the API server is found by a kubeconfig. A Pod
//! is Ready when `/readyz` says so; one that is deleted gets a SIGTERM and is gone when its process is. A Job's Pod ends as its process does.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use serde_json::{Value, json};

use super::helm::NAMESPACE;
use super::service::Service;
use crate::controlplane::ControlPlane;
use crate::controlplane::process::Process;
use crate::controlplane::run::free_port;

/// Runs Pods until it is dropped.
pub(super) struct Kubelet {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A Pod that runs.
#[expect(clippy::struct_excessive_bools, reason = "each is about something else")]
struct Running {
    name: String,
    process: Process,
    is_job: bool,
    directory: PathBuf,
    ports: (u16, u16),
    ready: bool,
    told_ready: bool,
    told_to_end: bool,
}

impl Kubelet {
    pub(super) fn start(cluster: &'static ControlPlane, service: Service) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut running = BTreeMap::new();
            while !until.load(Ordering::Relaxed) {
                // A Pod may go while it is looked at.
                if let Err(error) = look(cluster, &service, &mut running) {
                    eprintln!("kubelet: {error:#}; will look again");
                }
                thread::sleep(Duration::from_millis(200));
            }
            for pod in running.values() {
                let _ = pod.process.kill();
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn look(cluster: &ControlPlane, service: &Service, running: &mut BTreeMap<String, Running>) -> Result<()> {
    let pods = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "json"]).json()?;
    let pods: Vec<&Value> = pods["items"].as_array().into_iter().flatten().collect();
    // Who finds a Pod ready lets requests through at once.
    for pod in running.values_mut().filter(|pod| !pod.is_job) {
        pod.ready = is_ready(pod.ports.1);
    }
    let ready = running.values().filter(|pod| pod.ready && !pod.told_to_end).map(|pod| pod.ports.0);
    service.lead_to(ready.collect());
    for pod in &pods {
        let uid = pod["metadata"]["uid"].as_str().context("a Pod without uid")?;
        let is_scheduled = pod["spec"]["nodeName"].is_string();
        let is_new = pod["status"]["phase"] == "Pending" && pod["metadata"]["deletionTimestamp"].is_null();
        match running.get_mut(uid) {
            None if is_new && is_scheduled => drop(running.insert(uid.to_owned(), run(cluster, pod)?)),
            None if !pod["metadata"]["deletionTimestamp"].is_null() => remove(cluster, pod)?,
            None => {}
            Some(process) => keep(cluster, pod, process)?,
        }
    }
    // A Pod whose object is gone without its process.
    let gone = |uid: &String| !pods.iter().any(|pod| pod["metadata"]["uid"] == **uid);
    for pod in running.iter().filter(|(uid, _)| gone(uid)).map(|(_, pod)| pod) {
        let _ = pod.process.kill();
    }
    running.retain(|uid, _| !gone(uid));
    Ok(())
}

/// Starts a Pod's process.
fn run(cluster: &ControlPlane, pod: &Value) -> Result<Running> {
    let name = pod["metadata"]["name"].as_str().context("a Pod without name")?;
    let directory = cluster.run().path(name);
    fs::create_dir_all(&directory)?;
    write_volumes(cluster, pod, &directory)?;
    let container = &pod["spec"]["containers"][0];
    ensure!(container["command"].is_null(), "the image's entrypoint is quorate: {container}");
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let mounts: Vec<_> = mounts.filter_map(|mount| mount["mountPath"].as_str().zip(mount["name"].as_str())).collect();
    let place = |text: &str| {
        mounts.iter().fold(text.to_owned(), |text, (mounted, volume)| {
            text.replace(mounted, &directory.join(volume).display().to_string())
        })
    };
    let ports = (free_port()?, free_port()?);
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.current_dir(&directory).env_clear();
    command.args(container["args"].as_array().into_iter().flatten().filter_map(Value::as_str).map(place));
    for variable in container["env"].as_array().into_iter().flatten() {
        let (name, value) = (variable["name"].as_str(), variable["value"].as_str());
        command.env(name.context("a variable without name")?, place(value.unwrap_or_default()));
    }
    command
        .env("HOSTNAME", name)
        .env("QUORATE_LISTEN", format!("127.0.0.1:{}", ports.0))
        .env("QUORATE_ADMIN_LISTEN", format!("127.0.0.1:{}", ports.1))
        .env("QUORATE_KUBECONFIG", write_kubeconfig(cluster, pod, &directory)?);
    let process = Process::start(cluster.run(), name, &command)?;
    let is_job = pod["spec"]["restartPolicy"] == "Never";
    Ok(Running {
        name: name.to_owned(),
        process,
        is_job,
        directory,
        ports,
        ready: false,
        told_ready: false,
        told_to_end: false,
    })
}

/// Has the API server know how a Pod's process is, and the process what the API server says.
fn keep(cluster: &ControlPlane, pod: &Value, running: &mut Running) -> Result<()> {
    if running.is_job
        && let Some(ended) = running.process.exit_status()?
    {
        let phase = if ended.success() { "Succeeded" } else { "Failed" };
        set_status(cluster, &running.name, &json!({"phase": phase}))?;
    }
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        if running.process.exit_status()?.is_some() {
            return remove(cluster, pod);
        }
        if !running.told_to_end {
            running.told_to_end = true;
            // In a cluster both happen at once; the process goes on serving for a while, as it does here.
            running.process.signal("TERM")?;
        }
        return Ok(());
    }
    if running.is_job {
        return Ok(());
    }
    running.process.check()?;
    write_volumes(cluster, pod, &running.directory)?;
    if running.ready != running.told_ready {
        running.told_ready = running.ready;
        let status = if running.ready { "True" } else { "False" };
        let conditions = ["Initialized", "PodScheduled", "ContainersReady", "Ready"]
            .map(|kind| json!({"type": kind, "status": status}));
        set_status(cluster, &running.name, &json!({"phase": "Running", "conditions": conditions}))?;
    }
    Ok(())
}

/// What is mounted, in directories named after the volumes. A file changes as a whole.
fn write_volumes(cluster: &ControlPlane, pod: &Value, directory: &Path) -> Result<()> {
    for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
        let place = directory.join(volume["name"].as_str().context("a volume without name")?);
        let (config, secret) = (volume["configMap"]["name"].as_str(), volume["secret"]["secretName"].as_str());
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let texts = |object: &Value| -> Vec<(String, String)> {
            let data = object["data"].as_object().into_iter().flatten();
            data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
        };
        if let Some(name) = config {
            let data = texts(&cluster.object(NAMESPACE, "configmap", name)?);
            files.extend(data.into_iter().map(|(key, text)| (key, text.into_bytes())));
        } else if let Some(name) = secret {
            for (key, text) in texts(&cluster.object(NAMESPACE, "secret", name)?) {
                files.insert(key, base64::engine::general_purpose::STANDARD.decode(text)?);
            }
        }
        fs::create_dir_all(&place)?;
        for (key, bytes) in &files {
            if fs::read(place.join(key)).ok().as_ref() != Some(bytes) {
                fs::write(place.join(".new"), bytes)?;
                fs::rename(place.join(".new"), place.join(key))?;
            }
        }
        for file in fs::read_dir(&place)? {
            let file = file?;
            if !files.contains_key(&file.file_name().to_string_lossy().into_owned()) {
                fs::remove_file(file.path())?;
            }
        }
    }
    Ok(())
}

/// The rights of the Pod's ServiceAccount, and no others.
fn write_kubeconfig(cluster: &ControlPlane, pod: &Value, directory: &Path) -> Result<PathBuf> {
    ensure!(pod["spec"]["automountServiceAccountToken"] == true, "the Pod has no token: {}", pod["spec"]);
    let account = pod["spec"]["serviceAccountName"].as_str().context("a Pod without ServiceAccount")?;
    let token = cluster.kubectl(&["create", "token", account, "-n", NAMESPACE]).ok()?;
    let server = json!({"server": cluster.server(), "certificate-authority": cluster.authority()});
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "tests", "cluster": server}],
        "users": [{"name": "pod", "user": {"token": token.trim()}}],
        "contexts": [{"name": "pod", "context": {"cluster": "tests", "user": "pod"}}],
        "current-context": "pod",
    });
    let path = directory.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string())?;
    Ok(path)
}

fn set_status(cluster: &ControlPlane, pod: &str, status: &Value) -> Result<()> {
    let patch = json!({"status": status}).to_string();
    cluster.kubectl(&["patch", "pod", pod, "-n", NAMESPACE, "--subresource=status", "-p", &patch]).ok().map(drop)
}

fn remove(cluster: &ControlPlane, pod: &Value) -> Result<()> {
    let name = pod["metadata"]["name"].as_str().context("a Pod without name")?;
    let words = ["delete", "pod", name, "-n", NAMESPACE, "--grace-period=0", "--force", "--ignore-not-found"];
    cluster.kubectl(&words).ok().map(drop)
}

fn is_ready(port: u16) -> bool {
    let answer = || -> Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    answer().is_ok_and(|answer| answer.split(' ').nth(1) == Some("200"))
}
