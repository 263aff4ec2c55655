//! The Helm chart on a control plane of its own, since what it installs is there once per cluster.
//!
//! What Helm makes of the chart is what runs: the Deployment's controllers make Pods, and [`kubelet`] runs each Pod as a process, with
//! the Pod's arguments, environment, volumes and ServiceAccount. In place of kube-proxy, [`service`] forwards to the ready ones.

mod helm;
mod kubelet;
mod life;
mod rendered;
mod rights;
mod service;
mod values;
mod writer;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crate::controlplane::ControlPlane;

/// Where the chart lies.
const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/helm/quorate");

/// The control plane, for one test at a time.
fn cluster() -> (&'static ControlPlane, MutexGuard<'static, ()>) {
    static CLUSTER: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let started = CLUSTER.get_or_init(|| {
        let started = ControlPlane::start().and_then(|cluster| {
            cluster.add_nodes(3, &["zone-a", "zone-b", "zone-c"])?;
            Ok(cluster)
        });
        started.map_err(|error| format!("{error:#}"))
    });
    (started.as_ref().unwrap_or_else(|error| panic!("{error}")), turn)
}
