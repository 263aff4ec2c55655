//! Keeps background tasks alive: reloads, watches and probes must outlast whatever one bad input does to them (L44).

use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep};
use tracing::error;

use crate::telemetry::{Health, Metrics, State};

/// The pause before the first restart; doubled with each that follows soon, up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

/// A task that ran this long was well: the pauses begin anew.
const WELL: Duration = Duration::from_mins(1);

/// Runs the task that `start` makes, and whenever it ends or panics, again after a pause. Each restart is logged and counted
/// under `name`, which `/readyz?verbose` shows as degraded meanwhile, or as not ready where it wasn't before. Never returns; the
/// task ends when this is dropped.
pub async fn supervise<F>(name: &'static str, metrics: Arc<Metrics>, health: Arc<Health>, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut pause = PAUSES.0;
    loop {
        let started = Instant::now();
        let mut tasks = JoinSet::new();
        tasks.spawn(start());
        let reason = describe(tasks.join_next().await);
        if started.elapsed() >= WELL {
            pause = PAUSES.0;
        }
        error!(task = name, reason, again_in = ?pause, "a background task ended");
        metrics.task_restarted(name);
        let before = health.state(name).unwrap_or(State::Ok);
        let why = format!("the task {reason} and is started again");
        // A cache whose first list is not complete does not become ready by failing.
        let is_ready = !matches!(before, State::NotReady(_));
        health.set(name, if is_ready { State::Degraded(why) } else { State::NotReady(why) });
        sleep(pause).await;
        health.set(name, before);
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn describe(ended: Option<Result<(), JoinError>>) -> &'static str {
    match ended {
        Some(Err(error)) if error.is_panic() => "panicked",
        _ => "ended",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn starts_a_task_again_after_it_panicked_or_ended() {
        let metrics = Arc::new(Metrics::default());
        let health = Arc::new(Health::default());
        let starts = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&starts);
        let task = move || {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            async move { assert_ne!(start, 0, "the first one panics") }
        };
        let supervised = supervise("certificate", Arc::clone(&metrics), Arc::clone(&health), task);
        tokio::time::timeout(Duration::from_secs(20), supervised).await.unwrap_err();
        assert!(starts.load(Ordering::SeqCst) > 5);
        assert!(metrics.encode().contains("quorate_task_restarts_total{task=\"certificate\"}"));
        assert!(health.is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_fails_makes_nobody_ready() {
        let health = Arc::new(Health::default());
        health.set("cache-nodes", State::NotReady("not listed yet".to_owned()));
        let supervised = supervise("cache-nodes", Arc::default(), Arc::clone(&health), || async {});
        tokio::pin!(supervised);
        for _ in 0..100 {
            tokio::time::timeout(Duration::from_millis(50), &mut supervised).await.unwrap_err();
            assert!(!health.is_ready());
        }
    }
}
