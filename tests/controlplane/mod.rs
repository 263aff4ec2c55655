//! A real control plane to test against, and Quorate in front of it.
//!
//! Used by the integration tests, which share one (see [`shared`]), and by the `controlplane` example, which is
//! `make cluster` and `make demo`. Everything is on loopback ports, in one directory per run, `target/controlplane/run-…`,
//! and ends with the process that started it, however that ends (see [`run`]); after a failure the logs stay there.
//!
//! It knows nothing of Quorate but its command line and its manifests.

// Each of the two programs uses a part of it.
#![allow(dead_code, reason = "the tests and the example each use a part")]

pub(crate) mod builder;
pub(crate) mod cluster;
pub(crate) mod kubectl;
pub(crate) mod nodes;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod proxy;
pub(crate) mod quorate;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod wait;
pub(crate) mod webhooks;

use std::sync::OnceLock;

use anyhow::Result;

pub(crate) use cluster::ControlPlane;
#[allow(unused_imports, reason = "as above")]
pub(crate) use quorate::Quorate;
#[allow(unused_imports, reason = "as above")]
pub(crate) use wait::wait_for;

/// The control plane that all tests of a run share: three nodes in three zones, sixteen volumes on each.
///
/// Tests keep apart by namespaces, and by a Quorate of their own that is sent only theirs. A test that panics leaves the
/// logs behind and says where; one that returns an error does not, since nobody learns of that.
///
/// # Panics
/// If the control plane does not start.
pub(crate) fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<Result<ControlPlane, String>> = OnceLock::new();
    let cluster = SHARED.get_or_init(|| start_for_tests().map_err(|error| format!("{error:#}")));
    #[expect(clippy::panic, reason = "a test without a control plane has failed")]
    cluster.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

fn start_for_tests() -> Result<ControlPlane> {
    let cluster = ControlPlane::start()?;
    let nodes = cluster.add_nodes(3, &["zone-a", "zone-b", "zone-c"])?;
    cluster.add_volumes(&nodes, 16)?;
    let run = std::sync::Arc::downgrade(cluster.run());
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if let Some(run) = run.upgrade() {
            eprintln!("the control plane's logs are kept in {}", run.keep_logs().display());
        }
    }));
    Ok(cluster)
}
