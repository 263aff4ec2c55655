//! Waiting for what a cluster does in its own time: generously, and saying what was seen last.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take. No test says that something is fast: it only must not hang.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// Asks `look` until it returns `Ok`; what it last returned as an error is what the message quotes.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(value) => return Ok(value),
            Err(seen) if Instant::now() > deadline => {
                bail!("waited {} s for {what}; last seen: {seen:#}", PATIENCE.as_secs());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
