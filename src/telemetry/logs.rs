//! Logs: what `tracing` records, as text for people or JSON for machines, on stderr. Stdout belongs to results.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Lines for people; in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging, and turns panics into log lines (what panicked is caught elsewhere). The first call of a process counts.
///
/// # Errors
///
/// `filter` isn't in the syntax of `tracing` filters.
pub fn start(format: Format, filter: &str) -> Result<(), ParseError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(filter)?)
        .with_writer(stderr)
        .with_ansi(coloured());
    let started = match format {
        Format::Text => builder.with_target(false).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    if started.is_ok() {
        std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "panicked")));
    }
    Ok(())
}

/// Whether stderr is a terminal whose user has not asked for plain text (<https://no-color.org>).
fn coloured() -> bool {
    stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
