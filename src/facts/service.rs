//! A Service: what gives the pods of a StatefulSet their names.

use serde::Deserialize;

use super::Labels;
use super::lenient::labels;
use super::metadata::Named;

/// What rules need of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Service {
    /// The Service's namespace.
    pub namespace: String,
    /// The Service's name.
    pub name: String,
    /// `spec.type`: `ClusterIP` where absent.
    pub kind: String,
    /// `spec.clusterIP` as written; `None` (the word) makes a Service headless.
    pub cluster_ip: Option<String>,
    /// `spec.selector`; empty where absent.
    pub selector: Labels,
    /// Whether it is being deleted: it goes once its finalizers are gone.
    pub terminating: bool,
}

impl Service {
    /// Whether each pod gets a DNS name of its own: `clusterIP: None`, which an ExternalName never has.
    #[must_use]
    pub fn is_headless(&self) -> bool {
        self.kind != "ExternalName" && self.cluster_ip.as_deref() == Some("None")
    }

    /// Whether the selector selects pods with these labels. An empty selector selects no pod: such a Service has endpoints
    /// that somebody else manages.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        !self.selector.is_empty() && self.selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Named,
    spec: Option<WireSpec>,
}

#[derive(Default, Deserialize)]
struct WireSpec {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(rename = "clusterIP")]
    cluster_ip: Option<String>,
    #[serde(default, deserialize_with = "labels")]
    selector: Labels,
}

impl From<Wire> for Service {
    fn from(Wire { metadata, spec }: Wire) -> Self {
        let spec = spec.unwrap_or_default();
        Self {
            terminating: metadata.is_terminating(),
            namespace: metadata.namespace,
            name: metadata.name,
            kind: spec.kind.unwrap_or_else(|| "ClusterIP".to_owned()),
            cluster_ip: spec.cluster_ip,
            selector: spec.selector,
        }
    }
}
