//! Metrics, with labels from closed sets only (L37).

use std::time::Duration;

/// The metrics of one process.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// A review was answered: by which webhook (`validate`, `mutate`), for which operation (`CREATE`, …), with which verdict
    /// (`allow`, `warn`, `deny`, `error`), and how long it took.
    pub fn answered(&self, _webhook: &'static str, _operation: &'static str, _verdict: &'static str, _took: Duration) {}

    /// A violation was found, by the name of its rule and the action that it led to.
    pub fn violation(&self, _rule: &'static str, _action: &'static str) {}

    /// Quorate failed inside a request: `undecodable`, `deadline`, `panic`, `live_read`, `patch`.
    pub fn internal_error(&self, _kind: &'static str) {}

    /// So many policies are in force.
    pub fn policies_loaded(&self, _count: usize) {}

    /// Policy files were read again.
    pub fn policies_reloaded(&self, _succeeded: bool) {}
}
