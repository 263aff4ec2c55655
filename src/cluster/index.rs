//! The facts of all objects of one kind.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Changes;
use super::removals::Removals;
use super::room::Room;
use crate::facts::{ByName, Weight};

/// What an object takes beside its facts: its name as a key, and its place.
const PLACE: usize = 96;

/// Facts by namespace and name; objects that have no namespace are in the namespace `""`.
#[derive(Debug)]
pub(super) struct Index<F> {
    held: RwLock<Held<F>>,
    listed: AtomicBool,
    room: Arc<Room>,
    changes: Option<Told>,
    removals: Option<Removals>,
}

#[derive(Debug)]
struct Held<F> {
    namespaces: HashMap<String, Inside<F>>,
}

/// What is held of a namespace.
#[derive(Debug)]
struct Inside<F> {
    by_name: ByName<F>,
    weight: usize,
    /// Whether there are objects for which there was no room.
    is_short: bool,
}

impl<F> Default for Held<F> {
    fn default() -> Self {
        Self { namespaces: HashMap::new() }
    }
}

impl<F> Default for Inside<F> {
    fn default() -> Self {
        Self { by_name: ByName::default(), weight: 0, is_short: false }
    }
}

/// Who is told of changes, and whether the objects are themselves the namespaces that change.
#[derive(Debug)]
struct Told {
    changes: Arc<Changes>,
    by_name: bool,
}

impl<F> Default for Index<F> {
    fn default() -> Self {
        let (held, listed, room) = (RwLock::default(), AtomicBool::new(false), Arc::default());
        Self { held, listed, room, changes: None, removals: None }
    }
}

impl<F: Weight> Index<F> {
    /// One that shares its room with others.
    pub(super) fn within(self, room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), ..self }
    }

    /// An empty one, whose objects will take the place of these.
    pub(super) fn successor(&self) -> Self {
        Self { room: Arc::new(self.room.without(self.read().weight())), ..Self::default() }
    }

    /// Whether every object of the namespace is here, as far as they are known.
    pub(super) fn is_whole(&self, namespace: &str) -> bool {
        self.read().namespaces.get(namespace).is_none_or(|inside| !inside.is_short)
    }

    /// Whether there was no room for an object since all were listed.
    pub(super) fn is_short(&self) -> bool {
        self.read().namespaces.values().any(|inside| inside.is_short)
    }

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
        self.read().namespaces.keys().cloned().collect()
    }

    /// How many objects there are of which this holds.
    pub(super) fn count(&self, holds: impl Fn(&F) -> bool) -> usize {
        self.read().all().filter(|facts| holds(facts)).count()
    }

    /// The facts of one object.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<F>> {
        self.read().namespaces.get(namespace)?.by_name.get(name).cloned()
    }

    /// The facts of every object of a namespace, by name.
    pub(super) fn all_in(&self, namespace: &str) -> Vec<Arc<F>> {
        self.by_name(namespace).values().cloned().collect()
    }

    /// The facts of every object of a namespace, shared; a write in the meantime makes a new map.
    pub(super) fn by_name(&self, namespace: &str) -> ByName<F> {
        self.read().namespaces.get(namespace).map(|inside| ByName::clone(&inside.by_name)).unwrap_or_default()
    }

    /// The last key of a namespace that begins with `start`.
    pub(super) fn last_with(&self, namespace: &str, start: &str) -> Option<String> {
        let held = self.read();
        // No key holds a greatest character.
        let end = format!("{start}{}", char::MAX);
        let (key, _) = held.namespaces.get(namespace)?.by_name.range(start.to_owned()..end).next_back()?;
        Some(key.clone())
    }

    /// The facts of every object, in no order.
    pub(super) fn all(&self) -> Vec<Arc<F>> {
        self.read().all().cloned().collect()
    }

    /// Keeps the facts of an object, in place of older ones. `false` where there is no room for them: its namespace holds more than
    /// its share.
    pub(super) fn insert(&self, namespace: String, name: String, facts: F) -> bool {
        let changed = self.changed(&namespace, &name);
        let is_kept = self.write().insert(&self.room, namespace, name, facts);
        self.tell(changed);
        is_kept
    }

    /// Forgets an object.
    pub(super) fn remove(&self, namespace: &str, name: &str) {
        self.write().remove(&self.room, namespace, name);
        if let Some(removals) = &self.removals {
            removals.one(namespace, name);
        }
        self.tell(self.changed(namespace, name));
    }

    /// Replaces everything by what is in `other`.
    pub(super) fn replace_by(&self, other: Self) {
        let new = other.held.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut held = self.write();
        self.room.exchange(held.weight(), new.weight());
        *held = new;
        drop(held);
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

    fn read(&self) -> RwLockReadGuard<'_, Held<F>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held<F>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Weight> Held<F> {
    fn all(&self) -> impl Iterator<Item = &Arc<F>> {
        self.namespaces.values().flat_map(|inside| inside.by_name.values())
    }

    fn weight(&self) -> usize {
        self.namespaces.values().map(|inside| inside.weight).sum()
    }

    fn insert(&mut self, room: &Room, namespace: String, name: String, facts: F) -> bool {
        let inside = self.namespaces.entry(namespace).or_default();
        let old = inside.by_name.get(&name).map_or(0, |old| weight(&name, &**old));
        let new = weight(&name, &facts);
        let is_kept = new <= old || room.admits(inside.weight - old + new, new - old);
        let by_name = Arc::make_mut(&mut inside.by_name);
        if is_kept {
            by_name.insert(name, Arc::new(facts));
        } else {
            by_name.remove(&name);
            inside.is_short = true;
        }
        let new = if is_kept { new } else { 0 };
        inside.weight = inside.weight - old + new;
        room.exchange(old, new);
        is_kept
    }

    fn remove(&mut self, room: &Room, namespace: &str, name: &str) {
        let Some(inside) = self.namespaces.get_mut(namespace) else { return };
        if let Some(facts) = Arc::make_mut(&mut inside.by_name).remove(name) {
            let old = weight(name, &*facts);
            inside.weight -= old;
            room.exchange(old, 0);
        }
        if inside.by_name.is_empty() && !inside.is_short {
            self.namespaces.remove(namespace);
        }
    }
}

