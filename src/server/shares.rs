//! What the reviews of one namespace may take of what there is for all of them (L141).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A namespace has a share of one in so many.
const SHARES: usize = 4;

/// What each namespace's reviews take.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    taken: Arc<Mutex<HashMap<String, Taken>>>,
    most: Taken,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Taken {
    requests: usize,
    bytes: usize,
}

/// A review's part of its namespace's share, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    shares: Shares,
    namespace: String,
    bytes: usize,
}

impl Shares {
    /// Shares of so many requests and bytes.
    pub(super) fn of(requests: usize, bytes: usize) -> Self {
        let most = Taken { requests: requests.div_ceil(SHARES), bytes: bytes / SHARES };
        Self { taken: Arc::default(), most }
    }

    /// Takes room for one review more, of so many bytes; `None` where the namespace has no more. One review always has room, as
    /// it may be larger than a share.
    pub(super) fn take(&self, namespace: String, bytes: usize) -> Option<Share> {
        let mut all = self.all();
        let taken = all.get(&namespace).copied().unwrap_or_default();
        let after = Taken { requests: taken.requests + 1, bytes: taken.bytes.saturating_add(bytes) };
        if taken.requests > 0 && (after.requests > self.most.requests || after.bytes > self.most.bytes) {
            return None;
        }
        all.insert(namespace.clone(), after);
        Some(Share { shares: self.clone(), namespace, bytes })
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut all = self.shares.all();
        let Some(taken) = all.get_mut(&self.namespace) else { return };
        taken.requests -= 1;
        taken.bytes -= self.bytes;
        if taken.requests == 0 {
            all.remove(&self.namespace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_has_its_share_and_no_more_l141() {
        let shares = Shares::of(8, 400);
        let take = |namespace: &str, bytes| shares.take(namespace.to_owned(), bytes);
        let (first, _second) = (take("flood", 10).unwrap(), take("flood", 10).unwrap());
        assert!(take("flood", 10).is_none());
        assert!(take("shop", 10).is_some());
        drop(first);
        assert!(take("flood", 91).is_none());
        assert!(take("flood", 90).is_some());
        // One that is larger than a share comes alone.
        let large = take("bank", 300).unwrap();
        assert!(take("bank", 0).is_none());
        drop(large);
        assert!(take("bank", 0).is_some());
        assert_eq!(shares.all().len(), 1);
    }
}
