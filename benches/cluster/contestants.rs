//! Who is compared: each has Namespaces of its own, which say by a label who is asked about what is created in them. All are
//! registered at once, so that requests to all of them alternate in one run.

use std::fs;
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::cel::Rules;
use crate::client::{Answer, Client, Connection};
use crate::controlplane::webhooks::{INSTANCE, NAMESPACE, Target, configurations};
use crate::controlplane::{ControlPlane, Quorate};
use crate::world::{body, policy_text, reference};

/// How long the API server may take until it does as it is told.
const PATIENCE: Duration = Duration::from_mins(1);

/// One who is asked about a StatefulSet that is created.
pub(crate) struct Contestant {
    pub(crate) name: &'static str,
    path: String,
    body: Bytes,
    expected: Expected,
}

/// What becomes of the StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// It is stored as it was written.
    Untouched,
    /// It is stored with an anti-affinity.
    Spread,
    /// It is denied.
    Denied,
}

impl Contestant {
    /// One whose answers are to be expected in this Namespace.
    pub(crate) fn new(name: &'static str, namespace: &str, expected: Expected) -> Self {
        let mut object = manifest();
        if expected == Expected::Denied {
            object["spec"]["replicas"] = json!(1);
        }
        Self {
            name,
            path: format!("/apis/apps/v1/namespaces/{namespace}/statefulsets?dryRun=All"),
            body: object.to_string().into(),
            expected,
        }
    }

    /// Whether what it is asked about is admitted.
    pub(crate) fn is_admitted(&self) -> bool {
        self.expected != Expected::Denied
    }

    /// One request; what came of it is what must come of it.
    pub(crate) async fn ask(&self, connection: &mut Connection) -> Answer {
        let answer = connection.post(&self.path, self.body.clone()).await;
        let status = if self.expected == Expected::Denied { StatusCode::FORBIDDEN } else { StatusCode::CREATED };
        assert_eq!(answer.status, status, "{}: {}", self.name, String::from_utf8_lossy(&answer.body));
        answer
    }

    /// Returns when the API server asks this one, and it answers as it should; what was stored then.
    pub(crate) async fn settled(&self, connection: &mut Connection) -> Value {
        let since = Instant::now();
        loop {
            let answer = connection.post(&self.path, self.body.clone()).await;
            let found = match answer.status {
                StatusCode::FORBIDDEN => Expected::Denied,
                status if status != StatusCode::CREATED => panic!("{}: {}", self.name, answer.json()),
                _ if answer.json()["spec"]["template"]["spec"]["affinity"].is_object() => Expected::Spread,
                _ => Expected::Untouched,
            };
            if found == self.expected {
                return answer.json();
            }
            let text = String::from_utf8_lossy(&answer.body);
            assert!(since.elapsed() < PATIENCE, "{}: {found:?}, not {:?}: {text}", self.name, self.expected);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What a user would send: the StatefulSet that every bench is about, in any Namespace.
fn manifest() -> Value {
    let mut object = body::statefulset("db:1", false);
    as_written(&mut object);
    object["metadata"].as_object_mut().unwrap().remove("namespace");
    object
}

/// Takes away what the API server writes into a StatefulSet, and what it does not let be written.
pub(crate) fn as_written(object: &mut Value) {
    for container in object["spec"]["template"]["spec"]["initContainers"].as_array_mut().unwrap() {
        for probe in ["livenessProbe", "readinessProbe"] {
            container.as_object_mut().unwrap().remove(probe);
        }
    }
    object.as_object_mut().unwrap().remove("status");
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "creationTimestamp", "generation", "managedFields"] {
        metadata.remove(field);
    }
}

/// Makes a Namespace with the Service that the StatefulSet names; what is created in it is sent to this instance.
pub(crate) fn namespace(cluster: &ControlPlane, instance: &str) -> String {
    let namespace = cluster.namespace(instance, &[(INSTANCE, instance), ("environment", "production")]).unwrap();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "namespace": namespace},
        "spec": {"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 5432}]},
    });
    cluster.apply(&service.to_string()).unwrap();
    namespace
}

/// What a process is there to show.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shows {
    /// What it costs the API server, beside handlers that were built as it was.
    Latency,
    /// What memory it takes, asked by nobody but us.
    Memory,
}

impl Shows {
    /// The program that shows it: memory is that of what ships, if `make bench` says where that is.
    pub(crate) fn program(self) -> PathBuf {
        let built = || env!("CARGO_BIN_EXE_quorate").into();
        match self {
            Self::Latency => built(),
            // It is started from another directory.
            Self::Memory => std::env::var_os("QUORATE_BENCH_MEMORY")
                .map_or_else(built, |program| std::path::absolute(program).unwrap()),
        }
    }
}

/// Starts Quorate with so many policies, all of which match.
pub(crate) fn quorate<'c>(
    cluster: &'c ControlPlane,
    label: &str,
    policies: usize,
    arguments: &[&str],
    shows: Shows,
) -> Quorate<'c> {
    let mut builder = Quorate::builder(cluster).label(label).binary(shows.program());
    for number in 0..policies {
        builder = builder.policy(&policy_text(number));
    }
    for argument in arguments {
        builder = builder.argument(argument);
    }
    match shows {
        Shows::Latency => builder,
        Shows::Memory => builder.unregistered(),
    }
    .start()
    .unwrap()
}

/// Registers rules in CEL; returns the Namespace they are for.
pub(crate) fn cel(cluster: &ControlPlane, rules: &Rules) -> String {
    cluster.apply_all(&rules.objects()).unwrap();
    namespace(cluster, rules.instance)
}

/// Starts the server with a constant answer and registers it just as Quorate is; returns it and the Namespace it is for.
pub(crate) fn constant(cluster: &ControlPlane, label: &str, patch: Option<&str>) -> (Child, String) {
    let directory = cluster.run().path(label);
    let made = quorate::certs::development::make(&quorate::certs::development::Request {
        directory: directory.clone(),
        service: label.to_owned(),
        namespace: NAMESPACE.to_owned(),
        names: Vec::new(),
        days: 30,
        force: false,
    })
    .unwrap();
    let loopback = "127.0.0.1:0".parse().unwrap();
    let mut child = reference::command(loopback, &made.serving.certificate, &made.serving.key, patch).spawn().unwrap();
    let port = reference::address(&mut child).port();
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": label, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    cluster.apply(&service.to_string()).unwrap();
    let authority = fs::read(directory.join("ca.pem")).unwrap();
    let target = Target { service: label.to_owned(), port, authority };
    cluster.apply_all(&configurations(&target, Some(label)).unwrap()).unwrap();
    (child, namespace(cluster, label))
}

/// The patch that Quorate answers about a StatefulSet that is created in this Namespace, as it is in the answer.
pub(crate) async fn patch(quorate: &Quorate<'_>, namespace: &str) -> String {
    let answer = straight(quorate).connect().await.post("/mutate?timeout=3s", review(namespace)).await;
    answer.json()["response"]["patch"].as_str().unwrap().to_owned()
}

/// A client that asks Quorate itself, past the API server.
pub(crate) fn straight(quorate: &Quorate<'_>) -> Client {
    let authority = fs::read(quorate.directory().join("ca.pem")).unwrap();
    Client::new(([127, 0, 0, 1], quorate.port()).into(), "localhost", &authority, String::new())
}

/// The review that every bench is about, as if it were of this Namespace.
pub(crate) fn review(namespace: &str) -> Bytes {
    let review = String::from_utf8(body::review(&body::Operation::Create)).unwrap();
    review.replace(r#""namespace":"shop-7""#, &format!(r#""namespace":"{namespace}""#)).into()
}
