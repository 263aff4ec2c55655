//! The facts of all objects of one kind.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type ByName<F> = HashMap<String, Arc<F>>;

/// Facts by namespace and name; objects that have no namespace are in the namespace `""`.
#[derive(Debug)]
pub(super) struct Index<F> {
    namespaces: RwLock<HashMap<String, ByName<F>>>,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        Self { namespaces: RwLock::default() }
    }
}

impl<F> Index<F> {
    /// The facts of one object.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<F>> {
        self.read().get(namespace)?.get(name).cloned()
    }

    /// The facts of every object of a namespace, by name.
    pub(super) fn all_in(&self, namespace: &str) -> Vec<Arc<F>> {
        let namespaces = self.read();
        let mut all: Vec<_> = namespaces.get(namespace).into_iter().flatten().collect();
        all.sort_by_key(|(name, _)| name.as_str());
        all.into_iter().map(|(_, facts)| facts.clone()).collect()
    }

    /// The facts of every object, in no order.
    pub(super) fn all(&self) -> Vec<Arc<F>> {
        self.read().values().flat_map(HashMap::values).cloned().collect()
    }

    /// Keeps the facts of an object, in place of older ones.
    pub(super) fn insert(&self, namespace: String, name: String, facts: F) {
        self.write().entry(namespace).or_default().insert(name, Arc::new(facts));
    }

    /// Forgets an object.
    pub(super) fn remove(&self, namespace: &str, name: &str) {
        let mut namespaces = self.write();
        if let Some(by_name) = namespaces.get_mut(namespace) {
            by_name.remove(name);
            if by_name.is_empty() {
                namespaces.remove(namespace);
            }
        }
    }

    /// Replaces everything by what is in `other`.
    pub(super) fn replace_by(&self, other: Self) {
        *self.write() = other.namespaces.into_inner().unwrap_or_else(PoisonError::into_inner);
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, ByName<F>>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, ByName<F>>> {
        self.namespaces.write().unwrap_or_else(PoisonError::into_inner)
    }
}
