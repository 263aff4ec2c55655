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
    /// Its `uid`; empty in a manifest.
    pub uid: String,
    /// Its `resourceVersion`; empty in a manifest.
    pub resource_version: String,
    /// The object's labels.
    pub labels: Labels,
    /// The annotations that are Quorate's own: keys that begin with `quorate.dev/`.
    pub annotations: Labels,
    /// Whether `deletionTimestamp` is set.
    pub terminating: bool,
    /// What holds an object that is being deleted; empty for any other object.
    pub finalizers: Vec<String>,
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
    /// The owner's `uid`.
    #[serde(default, deserialize_with = "null_as_default")]
    pub uid: String,
}

/// Quorate's annotations begin with this.
const ANNOTATION_PREFIX: &str = "quorate.dev/";

/// The API groups of Kubernetes itself. Whoever owns a StatefulSet and is of none of them is somebody's custom resource.
const BUILT_IN: &[&str] = &[
    "",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "extensions",
    "flowcontrol.apiserver.k8s.io",
    "internal.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "resource.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
    "storagemigration.k8s.io",
];

impl Owner {
    /// Whether it is of an API group that is not Kubernetes' own: somebody's custom resource, which an operator looks after.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        !BUILT_IN.contains(&self.group())
    }

    /// The API group; empty for the core's.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    namespace: Option<String>,
    name: Option<String>,
    generate_name: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    uid: String,
    #[serde(default, deserialize_with = "null_as_default")]
    resource_version: String,
    #[serde(default, deserialize_with = "labels")]
    labels: Labels,
    #[serde(default, deserialize_with = "labels")]
    annotations: Labels,
    deletion_timestamp: Option<String>,
    finalizers: Option<Vec<String>>,
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
            uid: wire.uid,
            resource_version: wire.resource_version,
            labels: wire.labels,
            annotations,
            terminating: wire.deletion_timestamp.is_some(),
            finalizers: wire.finalizers.filter(|_| wire.deletion_timestamp.is_some()).unwrap_or_default(),
            controller: wire
                .owner_references
                .into_iter()
                .flatten()
                .find(|reference| reference.controller == Some(true))
                .map(|reference| reference.owner),
        }
    }
}
