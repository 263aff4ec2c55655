//! Which of several replicas looks after budgets: the one that holds a Lease.
//!
//! `kube-lease-manager` does it. It compares clocks of different machines and takes a Lease that has run out without a
//! precondition, so that two replicas may for seconds take themselves for the leader: writes are made so that this does no
//! harm. What the Lease is for is that work is done, and told, once.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseCreateMode, LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long a Lease lasts that isn't renewed: so long budgets are left alone after their controller has died.
const DURATION: Duration = Duration::from_secs(15);

/// How long before that it is renewed.
const GRACE: Duration = Duration::from_secs(10);

/// A Lease, which has to be there: whoever installs Quorate makes it, so that its name can stand in RBAC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Lease {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Whether this replica leads, and the task that finds out. Dropping the first ends the second, which gives the Lease back.
pub(super) type Standing = (watch::Receiver<bool>, JoinHandle<Result<LeaseManager, LeaseManagerError>>);

/// Stands for election.
///
/// # Errors
///
/// There is no such Lease, or it can't be read.
pub(super) async fn stand(client: Client, lease: &Lease, identity: &str) -> Result<Standing, LeaseManagerError> {
    let manager = LeaseManagerBuilder::new(client, &lease.name)
        .with_namespace(&lease.namespace)
        .with_create_mode(LeaseCreateMode::UseExistent)
        .with_identity(identity)
        .with_field_manager(format!("quorate-{identity}"))
        .with_duration(DURATION.as_secs())
        .with_grace(GRACE.as_secs())
        .build()
        .await?;
    Ok(manager.watch().await)
}

/// A name for this process that no other has: the Pod's, and something by chance.
pub(super) fn identity() -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|name| !name.is_empty() && name.len() <= 63);
    let chance = RandomState::new().build_hasher().finish();
    format!("{}_{chance:016x}", host.as_deref().unwrap_or("quorate"))
}
