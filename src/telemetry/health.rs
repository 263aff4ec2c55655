//! What `/readyz?verbose` shows: the state of each part that readiness depends on or that an operator should see.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The state of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Ok,
    /// Something is wrong that does not make Quorate unready, and what.
    Degraded(String),
    /// Not ready, and why.
    NotReady(String),
}

/// The states of all parts by name.
#[derive(Debug, Default)]
pub struct Health {
    parts: Mutex<BTreeMap<&'static str, State>>,
    told_ready: AtomicBool,
}

impl Health {
    /// Says how a part is.
    pub fn set(&self, part: &'static str, state: State) {
        self.parts().insert(part, state);
    }

    /// How a part is, if it has been said.
    #[must_use]
    pub fn state(&self, part: &'static str) -> Option<State> {
        self.parts().get(part).cloned()
    }

    /// Says that a part is well, unless something has been said about it.
    pub fn begin(&self, part: &'static str) {
        self.parts().entry(part).or_insert(State::Ok);
    }

    /// Every part and its state, by name.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&'static str, State> {
        self.parts().clone()
    }

    /// Whether no part is [`State::NotReady`].
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.parts().values().any(|state| matches!(state, State::NotReady(_)))
    }

    /// Whether no part is [`State::NotReady`], for somebody who asks: a kubelet, which has requests sent here then.
    pub fn tell_readiness(&self) -> bool {
        let ready = self.is_ready();
        self.told_ready.store(ready, Ordering::Relaxed);
        ready
    }

    /// Whether who asked last was told that Quorate is ready.
    #[must_use]
    pub fn is_known_to_be_ready(&self) -> bool {
        self.told_ready.load(Ordering::Relaxed) && self.is_ready()
    }

    fn parts(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
