//! Logs, metrics and health: how Quorate tells what it does. Knows nothing of how anything is decided or served.

mod health;
pub mod logs;
mod metrics;

pub use health::{Health, State};
pub use metrics::Metrics;