fn weight<F: Weight>(name: &str, facts: &F) -> usize {
    PLACE + name.len() + facts.weight()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Service;

    fn service(bytes: usize) -> Service {
        Service { kind: "x".repeat(bytes), ..Service::default() }
    }

    /// L132
    #[test]
    fn a_namespace_holds_no_more_than_its_share_where_there_is_no_room_for_more() {
        let room = Arc::new(Room::of(80 << 10));
        let index = Index::default().within(&room);
        let insert = |index: &Index<Service>, namespace: &str, number: usize| {
            index.insert(namespace.to_owned(), format!("s{number}"), service(1 << 10))
        };
        let many =
            |index: &Index<Service>, namespace| (0..200).filter(|number| insert(index, namespace, *number)).count();
        let evil = many(&index, "evil");
        assert!((25..40).contains(&evil), "{evil}");
        assert!(!index.is_whole("evil") && index.is_short());
        // Others have their share all the same.
        assert!((0..5).all(|number| insert(&index, "shop", number)) && index.is_whole("shop"));
        // And more than that, as long as it is less than is left.
        assert!((0..12).all(|number| insert(&index, "bank", number)) && index.is_whole("bank"));
        // A change that makes less of it is kept, and one that is left out is not there as it was.
        assert!(index.insert("evil".to_owned(), "s0".to_owned(), service(1)));
        assert!(!index.insert("evil".to_owned(), "s1".to_owned(), service(9 << 10)));
        assert!(index.get("evil", "s1").is_none() && index.get("evil", "s0").is_some());
        // What is listed again takes the place of what is there, and tells whether all of it is.
        let listed = index.successor();
        assert!((0..10).all(|number| insert(&listed, "evil", number)));
        index.replace_by(listed);
        assert!(index.is_whole("evil") && !index.is_short());
        for namespace in ["evil", "shop", "bank"] {
            (0..15).for_each(|number| index.remove(namespace, &format!("s{number}")));
        }
        assert_eq!(many(&index, "other"), evil);
    }
}
