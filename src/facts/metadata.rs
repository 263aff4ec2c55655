//! ObjectMeta, trimmed.

use std::fmt;

use serde::de::IgnoredAny;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Labels;
use super::lenient::{labels, labels_with_prefix, null_as_default};

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
    /// The ownerReference with `controller: true`.
    pub controller: Option<Owner>,
    /// Whether no operator has written that owner yet: [`UNVERIFIED_OWNER`] names it.
    pub unverified_owner: bool,
}

/// The annotation that names the uid of a controlling owner that no operator has written yet (L133).
pub const UNVERIFIED_OWNER: &str = "quorate.dev/unverified-owner";

/// How many bytes the keys and values of an object's annotations may have together
/// (`TotalAnnotationSizeLimitB` in `apimachinery/pkg/api/validation`).
pub const MOST_ANNOTATED: usize = 256 << 10;

/// The longest name of an object (a DNS subdomain of RFC 1123).
pub(super) const LONGEST_NAME: usize = 253;

impl Metadata {
    /// Whether a custom resource controls the object, and an operator has written that or may have.
    #[must_use]
    pub fn is_operators(&self) -> bool {
        !self.unverified_owner && self.controller.as_ref().is_some_and(Owner::is_custom)
    }
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
    pub fn is_custom(&self) -> bool {
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
    #[serde(default, deserialize_with = "own_annotations")]
    annotations: Labels,
    deletion_timestamp: Option<String>,
    owner_references: Option<Vec<WireOwner>>,
}

/// An [`Owner`] and whether it controls; not flattened, which would keep what nobody reads.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireOwner {
    controller: Option<bool>,
    #[serde(default, deserialize_with = "null_as_default")]
    api_version: String,
    #[serde(default, deserialize_with = "null_as_default")]
    kind: String,
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    uid: String,
}

impl From<WireOwner> for Owner {
    fn from(WireOwner { api_version, kind, name, uid, .. }: WireOwner) -> Self {
        let [api_version, kind, name, uid] = [api_version, kind, name, uid].map(shortened);
        Self { api_version, kind, name, uid }
    }
}

/// No more of it than a name may have: the API server bounds nothing of an ownerReference, and a cache would keep it.
fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_NAME {
        text.truncate(text.floor_char_boundary(LONGEST_NAME));
        text.shrink_to_fit();
    }
    text
}

/// The controlling one of an object's `ownerReferences`. No other is held, however many there are.
#[derive(Debug, Default)]
pub(super) struct Controlling(pub(super) Option<Owner>);

impl<'de> Deserialize<'de> for Controlling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct First;
        impl<'de> Visitor<'de> for First {
            type Value = Controlling;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut references: A) -> Result<Controlling, A::Error> {
                let mut found = None;
                while let Some(reference) = references.next_element::<WireOwner>()? {
                    if found.is_none() && reference.controller == Some(true) {
                        found = Some(Owner::from(reference));
                    }
                }
                Ok(Controlling(found))
            }
        }
        deserializer.deserialize_seq(First)
    }
}

/// What is kept of the `metadata` of an object whose labels and owners no rule reads.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Named {
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) namespace: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(super) resource_version: String,
    deletion_timestamp: Option<String>,
    owner_references: Option<Vec<IgnoredAny>>,
}

impl Named {
    /// Whether it has an owner, with which the garbage collector deletes it.
    pub(super) fn is_owned(&self) -> bool {
        self.owner_references.as_ref().is_some_and(|owners| !owners.is_empty())
    }

    /// Whether `deletionTimestamp` is set.
    pub(super) fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// What there is to see of an object's `metadata` where the object as a whole can't be read.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// The annotations that are Quorate's own.
    #[serde(default, deserialize_with = "own_annotations")]
    pub annotations: Labels,
    /// When its deletion was asked for.
    pub deletion_timestamp: Option<String>,
}

fn own_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
    labels_with_prefix(ANNOTATION_PREFIX, deserializer)
}

impl From<Wire> for Metadata {
    fn from(wire: Wire) -> Self {
        let references = wire.owner_references.into_iter().flatten();
        let controller = references.into_iter().find(|reference| reference.controller == Some(true)).map(Owner::from);
        let marked = wire.annotations.get(UNVERIFIED_OWNER);
        let unverified_owner = controller.as_ref().is_some_and(|owner| marked == Some(&owner.uid));
        Self {
            namespace: wire.namespace.unwrap_or_default(),
            name: wire.name.filter(|name| !name.is_empty()).or(wire.generate_name).unwrap_or_default(),
            uid: wire.uid,
            resource_version: wire.resource_version,
            labels: wire.labels,
            annotations: wire.annotations,
            terminating: wire.deletion_timestamp.is_some(),
            controller,
            unverified_owner,
        }
    }
}
