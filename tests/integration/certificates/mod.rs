//! Certificates that Quorate manages itself: several replicas behind one Service, a real API server in front of them, and
//! clients that trust what `caBundle` says, as the API server does.
//!
//! The Secrets and the webhook configurations have fixed names, so that one test at a time has the control plane.

mod balancer;
mod clients;
mod garbage;
mod install;
mod rotation;
mod waiting;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::controlplane::webhooks::{NAMESPACE, Target, configurations, of_kinds};
use crate::controlplane::{ControlPlane, Quorate, wait_for};

/// The Service's name, as shipped.
const SERVICE: &str = "quorate";

const CONFIGURATIONS: [&str; 2] = ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"];

const POLICY: &str = "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: { name: certificates }
spec:
  validate: { replicas: { action: Deny, minimum: 2 } }
  mutate:
    podAntiAffinity:
      - { topologyKey: kubernetes.io/hostname, mode: Preferred }
";

/// A control plane in which Quorate has just been installed and does not run yet, for as long as the guard lives.
struct Stage {
    cluster: &'static ControlPlane,
    _turn: MutexGuard<'static, ()>,
}

fn stage() -> Stage {
    static CLUSTER: OnceLock<ControlPlane> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = CLUSTER.get_or_init(|| ControlPlane::start().unwrap());
    cluster.install().unwrap();
    for kind in CONFIGURATIONS {
        cluster.kubectl(&["delete", "--ignore-not-found", kind, "quorate"]).ok().unwrap();
    }
    cluster
        .kubectl(&["delete", "--ignore-not-found", "secret", "quorate-ca", "quorate-tls", "-n", NAMESPACE])
        .ok()
        .unwrap();
    cluster.apply_all(&of_kinds(&["Secret"]).unwrap()).unwrap();
    Stage { cluster, _turn: turn }
}

/// Starts replicas at the same moment; returns when all are ready.
fn replicas(cluster: &'static ControlPlane, arguments: &[&str]) -> Vec<Quorate<'static>> {
    std::thread::scope(|scope| {
        let starting: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let builder = Quorate::builder(cluster).self_managed(SERVICE).policy(POLICY);
                    arguments.iter().fold(builder, |builder, argument| builder.argument(argument)).start().unwrap()
                })
            })
            .collect();
        starting.into_iter().map(|replica| replica.join().unwrap()).collect()
    })
}

/// What the last step of an installation applies; once more, and it is what a Helm upgrade or `kubectl apply` does.
fn apply_configurations(cluster: &ControlPlane, port: u16) {
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": SERVICE, "namespace": NAMESPACE},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    let target = Target { service: SERVICE.to_owned(), port, authority: Vec::new() };
    cluster.apply_all(&[vec![service], configurations(&target, None).unwrap()].concat()).unwrap();
}

/// Applies the configurations, and waits until the API server has learnt of them and of Quorate's CA.
fn register(cluster: &ControlPlane, port: u16) {
    apply_configurations(cluster, port);
    until_whole(cluster);
    cluster.settle_webhooks().unwrap();
}

/// Waits until every webhook has the bundle of Secret `quorate-ca`.
fn until_whole(cluster: &ControlPlane) {
    wait_for("caBundle to be whole", || {
        let expected = secret(cluster, "quorate-ca", "ca.crt")?;
        let found = bundles(cluster)?;
        ensure!(!expected.is_empty() && found.iter().all(|bundle| *bundle == expected), "{found:?}");
        Ok(())
    })
    .unwrap();
}

/// `caBundle` of every webhook.
fn bundles(cluster: &ControlPlane) -> Result<Vec<Vec<u8>>> {
    let mut bundles = Vec::new();
    for kind in CONFIGURATIONS {
        let configuration = cluster.object(NAMESPACE, kind, "quorate")?;
        for webhook in configuration["webhooks"].as_array().context("no webhooks")? {
            bundles.push(BASE64_STANDARD.decode(webhook["clientConfig"]["caBundle"].as_str().unwrap_or_default())?);
        }
    }
    Ok(bundles)
}

/// What a Secret of Quorate's holds under a key; nothing, if it isn't there.
fn secret(cluster: &ControlPlane, name: &str, key: &str) -> Result<Vec<u8>> {
    let secret = cluster.object(NAMESPACE, "secret", name)?;
    Ok(BASE64_STANDARD.decode(secret["data"][key].as_str().unwrap_or_default())?)
}

/// Writes into a Secret of Quorate's.
fn spoil(cluster: &ControlPlane, name: &str, data: &Value) {
    let patch = json!({"stringData": data}).to_string();
    cluster.kubectl(&["patch", "secret", name, "-n", NAMESPACE, "--type=merge", "-p", &patch]).ok().unwrap();
}

/// How many certificates a PEM text has.
fn count(pem: &[u8]) -> usize {
    CertificateDer::pem_slice_iter(pem).map(Result::unwrap).count()
}

/// A StatefulSet that the policy admits, if the replicas are two or more.
fn statefulset(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "db"}},
            "template": {
                "metadata": {"labels": {"app": "db"}},
                "spec": {"containers": [{"name": "db", "image": "db.example/server:1"}]},
            },
        },
    })
}

/// Whether Quorate's injection is in the object.
fn is_injected(object: &Value) -> bool {
    !object["metadata"]["annotations"]["quorate.dev/injected"].is_null()
}
