//! Where something has changed, for whoever acts on changes.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// The namespaces in which something has changed since they were last taken. However many changes there were, a namespace is
/// there once: whoever takes it looks at what there is now.
#[derive(Debug, Default)]
pub struct Changes {
    changed: Mutex<Changed>,
    notify: Notify,
}

/// Namespaces in which something has changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Whether everything may have.
    pub all: bool,
    /// Otherwise, where.
    pub namespaces: BTreeSet<String>,
}

impl Changes {
    /// Something has changed in this namespace.
    pub fn one(&self, namespace: String) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nobody takes them, namespaces that came and went must not pile up.
        if !changed.all {
            changed.namespaces.insert(namespace);
        }
        drop(changed);
        self.notify.notify_one();
    }

    /// Something has changed, perhaps anywhere.
    pub fn all(&self) {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner) = Changed { all: true, ..Changed::default() };
        self.notify.notify_one();
    }

    /// Waits until something has changed, and says where. One reader only.
    pub async fn next(&self) -> Changed {
        loop {
            let changed = self.take();
            if changed != Changed::default() {
                return changed;
            }
            self.notify.notified().await;
        }
    }

    /// What has changed up to now.
    pub fn take(&self) -> Changed {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_changes_in_a_namespace_are_one() {
        let changes = Changes::default();
        for _ in 0..3 {
            changes.one("shop".to_owned());
        }
        changes.one("bank".to_owned());
        let expected = Changed { all: false, namespaces: ["bank", "shop"].map(str::to_owned).into() };
        assert_eq!(changes.next().await, expected);
        assert_eq!(changes.take(), Changed::default());
        changes.all();
        assert!(changes.next().await.all);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_wakes_whoever_waits() {
        let changes = std::sync::Arc::new(Changes::default());
        let waits = tokio::spawn({
            let changes = std::sync::Arc::clone(&changes);
            async move { changes.next().await }
        });
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        changes.one("shop".to_owned());
        assert!(waits.await.unwrap().namespaces.contains("shop"));
    }
}
