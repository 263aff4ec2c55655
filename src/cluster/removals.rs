//! What was removed a moment ago, for what follows a removal and may be known later than it.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long a removal is remembered. A cache lags by less.
const REMEMBERED: Duration = Duration::from_secs(10);

/// How many removals are remembered. Of more in so short a time nothing is known, and everything may have been removed.
const MOST: usize = 1000;

/// The last removals of one kind.
#[derive(Debug, Default)]
pub(super) struct Removals(Mutex<Last>);

#[derive(Debug, Default)]
struct Last {
    removed: VecDeque<(Instant, String, String)>,
    /// When anything may have been removed.
    unknown: Option<Instant>,
}

impl Removals {
    /// This one was removed.
    pub(super) fn one(&self, namespace: &str, name: &str) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.removed.push_back((Instant::now(), namespace.to_owned(), name.to_owned()));
        if last.removed.len() > MOST {
            last.unknown = last.removed.pop_front().map(|(at, ..)| at);
        }
    }

    /// Any may have been removed.
    pub(super) fn any(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).unknown = Some(Instant::now());
    }

    /// Whether this one may have been removed a moment ago.
    pub(super) fn may_include(&self, namespace: &str, name: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while last.removed.front().is_some_and(|(at, ..)| at.elapsed() > REMEMBERED) {
            last.removed.pop_front();
        }
        last.unknown.is_some_and(|at| at.elapsed() <= REMEMBERED)
            || last.removed.iter().any(|(_, in_namespace, its_name)| in_namespace == namespace && its_name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_removal_is_remembered_for_a_while() {
        let removals = Removals::default();
        removals.one("shop", "db");
        assert!(removals.may_include("shop", "db") && !removals.may_include("bank", "db"));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert!(!removals.may_include("shop", "db"));
        for number in 0..=MOST {
            removals.one("shop", &number.to_string());
        }
        assert!(removals.may_include("bank", "db"));
        tokio::time::advance(REMEMBERED + Duration::from_secs(1)).await;
        assert!(!removals.may_include("bank", "db"));
    }
}
