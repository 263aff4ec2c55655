//! Tasks that run beside the webhook until the process ends.

use std::sync::Arc;

use crate::server::supervise;
use crate::telemetry::{Health, Metrics};

/// What every background task reports to.
#[derive(Debug, Default)]
pub(super) struct Background {
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
}

impl Background {
    /// Runs a task, and again whenever it ends; `/readyz?verbose` shows it by this name.
    pub(super) fn run<F>(&self, name: &'static str, start: impl Fn(Arc<Metrics>, Arc<Health>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.health.begin(name);
        let (metrics, health) = (Arc::clone(&self.metrics), Arc::clone(&self.health));
        let start = move || start(Arc::clone(&metrics), Arc::clone(&health));
        tokio::spawn(supervise(name, Arc::clone(&self.metrics), Arc::clone(&self.health), start));
    }
}
