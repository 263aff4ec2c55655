//! The facts of all objects of one kind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Changes;
use super::removals::Removals;
use crate::facts::ByName;

/// Facts by namespace and name; objects that have no namespace are in the namespace `""`.
#[derive(Debug)]
pub(super) struct Index<F> {
    namespaces: RwLock<HashMap<String, ByName<F>>>,
    listed: AtomicBool,
    changes: Option<Told>,
    removals: Option<Removals>,
}

/// Who is told of changes, and whether the objects are themselves the namespaces that change.
#[derive(Debug)]
struct Told {
    changes: Arc<Changes>,
    by_name: bool,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        Self { namespaces: RwLock::default(), listed: AtomicBool::new(false), changes: None, removals: None }
    }
}

impl<F> Index<F> {
    /// One that tells of the namespaces in which its objects change.
    pub(super) fn telling(changes: &Arc<Changes>) -> Self {
        Self { changes: Some(Told { changes: Arc::clone(changes), by_name: false }), ..Self::default() }
    }

    /// One of Namespaces that tells which of them change.
    pub(super) fn of_namespaces(changes: &Arc<Changes>) -> Self {
        Self { changes: Some(Told { changes: Arc::clone(changes), by_name: true }), ..Self::default() }
    }

    /// One that remembers for a moment what was removed.
    pub(super) fn remembering(self) -> Self {
        Self { removals: Some(Removals::default()), ..self }
    }

    /// Whether an object may have been removed a moment ago.
    pub(super) fn may_have_had(&self, namespace: &str, name: &str) -> bool {
        self.removals.as_ref().is_some_and(|removals| removals.may_include(namespace, name))
    }

    /// Whether all objects have been listed once: before that, an object that isn't here may be there all the same.
    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Acquire)
    }

    /// The namespaces that hold objects.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.read().keys().cloned().collect()
    }

    /// How many objects there are of which this holds.
    pub(super) fn count(&self, holds: impl Fn(&F) -> bool) -> usize {
        self.read().values().flat_map(|by_name| by_name.values()).filter(|facts| holds(facts)).count()
    }

    /// The facts of one object.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<F>> {
        self.read().get(namespace)?.get(name).cloned()
    }

    /// The facts of every object of a namespace, by name.
    pub(super) fn all_in(&self, namespace: &str) -> Vec<Arc<F>> {
        self.by_name(namespace).values().cloned().collect()
    }

    /// The facts of every object of a namespace, shared; a write in the meantime makes a new map.
    pub(super) fn by_name(&self, namespace: &str) -> ByName<F> {
        self.read().get(namespace).cloned().unwrap_or_default()
    }

    /// The last key of a namespace that begins with `start`.
    pub(super) fn last_with(&self, namespace: &str, start: &str) -> Option<String> {
        let namespaces = self.read();
        // No key holds a greatest character.
        let end = format!("{start}{}", char::MAX);
        let (key, _) = namespaces.get(namespace)?.range(start.to_owned()..end).next_back()?;
        Some(key.clone())
    }

    /// The facts of every object, in no order.
    pub(super) fn all(&self) -> Vec<Arc<F>> {
        self.read().values().flat_map(|by_name| by_name.values()).cloned().collect()
    }

    /// Keeps the facts of an object, in place of older ones.
    pub(super) fn insert(&self, namespace: String, name: String, facts: F) {
        let changed = self.changed(&namespace, &name);
        Arc::make_mut(self.write().entry(namespace).or_default()).insert(name, Arc::new(facts));
        self.tell(changed);
    }

    /// Forgets an object.
    pub(super) fn remove(&self, namespace: &str, name: &str) {
        let mut namespaces = self.write();
        if let Some(by_name) = namespaces.get_mut(namespace) {
            Arc::make_mut(by_name).remove(name);
            if by_name.is_empty() {
                namespaces.remove(namespace);
            }
        }
        drop(namespaces);
        if let Some(removals) = &self.removals {
            removals.one(namespace, name);
        }
        self.tell(self.changed(namespace, name));
    }

    /// Replaces everything by what is in `other`.
    pub(super) fn replace_by(&self, other: Self) {
        *self.write() = other.namespaces.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.listed.store(true, Ordering::Release);
        if let Some(removals) = &self.removals {
            removals.any();
        }
        if let Some(told) = &self.changes {
            told.changes.all();
        }
    }

    /// The namespace in which something changes with the object, where anybody is told of it.
    fn changed(&self, namespace: &str, name: &str) -> Option<String> {
        self.changes.as_ref().map(|told| if told.by_name { name } else { namespace }.to_owned())
    }

    fn tell(&self, changed: Option<String>) {
        if let (Some(told), Some(namespace)) = (&self.changes, changed) {
            told.changes.one(namespace);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<String, ByName<F>>> {
        self.namespaces.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashMap<String, ByName<F>>> {
        self.namespaces.write().unwrap_or_else(PoisonError::into_inner)
    }
}
