//! What Quorate injected, as the StatefulSet's own annotation tells.

use serde::{Deserialize, Serialize};

use crate::facts::{Metadata, PodAffinityTerm, PodTemplate, WeightedPodAffinityTerm};

/// The annotation of a StatefulSet that records what was injected into its pod template.
pub const RECORD: &str = "quorate.dev/injected";

/// The terms that Quorate adds to a pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Injected {
    /// Terms of `requiredDuringSchedulingIgnoredDuringExecution`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<PodAffinityTerm>,
    /// Terms of `preferredDuringSchedulingIgnoredDuringExecution`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub preferred: Vec<WeightedPodAffinityTerm>,
}

impl Injected {
    /// What the annotation of an object says. An unreadable one, which somebody else must have written, says nothing.
    #[must_use]
    pub fn recorded(metadata: &Metadata) -> Self {
        metadata.annotations.get(RECORD).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.required.is_empty() && self.preferred.is_empty()
    }

    /// The part of it that a pod template lacks.
    #[must_use]
    pub fn missing_from(&self, template: &PodTemplate) -> Self {
        let present = &template.pod_anti_affinity;
        Self {
            required: self.required.iter().filter(|term| !present.required.contains(term)).cloned().collect(),
            preferred: self.preferred.iter().filter(|term| !present.preferred.contains(term)).cloned().collect(),
        }
    }
}
