//! Who has to give back what there is too little of, and in which order.
//!
//! Where a newcomer finds no room, the one who has kept its own for the longest without getting on goes, rather than the
//! newcomer: ten thousand idle connections, or as many bodies that never end, lock nobody out. Those who are about to be
//! answered are never in the line.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// How much a client has shown that it comes for what Quorate is there for. Who hasn't goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nothing of this connection was answered with success yet.
    Unproven,
    /// Something was, and now nothing is asked.
    Proven,
    /// Something was, and more is being asked.
    Engaged,
}

/// All those who can be asked to go, the first of them first.
#[derive(Debug, Clone, Default)]
pub(super) struct Line(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    taken: BTreeMap<(Standing, u64), Holder>,
    last: u64,
}

/// One who can be asked to go: how it hears of it, and how much it holds.
#[derive(Debug, Clone, Default)]
pub(super) struct Holder {
    goes: Arc<Notify>,
    holds: Arc<AtomicUsize>,
}

impl Holder {
    /// Returns once it has to go.
    pub(super) async fn must_go(&self) {
        self.goes.notified().await;
    }

    /// Says how much it holds now.
    pub(super) fn holds(&self, amount: usize) {
        self.holds.store(amount, Ordering::Relaxed);
    }
}

/// A place in the line, until it is left or dropped.
#[derive(Debug)]
pub(super) struct Place {
    line: Line,
    at: (Standing, u64),
}

impl Line {
    /// Takes the last place of those of this standing.
    pub(super) fn join(&self, standing: Standing, holder: &Holder) -> Place {
        let mut places = self.places();
        places.last += 1;
        let at = (standing, places.last);
        places.taken.insert(at, holder.clone());
        Place { line: self.clone(), at }
    }

    /// Tells the first to go, and returns how much it holds; `None` where nobody is in the line.
    pub(super) fn send_first(&self) -> Option<usize> {
        let (_, holder) = self.places().taken.pop_first()?;
        holder.goes.notify_one();
        Some(holder.holds.load(Ordering::Relaxed))
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Leaves the line; whether it may stay, or was told to go before.
    pub(super) fn leave(self) -> bool {
        self.line.places().taken.remove(&self.at).is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.line.places().taken.remove(&self.at);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn goes(holder: &Holder) -> bool {
        holder.must_go().now_or_never().is_some()
    }

    #[test]
    fn the_longest_without_success_goes_first() {
        let line = Line::default();
        let holders: Vec<_> = (0..4).map(|_| Holder::default()).collect();
        let standings = [Standing::Proven, Standing::Engaged, Standing::Unproven, Standing::Unproven];
        let _places: Vec<_> =
            standings.into_iter().zip(&holders).map(|(standing, holder)| line.join(standing, holder)).collect();
        for next in [2, 3, 0, 1] {
            assert!(!goes(&holders[next]));
            assert_eq!(line.send_first(), Some(0));
            assert!(goes(&holders[next]));
        }
        assert_eq!(line.send_first(), None);
    }

    #[test]
    fn nobody_is_told_to_go_who_left() {
        let line = Line::default();
        let (stays, gone) = (Holder::default(), Holder::default());
        stays.holds(7);
        drop(line.join(Standing::Unproven, &gone));
        let place = line.join(Standing::Unproven, &stays);
        assert!(place.leave());
        let place = line.join(Standing::Unproven, &stays);
        assert_eq!(line.send_first(), Some(7));
        assert!(!place.leave(), "it was told to go");
        assert!(goes(&stays) && !goes(&gone));
    }
}
