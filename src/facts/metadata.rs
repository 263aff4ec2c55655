//! ObjectMeta, trimmed.

use serde::Deserialize;

use super::Labels;
use super::lenient::{labels, null_as_default};

/// What rules need of an object's `metadata`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Metadata {
    /// The object's namespace; empty in a manifest that names none.
    pub namespace: String,
    /// The object's name, or its `generateName` where the API server has yet to make a name from that.
    pub name: String,
    /// The object's labels.
    pub labels: Labels,
    /// The annotations that are Quorate's own: keys that begin with `quorate.dev/`.
    pub annotations: Labels,
    /// Whether `deletionTimestamp` is set.
    pub terminating: bool,
    /// The ownerReference with `controller: true`.
    pub controller: Option<Owner>,
}

/// The object that controls another one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// Group and version, as in `apps/v1`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub api_version: String,
    /// The owner's kind.
    #[serde(default, deserialize_with = "null_as_default")]
    pub kind: String,
    /// The owner's name.
    #[serde(default, deserialize_with = "null_as_default")]
    pub name: String,
}

/// Quorate's annotations begin with this.
const ANNOTATION_PREFIX: &str = "quorate.dev/";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    namespace: Option<String>,
    name: Option<String>,
    generate_name: Option<String>,
    #[serde(default, deserialize_with = "labels")]
    labels: Labels,
    #[serde(default, deserialize_with = "labels")]
    annotations: Labels,
    deletion_timestamp: Option<String>,
    owner_references: Option<Vec<WireOwner>>,
}

#[derive(Deserialize)]
struct WireOwner {
    controller: Option<bool>,
    #[serde(flatten)]
    owner: Owner,
}

impl From<Wire> for Metadata {
    fn from(wire: Wire) -> Self {
        let mut annotations = wire.annotations;
        annotations.retain(|key, _| key.starts_with(ANNOTATION_PREFIX));
        Self {
            namespace: wire.namespace.unwrap_or_default(),
            name: wire.name.filter(|name| !name.is_empty()).or(wire.generate_name).unwrap_or_default(),
            labels: wire.labels,
            annotations,
            terminating: wire.deletion_timestamp.is_some(),
            controller: wire
                .owner_references
                .into_iter()
                .flatten()
                .find(|reference| reference.controller == Some(true))
                .map(|reference| reference.owner),
        }
    }
}
