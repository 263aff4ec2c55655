//! Faults, one after the other, while StatefulSets are being created: none may be lost, left unmutated or wrongly denied.
//!
//! Done to a control plane of their own: the one that other tests share must not be stopped.

mod api_server;
mod black_hole;
mod load;
mod network;
pub(crate) mod record;
mod replicas;
mod serving;
mod table;

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};

use serde_json::Value;

use crate::controlplane::builder::Builder;
use crate::controlplane::kubectl::Output;
use crate::controlplane::{ControlPlane, Quorate, wait_for};

/// The control plane for whoever holds it: one fault at a time.
struct Ground {
    cluster: &'static ControlPlane,
    alone: MutexGuard<'static, Option<&'static ControlPlane>>,
}

impl Drop for Ground {
    /// After a test that failed, who knows what still runs; the next one begins with a control plane of its own. After another
    /// one go the thousands of StatefulSets, which the next one's caches and censuses would have to do with.
    fn drop(&mut self) {
        let gone = self.cluster.kubectl(&["delete", "namespaces", "-l", "fault", "--wait=false"]);
        if std::thread::panicking() || gone.ok().is_err() {
            *self.alone = None;
        }
    }
}

impl Ground {
    fn take() -> Self {
        static GROUND: Mutex<Option<&'static ControlPlane>> = Mutex::new(None);
        let mut ground = GROUND.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = *ground.get_or_insert_with(|| Box::leak(Box::new(ControlPlane::start().unwrap())));
        Self { cluster, alone: ground }
    }

    /// An instance that governs the namespaces of one test only, so that its census counts only these.
    fn quorate(&self, test: &str) -> Builder<'static> {
        Quorate::builder(self.cluster).policy(&policy(test))
    }

    /// A namespace that such an instance governs.
    fn namespace(quorate: &Quorate<'_>, test: &str) -> String {
        quorate.namespace(test, &[("fault", test)]).unwrap()
    }
}

/// What an admin's kubectl does with an object in a namespace.
fn admin(ground: &Ground, words: &[&str], namespace: &str, object: &Value) -> Output {
    let words: Vec<&str> = words.iter().copied().chain(["-f", "-"]).collect();
    ground.cluster.kubectl(&words).namespace(namespace).stdin(&object.to_string()).run().unwrap()
}

fn policy(test: &str) -> String {
    format!(
        "
apiVersion: quorate.dev/v1alpha1
kind: AvailabilityPolicy
metadata: {{ name: {test} }}
spec:
  match: {{ namespaceSelector: {{ matchLabels: {{ fault: {test} }} }} }}
  validate:
    headlessService: {{ action: Deny }}
    replicas: {{ action: Deny, minimum: 2 }}
  mutate:
    podAntiAffinity:
      - {{ topologyKey: kubernetes.io/hostname, mode: Preferred }}
"
    )
}

/// The value of one series of `/metrics`.
fn metric(quorate: &Quorate<'_>, series: &str) -> Result<f64> {
    let metrics = quorate.metrics()?;
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {series} in {metrics}"))?.parse()?)
}

/// Waits until a counter has gone beyond `before`.
fn counted(quorate: &Quorate<'_>, series: &str, before: f64) {
    wait_for(series, || {
        let now = metric(quorate, series)?;
        ensure!(now > before, "{now}");
        Ok(())
    })
    .unwrap();
}

/// Waits until every cache is as it should be.
fn healthy(quorate: &Quorate<'_>) {
    wait_for("every part to be well", || {
        let (status, body) = quorate.admin("/readyz?verbose")?;
        ensure!(status == 200 && !body.contains("[!]"), "{body}");
        Ok(())
    })
    .unwrap();
}
