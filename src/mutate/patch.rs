//! The JSON patch of an injection: the smallest one, applied and decoded before it is given out (L3).
//!
//! It names elements of lists by their index. That is safe, as the API server applies it to the very object that it was made
//! from: mutating webhooks are asked one after the other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::Hash;

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::edit::{drop_marked, ours_in};
use super::touched::{annotated, touched};
use super::{Edits, Injected, Item, Mark, RECORD};
use crate::facts::{MOST_ANNOTATED, UNVERIFIED_OWNER, Unread, decode};

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The object is not JSON.
    #[error("the object can't be decoded")]
    Decode(#[source] Unread),
    /// What is to be added can't be written as JSON.
    #[error("the injection can't be encoded")]
    Encode(#[source] serde_json::Error),
    /// An operation does not apply to the object.
    #[error("the patch does not apply")]
    Apply(#[source] json_patch::PatchError),
    /// With the record, the annotations would be longer than the API server lets them be.
    #[error("the annotations would have {0} bytes, of {MOST_ANNOTATED} that they may have")]
    Annotations(usize),
    /// The patched object is no StatefulSet any more.
    #[error("the patched object is not a StatefulSet")]
    Verify(#[source] serde_json::Error),
}

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
pub(super) const CONSTRAINTS: &str = "topologySpreadConstraints";
const POD: [&str; 3] = ["spec", "template", "spec"];
const ANTI_AFFINITY: [&str; 5] = ["spec", "template", "spec", "affinity", "podAntiAffinity"];
const ANNOTATIONS: [&str; 2] = ["metadata", "annotations"];

/// The patch that changes the object's lists as `injection` says, records what is ours, and marks the owner.
///
/// It is applied to all that it may touch, and what comes of that is decoded: nothing else changes. The rest is as the API server
/// wrote it, perhaps a newer one than our types know, and is passed over.
///
/// # Errors
///
/// The patch would not apply, or what it makes is no StatefulSet; the API server would turn that into an internal error that
/// `failurePolicy: Ignore` does not cover.
pub fn patch(object: &str, injection: Option<(&Edits, &Injected)>, mark: Mark<'_>) -> Result<Patch, PatchError> {
    let mut draft = Draft { object: touched(object).map_err(PatchError::Decode)?, operations: Vec::new() };
    if let Some((edits, record)) = injection {
        draft.edit(&ANTI_AFFINITY, REQUIRED, &edits.required)?;
        draft.edit(&ANTI_AFFINITY, PREFERRED, &edits.preferred)?;
        draft.edit(&POD, CONSTRAINTS, &edits.topology_spread_constraints)?;
        if record.is_empty() {
            draft.remove_member(&ANNOTATIONS, RECORD)?;
        } else {
            let text = serde_json::to_string(record).map_err(PatchError::Encode)?;
            draft.annotate(RECORD, text, object)?;
        }
    }
    match mark {
        Mark::Keep => {}
        Mark::Set(uid) => draft.annotate(UNVERIFIED_OWNER, uid.to_owned(), object)?,
        Mark::Remove => draft.remove_member(&ANNOTATIONS, UNVERIFIED_OWNER)?,
    }
    StatefulSet::deserialize(&draft.object).map_err(PatchError::Verify)?;
    Ok(Patch(draft.operations))
}

/// Whether two pod templates are the same but for what is ours, and for what is empty around that. They are compared as they are
/// written, by the same encoder: only what ours may be in is decoded.
#[must_use]
pub fn is_same_template(one: &str, other: &str, ours: &Injected) -> bool {
    match (Users::of(one, ours), Users::of(other, ours)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// A pod template without what is ours.
#[derive(PartialEq)]
struct Users<'a> {
    template: Members<'a>,
    pod: Option<Members<'a>>,
    /// What ours may be in.
    shared: Value,
}

/// The members of an object, as written.
type Members<'a> = BTreeMap<Cow<'a, str>, &'a str>;

impl<'a> Users<'a> {
    fn of(template: &'a str, ours: &Injected) -> Result<Self, Unread> {
        let mut template = members(template)?;
        let mut pod = template.remove("spec").map(members).transpose()?;
        let mut shared = Map::new();
        for name in ["affinity", CONSTRAINTS] {
            if let Some(written) = pod.as_mut().and_then(|pod| pod.remove(name)) {
                shared.insert(name.to_owned(), decode(written)?);
            }
        }
        let mut shared = Value::Object(shared);
        strip(&mut shared, CONSTRAINTS, &ours.topology_spread_constraints)?;
        if let Some(affinity) = shared.get_mut("affinity") {
            if let Some(terms) = affinity.get_mut("podAntiAffinity") {
                strip(terms, REQUIRED, &ours.required)?;
                strip(terms, PREFERRED, &ours.preferred)?;
            }
            drop_if_empty(affinity, "podAntiAffinity");
        }
        drop_if_empty(&mut shared, "affinity");
        Ok(Self { template, pod, shared })
    }
}

fn members(object: &str) -> Result<Members<'_>, Unread> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Written<'a>(#[serde(borrow)] BTreeMap<Key<'a>, &'a RawValue>);
    #[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
    #[serde(transparent)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    let Written(members) = decode(object)?;
    Ok(members.into_iter().map(|(Key(name), value)| (name, value.get())).collect())
}

/// Takes away which elements are ours. That is judged as everywhere else, by what is known of them: one with a member of a later
/// API is still ours.
fn strip<T: DeserializeOwned + Eq + Hash>(parent: &mut Value, name: &str, ours: &[T]) -> serde_json::Result<()> {
    if let Some(Value::Array(list)) = parent.get_mut(name)
        && !ours.is_empty()
    {
        let known: Vec<T> = list.iter().map(T::deserialize).collect::<Result<_, _>>()?;
        drop_marked(list, &ours_in(&known, ours));
    }
    drop_if_empty(parent, name);
    Ok(())
}

fn drop_if_empty(parent: &mut Value, name: &str) {
    if let Some(members) = parent.as_object_mut()
        && members.get(name).is_some_and(says_nothing)
    {
        members.remove(name);
    }
}

/// Whether a value is what is left where everything in it was taken away.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.values().all(Value::is_null),
        _ => false,
    }
}

/// What is touched of an object, and the operations that made it what it is.
struct Draft {
    object: Value,
    operations: Vec<PatchOperation>,
}

impl Draft {
    /// Makes the list of this name in this parent what `items` says.
    fn edit<T: Serialize>(&mut self, parent: &[&str], name: &str, items: &[Item<T>]) -> Result<(), PatchError> {
        let length = self.at(parent).and_then(|parent| parent.get(name)?.as_array()).map_or(0, Vec::len);
        if items.is_empty() {
            return if length == 0 { Ok(()) } else { self.remove_member(parent, name) };
        }
        let kept: Vec<usize> = items.iter().filter_map(Item::kept).collect();
        for index in (0..length).rev().filter(|index| !kept.contains(index)) {
            self.apply(remove(&path(parent, &[name, &index.to_string()])))?;
        }
        if kept.is_empty() && length == 0 {
            let all = items.iter().filter_map(Item::new_value).collect::<Result<_, _>>().map_err(PatchError::Encode)?;
            return self.set(parent, name, Value::Array(all));
        }
        let mut left = kept.len();
        for (index, item) in items.iter().enumerate() {
            match item.new_value() {
                None => left -= 1,
                Some(value) => {
                    let place = if left == 0 { "-".to_owned() } else { index.to_string() };
                    self.apply(add(&path(parent, &[name, &place]), value.map_err(PatchError::Encode)?))?;
                }
            }
        }
        Ok(())
    }

    /// Sets a member, and makes the parents that are absent or null (L6). What else is in their place is not ours to replace: an
    /// addition to it does not apply.
    fn set(&mut self, parent: &[&str], name: &str, value: Value) -> Result<(), PatchError> {
        let is_there = |depth: &usize| self.at(&parent[..*depth]).is_some_and(|value| !value.is_null());
        let there = (0..=parent.len()).rev().find(is_there);
        let depth = there.unwrap_or(0);
        if depth == parent.len() {
            if self.at(parent).and_then(|parent| parent.get(name)) == Some(&value) {
                return Ok(());
            }
            return self.apply(add(&path(parent, &[name]), value));
        }
        let inner = Value::Object(Map::from_iter([(name.to_owned(), value)]));
        let nested = parent[depth + 1..]
            .iter()
            .rev()
            .fold(inner, |inner, name| Value::Object(Map::from_iter([((*name).to_owned(), inner)])));
        self.apply(add(&path(&parent[..=depth], &[]), nested))
    }

    /// Removes a member, and the parents below `spec.template.spec` that say nothing any more.
    fn remove_member(&mut self, parent: &[&str], name: &str) -> Result<(), PatchError> {
        if self.at(parent).and_then(|parent| parent.get(name)).is_none() {
            return Ok(());
        }
        let mut whole: Vec<&str> = parent.iter().copied().chain([name]).collect();
        while let Some((last, above)) = whole.split_last() {
            let alone = self
                .at(above)
                .and_then(Value::as_object)
                .is_some_and(|members| members.iter().all(|(name, value)| name == last || value.is_null()));
            if !(alone && above.len() > POD.len() && above.starts_with(&POD)) {
                break;
            }
            whole.pop();
        }
        self.apply(remove(&path(&whole, &[])))
    }

    /// Sets an annotation of the object as it is written. That must not make of a good object one that the API server rejects.
    fn annotate(&mut self, key: &str, value: String, object: &str) -> Result<(), PatchError> {
        self.set(&ANNOTATIONS, key, Value::String(value))?;
        let ours = self.at(&ANNOTATIONS).and_then(Value::as_object).into_iter().flatten();
        let ours: usize = ours.map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
        let bytes = ours + annotated(object).map_err(PatchError::Decode)?;
        if bytes > MOST_ANNOTATED { Err(PatchError::Annotations(bytes)) } else { Ok(()) }
    }

    fn at(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(&self.object, |value, name| value.get(*name))
    }

    fn apply(&mut self, operation: PatchOperation) -> Result<(), PatchError> {
        json_patch::patch(&mut self.object, std::slice::from_ref(&operation)).map_err(PatchError::Apply)?;
        self.operations.push(operation);
        Ok(())
    }
}

impl<T: Serialize> Item<T> {
    fn kept(&self) -> Option<usize> {
        match self {
            Self::Kept(index) => Some(*index),
            Self::New(_) => None,
        }
    }

    fn new_value(&self) -> Option<serde_json::Result<Value>> {
        match self {
            Self::Kept(_) => None,
            Self::New(item) => Some(serde_json::to_value(item)),
        }
    }
}

fn path(parent: &[&str], rest: &[&str]) -> PointerBuf {
    PointerBuf::from_tokens(parent.iter().chain(rest).copied())
}

fn add(path: &PointerBuf, value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: path.clone(), value })
}

fn remove(path: &PointerBuf) -> PatchOperation {
    PatchOperation::Remove(RemoveOperation { path: path.clone() })
}
