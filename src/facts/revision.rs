//! A ControllerRevision: a pod template that a StatefulSet had.

use serde::Deserialize;

use super::{Metadata, PodTemplate};

/// What rules need of a StatefulSet's ControllerRevision.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Revision {
    /// Its labels and who controls it; nobody does once its StatefulSet was deleted with `--cascade=orphan`.
    pub metadata: Metadata,
    /// Its number: the greatest is the newest.
    pub number: i64,
    /// The pod template.
    pub template: PodTemplate,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    revision: i64,
    #[serde(default)]
    data: Option<WireData>,
}

#[derive(Default, Deserialize)]
struct WireData {
    spec: Option<WireSpec>,
}

#[derive(Default, Deserialize)]
struct WireSpec {
    template: Option<PodTemplate>,
}

impl From<Wire> for Revision {
    fn from(Wire { metadata, revision, data }: Wire) -> Self {
        let template = data.unwrap_or_default().spec.unwrap_or_default().template.unwrap_or_default();
        Self { metadata, number: revision, template }
    }
}
