//! The memory that the facts of all objects may take together, and whose objects are left out where they take more (L132).
//!
//! Anybody who may edit a namespace can store as many objects in it as etcd takes. Kept without a bound, they would end every
//! replica, and again after each restart.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A namespace may have a share of one in so many, of each kind, however much the others have. Past that it may have as much as is
/// left: so one can take half at most, two a third each, and who has less than they still has room.
const SHARES: usize = 8;

/// The memory of all caches.
#[derive(Debug)]
pub(super) struct Room {
    taken: AtomicUsize,
    most: usize,
}

impl Default for Room {
    /// Without a bound.
    fn default() -> Self {
        Self::of(usize::MAX)
    }
}

impl Room {
    /// So many bytes.
    pub(super) fn of(most: usize) -> Self {
        Self { taken: AtomicUsize::new(0), most }
    }

    /// The room that there will be for what takes the place of facts of this weight.
    pub(super) fn without(&self, weight: usize) -> Self {
        Self { taken: AtomicUsize::new(self.taken.load(Ordering::Relaxed).saturating_sub(weight)), most: self.most }
    }

    /// Whether a namespace that comes to hold `all` of a kind may hold `more` than it does.
    pub(super) fn admits(&self, all: usize, more: usize) -> bool {
        let taken = self.taken.load(Ordering::Relaxed).saturating_add(more);
        all <= self.most / SHARES || all <= self.most.saturating_sub(taken)
    }

    /// Puts facts of one weight in the place of others.
    pub(super) fn exchange(&self, old: usize, new: usize) {
        self.taken.fetch_add(new, Ordering::Relaxed);
        self.taken.fetch_sub(old, Ordering::Relaxed);
    }
}
