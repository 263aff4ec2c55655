//! The budget controller: keeps one PodDisruptionBudget for each StatefulSet that policies want one for.
//!
//! It acts on what there is, never on what happened: changes only say in which namespace to look. So it converges from any
//! state, whatever it missed. Every write names the object it means, by being a POST or by its `uid`, so that a stale cache,
//! or a second controller that takes itself for the leader, does no harm (L96). The webhook itself has no side effects.

mod agenda;
mod election;
mod events;
mod look;
mod memory;
mod notes;
mod plan;
mod pods;
mod remove;
mod steps;
mod work;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub use election::Lease;
pub use remove::{RemoveError, remove};

use crate::cluster::Cluster;
use crate::policy::PolicySet;
use crate::telemetry::{Health, Metrics, State};
use work::work;

/// The part of `/readyz?verbose` that is about budgets.
const PART: &str = "budgets";

/// The pause before trying again to stand for election.
const PAUSE: Duration = Duration::from_secs(5);

/// How long giving the Lease back may take.
const RELEASE: Duration = Duration::from_secs(2);

/// What the controller works with.
#[derive(Debug)]
pub struct Controller {
    /// The cluster, whose caches say where to look.
    pub cluster: Cluster,
    /// The policies in force.
    pub policies: Arc<ArcSwap<PolicySet>>,
    /// The Lease by which one of several replicas is chosen.
    pub lease: Lease,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Where it says how it is.
    pub health: Arc<Health>,
}

impl Controller {
    /// Looks after budgets whenever this replica leads, until `stop` says so; then gives the Lease back.
    pub async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let identity = election::identity();
        loop {
            let standing = tokio::select! {
                standing = election::stand(self.cluster.client().clone(), &self.lease, &identity) => standing,
                () = &mut stop => return,
            };
            let (leads, task) = match standing {
                Ok(standing) => standing,
                Err(error) => {
                    tracing::warn!(lease = %self.lease, %error, "can't stand for election; will try again");
                    self.health.set(PART, State::Degraded(format!("Lease {}: {error}", self.lease)));
                    tokio::select! {
                        () = sleep(PAUSE) => continue,
                        () = &mut stop => return,
                    }
                }
            };
            self.health.set(PART, State::Ok);
            let stopped = tokio::select! {
                () = self.serve(leads, &identity) => false,
                () = &mut stop => true,
            };
            self.metrics.leads_budgets(false);
            self.metrics.budgets_managed(0);
            // Nobody waits for the election's outcome any more, which ends it and gives the Lease back.
            let ended = timeout(RELEASE, task).await;
            if stopped {
                tracing::info!(lease = %self.lease, released = matches!(ended, Ok(Ok(Ok(_)))), "no longer looking after budgets");
                return;
            }
            tracing::warn!(lease = %self.lease, "the election ended; will stand again");
            sleep(PAUSE).await;
        }
    }

    /// Works while this replica leads. Ends only where the election does.
    async fn serve(&self, mut leads: watch::Receiver<bool>, identity: &str) {
        loop {
            if leads.wait_for(|leads| *leads).await.is_err() {
                return;
            }
            tracing::info!(lease = %self.lease, identity, "looking after budgets");
            self.metrics.leads_budgets(true);
            let lost = async {
                // An election that has ended is lost as well.
                let _ = leads.wait_for(|leads| !*leads).await;
            };
            tokio::select! {
                () = work(self, identity) => {}
                () = lost => {}
            }
            tracing::info!(lease = %self.lease, "another replica looks after budgets");
            self.metrics.leads_budgets(false);
            self.metrics.budgets_managed(0);
        }
    }
}
