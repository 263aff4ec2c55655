//! Logs, metrics and health: how Quorate tells what it does.

mod health;
mod metrics;

pub use health::{Health, State};
pub use metrics::Metrics;
