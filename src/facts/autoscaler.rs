//! A HorizontalPodAutoscaler: what really decides on replicas.

use serde::Deserialize;

use super::StatefulSet;
use super::metadata::LONGEST_NAME;
use super::metadata::Named;

/// What rules need of a HorizontalPodAutoscaler.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Autoscaler {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `resourceVersion`; empty in a manifest.
    pub resource_version: String,
    /// The StatefulSet that it scales; `None` where it scales something else.
    pub target: Option<String>,
    /// `spec.minReplicas`; 1 where absent.
    pub min_replicas: i32,
    /// `spec.maxReplicas`.
    pub max_replicas: i32,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Whether it has an owner, with which the garbage collector deletes it; at once, where that is gone.
    pub is_owned: bool,
}

impl Autoscaler {
    /// Whether both scale the same in the same bounds.
    #[must_use]
    pub fn scales_as(&self, other: &Self) -> bool {
        (&self.target, self.min_replicas, self.max_replicas) == (&other.target, other.min_replicas, other.max_replicas)
    }

    /// Whether it scales this StatefulSet.
    #[must_use]
    pub fn targets(&self, statefulset: &StatefulSet) -> bool {
        self.namespace == statefulset.metadata.namespace && self.target.as_ref() == Some(&statefulset.metadata.name)
    }
}

/// Whether it can be an object's name. The API server takes any text for a target, and a cache would keep it.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST_NAME
}

#[derive(Deserialize)]
struct Wire {
    metadata: Named,
    spec: Option<WireSpec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    scale_target_ref: Option<WireTarget>,
    min_replicas: Option<i32>,
    max_replicas: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireTarget {
    api_version: Option<String>,
    kind: Option<String>,
    name: Option<String>,
}

impl From<Wire> for Autoscaler {
    fn from(Wire { metadata, spec }: Wire) -> Self {
        let spec = spec.unwrap_or_default();
        let is_statefulset = |target: &WireTarget| {
            let group =
                target.api_version.as_deref().and_then(|version| version.split_once('/')).map(|(group, _)| group);
            target.kind.as_deref() == Some("StatefulSet") && group == Some("apps")
        };
        Self {
            terminating: metadata.is_terminating(),
            is_owned: metadata.is_owned(),
            namespace: metadata.namespace,
            name: metadata.name,
            resource_version: metadata.resource_version,
            target: spec
                .scale_target_ref
                .filter(is_statefulset)
                .and_then(|target| target.name)
                .filter(|name| is_name(name)),
            min_replicas: spec.min_replicas.unwrap_or(1),
            max_replicas: spec.max_replicas.unwrap_or(1),
        }
    }
}
