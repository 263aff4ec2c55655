//! A Namespace: its labels decide which policies match.

use serde::Deserialize;

use super::{Labels, Metadata};

/// What rules need of a Namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Namespace {
    /// The Namespace's name.
    pub name: String,
    /// The Namespace's labels.
    pub labels: Labels,
    /// Whether the Namespace is being deleted.
    pub terminating: bool,
}

/// The label that the API server keeps on every Namespace, whose value is its name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

impl Namespace {
    /// A Namespace of which nothing is known but its name: it has the one label that every Namespace has.
    #[must_use]
    pub fn bare(name: &str) -> Self {
        Self::new(name.to_owned(), Labels::new(), false)
    }

    fn new(name: String, mut labels: Labels, terminating: bool) -> Self {
        labels.entry(NAME_LABEL.to_owned()).or_insert_with(|| name.clone());
        Self { name, labels, terminating }
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    status: Option<WireStatus>,
}

#[derive(Deserialize)]
struct WireStatus {
    phase: Option<String>,
}

impl From<Wire> for Namespace {
    fn from(Wire { metadata, status }: Wire) -> Self {
        let phase = status.and_then(|status| status.phase);
        let terminating = metadata.terminating || phase.as_deref() == Some("Terminating");
        Self::new(metadata.name, metadata.labels, terminating)
    }
}
