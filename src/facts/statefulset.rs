//! A StatefulSet: the object that all of this is about.

use serde::Deserialize;

use super::lenient::labels;
use super::{
    LabelSelector, Labels, Metadata, PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint,
    WeightedPodAffinityTerm,
};

/// What rules need of a StatefulSet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct StatefulSet {
    /// Its metadata.
    pub metadata: Metadata,
    /// `spec.replicas`; 1 where absent, as the API server defaults it.
    pub replicas: i32,
    /// `spec.serviceName`; absent where empty.
    pub service_name: Option<String>,
    /// `spec.selector`: can't be changed after creation, and selects the pods of the template.
    pub selector: LabelSelector,
    /// `spec.template`.
    pub template: PodTemplate,
}

/// What rules need of a StatefulSet's pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodTemplate {
    /// The labels that every pod gets.
    pub labels: Labels,
    /// `spec.affinity.podAntiAffinity`.
    pub pod_anti_affinity: PodAntiAffinity,
    /// `spec.topologySpreadConstraints`.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Option<Metadata>,
    spec: Option<WireSpec>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    replicas: Option<i32>,
    service_name: Option<String>,
    selector: Option<LabelSelector>,
    template: Option<WireTemplate>,
}

#[derive(Default, Deserialize)]
struct WireTemplate {
    metadata: Option<WireTemplateMetadata>,
    spec: Option<WirePodSpec>,
}

#[derive(Default, Deserialize)]
struct WireTemplateMetadata {
    #[serde(default, deserialize_with = "labels")]
    labels: Labels,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WirePodSpec {
    affinity: Option<WireAffinity>,
    topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAffinity {
    pod_anti_affinity: Option<WirePodAntiAffinity>,
}

#[derive(Default, Deserialize)]
struct WirePodAntiAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<Vec<PodAffinityTerm>>,
    #[serde(rename = "preferredDuringSchedulingIgnoredDuringExecution")]
    preferred: Option<Vec<WeightedPodAffinityTerm>>,
}

impl From<Wire> for StatefulSet {
    fn from(wire: Wire) -> Self {
        let spec = wire.spec.unwrap_or_default();
        Self {
            metadata: wire.metadata.unwrap_or_default(),
            replicas: spec.replicas.unwrap_or(1),
            service_name: spec.service_name.filter(|name| !name.is_empty()),
            selector: spec.selector.unwrap_or_default(),
            template: spec.template.unwrap_or_default().into(),
        }
    }
}

impl From<WireTemplate> for PodTemplate {
    fn from(wire: WireTemplate) -> Self {
        let pod = wire.spec.unwrap_or_default();
        let anti_affinity = pod.affinity.unwrap_or_default().pod_anti_affinity.unwrap_or_default();
        Self {
            labels: wire.metadata.unwrap_or_default().labels,
            pod_anti_affinity: PodAntiAffinity {
                required: anti_affinity.required.unwrap_or_default(),
                preferred: anti_affinity.preferred.unwrap_or_default(),
            },
            topology_spread_constraints: pod.topology_spread_constraints.unwrap_or_default(),
        }
    }
}
