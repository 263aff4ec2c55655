//! The JSON patch of an injection: the smallest one, applied and decoded before it is given out (L3).

use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation};
use k8s_openapi::api::apps::v1::StatefulSet;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Injected, RECORD};

/// Why there is no patch.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// The object is not JSON.
    #[error("the object can't be decoded")]
    Decode(#[source] serde_json::Error),
    /// What is to be added can't be written as JSON.
    #[error("the injection can't be encoded")]
    Encode(#[source] serde_json::Error),
    /// An operation does not apply to the object.
    #[error("the patch does not apply")]
    Apply(#[source] json_patch::PatchError),
    /// The patched object is no StatefulSet any more.
    #[error("the patched object is not a StatefulSet")]
    Verify(#[source] serde_json::Error),
}

const ANTI_AFFINITY: [&str; 5] = ["spec", "template", "spec", "affinity", "podAntiAffinity"];

/// The patch that appends `new` to the object and records `all`, and the object as it will be.
///
/// # Errors
///
/// The patch would not apply, or what it makes is no StatefulSet; the API server would turn that into an internal error that
/// `failurePolicy: Ignore` does not cover.
pub fn patch(object: &str, new: &Injected, all: &Injected) -> Result<(Patch, Value), PatchError> {
    let mut object: Value = serde_json::from_str(object).map_err(PatchError::Decode)?;
    let mut lists = Map::new();
    for (name, terms) in [
        ("requiredDuringSchedulingIgnoredDuringExecution", terms(&new.required)?),
        ("preferredDuringSchedulingIgnoredDuringExecution", terms(&new.preferred)?),
    ] {
        if !terms.is_empty() {
            lists.insert(name.to_owned(), Value::Array(terms));
        }
    }
    let record = Value::String(serde_json::to_string(all).map_err(PatchError::Encode)?);
    let mut operations = Vec::new();
    merge(&object, &mut Vec::new(), nest(&ANTI_AFFINITY, lists), &mut operations);
    merge(
        &object,
        &mut Vec::new(),
        nest(&["metadata", "annotations"], Map::from_iter([(RECORD.to_owned(), record)])),
        &mut operations,
    );
    let patch = Patch(operations);
    json_patch::patch(&mut object, &patch).map_err(PatchError::Apply)?;
    StatefulSet::deserialize(&object).map_err(PatchError::Verify)?;
    Ok((patch, object))
}

fn terms<T: Serialize>(terms: &[T]) -> Result<Vec<Value>, PatchError> {
    terms.iter().map(|term| serde_json::to_value(term).map_err(PatchError::Encode)).collect()
}

/// `{"a": {"b": members}}` from the path `a`, `b`; nothing from no members.
fn nest(path: &[&str], members: Map<String, Value>) -> Map<String, Value> {
    if members.is_empty() {
        return members;
    }
    path.iter().rev().fold(members, |inner, name| Map::from_iter([((*name).to_owned(), Value::Object(inner))]))
}

/// Adds to `operations` what makes `target` contain `addition`: objects are merged, lists appended to, and what is absent or
/// null is added whole (L6).
fn merge(target: &Value, path: &mut Vec<String>, addition: Map<String, Value>, operations: &mut Vec<PatchOperation>) {
    for (name, value) in addition {
        path.push(name);
        let present = path.last().and_then(|name| target.get(name)).filter(|present| !present.is_null());
        match (present, value) {
            (Some(present @ Value::Object(_)), Value::Object(members)) => merge(present, path, members, operations),
            (Some(Value::Array(_)), Value::Array(items)) => {
                path.push("-".to_owned());
                operations.extend(items.into_iter().map(|item| add(path, item)));
                path.pop();
            }
            (Some(present), value) if *present == value => {}
            (_, value) => operations.push(add(path, value)),
        }
        path.pop();
    }
}

fn add(path: &[String], value: Value) -> PatchOperation {
    PatchOperation::Add(AddOperation { path: PointerBuf::from_tokens(path), value })
}
