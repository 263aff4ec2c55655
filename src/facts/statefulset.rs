//! A StatefulSet: the object that all of this is about.

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::lenient::{labels, null_as_default};
use super::{
    LabelSelector, Labels, Metadata, NodeFit, NodeSelectorTerm, PodAffinityTerm, PodAntiAffinity, Toleration,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
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
    /// The names of `spec.volumeClaimTemplates`.
    pub volume_claim_templates: Vec<String>,
    /// `spec.persistentVolumeClaimRetentionPolicy`.
    pub retention_policy: RetentionPolicy,
    /// `spec.updateStrategy`.
    pub update_strategy: UpdateStrategy,
    /// `spec.ordinals.start`: the ordinal of the first pod; 0 where absent.
    pub first_ordinal: i32,
    /// `status.replicas`: how many pods there are; 0 where absent.
    pub existing_replicas: i32,
    /// `status.readyReplicas`; 0 where absent.
    pub ready_replicas: i32,
    /// `status.updatedReplicas`: how many pods have the update revision; 0 where absent.
    pub updated_replicas: i32,
    /// `status.currentRevision`; absent before the first status.
    pub current_revision: Option<String>,
    /// `status.updateRevision`; absent before the first status.
    pub update_revision: Option<String>,
}

impl StatefulSet {
    /// What the names of its pods' PersistentVolumeClaims begin with: `<template>-<name>`, before the dash and the ordinal.
    pub fn claim_stems(&self) -> impl Iterator<Item = String> {
        self.volume_claim_templates.iter().map(|template| format!("{template}-{}", self.metadata.name))
    }

    /// The ordinal of the pod whose PersistentVolumeClaim has this name; `None` where the claim is not one of its pods'.
    #[must_use]
    pub fn ordinal_of_claim(&self, name: &str) -> Option<u32> {
        let (stem, ordinal) = split_ordinal(name)?;
        self.claim_stems().any(|each| each == stem).then_some(ordinal)
    }
}

/// The name of a pod or of its claim, apart: what is before the last dash, and the ordinal behind it. `None` where no ordinal
/// is there, as StatefulSets write it: decimal, without leading zeros.
#[must_use]
pub fn split_ordinal(name: &str) -> Option<(&str, u32)> {
    let (stem, ordinal) = name.rsplit_once('-')?;
    let is_plain = ordinal.bytes().all(|byte| byte.is_ascii_digit()) && (ordinal == "0" || !ordinal.starts_with('0'));
    is_plain.then(|| ordinal.parse().ok()).flatten().map(|ordinal| (stem, ordinal))
}

/// Whether claims are deleted; they are retained where nothing is said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// `whenDeleted: Delete`
    pub deletes_when_deleted: bool,
    /// `whenScaled: Delete`
    pub deletes_when_scaled: bool,
}

/// How pods are replaced when the template changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateStrategy {
    /// One after the other, from the highest ordinal down to `partition`.
    RollingUpdate {
        /// The lowest ordinal that is replaced.
        partition: i32,
    },
    /// Whenever somebody deletes them.
    OnDelete,
}

impl Default for UpdateStrategy {
    fn default() -> Self {
        Self::RollingUpdate { partition: 0 }
    }
}

/// What rules need of a StatefulSet's pod template.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WireTemplate")]
pub struct PodTemplate {
    /// The labels that every pod gets.
    pub labels: Labels,
    /// `spec.affinity.podAntiAffinity`.
    pub pod_anti_affinity: PodAntiAffinity,
    /// `spec.topologySpreadConstraints`.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Which Nodes its pods may run on.
    pub node_fit: NodeFit,
    /// `spec.containers`.
    pub containers: Vec<Container>,
    /// `spec.terminationGracePeriodSeconds`; 30 where absent, as the API server defaults it.
    pub termination_grace_period_seconds: i64,
}

/// What rules need of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Whether it names a port.
    pub exposes_port: bool,
    /// Whether it has a readinessProbe.
    pub has_readiness_probe: bool,
}

#[derive(Deserialize)]
struct Wire {
    metadata: Option<Metadata>,
    spec: Option<WireSpec>,
    status: Option<WireStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    replicas: Option<i32>,
    ready_replicas: Option<i32>,
    updated_replicas: Option<i32>,
    current_revision: Option<String>,
    update_revision: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    replicas: Option<i32>,
    service_name: Option<String>,
    selector: Option<LabelSelector>,
    template: Option<WireTemplate>,
    volume_claim_templates: Option<Vec<WireClaim>>,
    persistent_volume_claim_retention_policy: Option<WireRetention>,
    update_strategy: Option<WireStrategy>,
    ordinals: Option<WireOrdinals>,
}

#[derive(Default, Deserialize)]
struct WireOrdinals {
    start: Option<i32>,
}

#[derive(Deserialize)]
struct WireClaim {
    metadata: Option<WireName>,
}

#[derive(Default, Deserialize)]
struct WireName {
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireRetention {
    when_deleted: Option<String>,
    when_scaled: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStrategy {
    #[serde(rename = "type")]
    kind: Option<String>,
    rolling_update: Option<WireRollingUpdate>,
}

#[derive(Default, Deserialize)]
struct WireRollingUpdate {
    partition: Option<i32>,
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
    #[serde(default, deserialize_with = "labels")]
    node_selector: Labels,
    tolerations: Option<Vec<Toleration>>,
    containers: Option<Vec<WireContainer>>,
    termination_grace_period_seconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireContainer {
    #[serde(default, deserialize_with = "null_as_default")]
    name: String,
    ports: Option<Vec<IgnoredAny>>,
    readiness_probe: Option<IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAffinity {
    pod_anti_affinity: Option<WirePodAntiAffinity>,
    node_affinity: Option<WireNodeAffinity>,
}

#[derive(Default, Deserialize)]
struct WireNodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    required: Option<WireNodeSelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireNodeSelector {
    #[serde(default, deserialize_with = "null_as_default")]
    node_selector_terms: Vec<NodeSelectorTerm>,
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
        let status = wire.status.unwrap_or_default();
        let revision = |name: Option<String>| name.filter(|name| !name.is_empty());
        Self {
            metadata: wire.metadata.unwrap_or_default(),
            replicas: spec.replicas.unwrap_or(1),
            service_name: spec.service_name.filter(|name| !name.is_empty()),
            selector: spec.selector.unwrap_or_default(),
            template: spec.template.unwrap_or_default().into(),
            volume_claim_templates: spec
                .volume_claim_templates
                .into_iter()
                .flatten()
                .map(|claim| claim.metadata.unwrap_or_default().name)
                .collect(),
            retention_policy: spec.persistent_volume_claim_retention_policy.unwrap_or_default().into(),
            update_strategy: spec.update_strategy.unwrap_or_default().into(),
            first_ordinal: spec.ordinals.unwrap_or_default().start.unwrap_or(0),
            existing_replicas: status.replicas.unwrap_or(0),
            ready_replicas: status.ready_replicas.unwrap_or(0),
            updated_replicas: status.updated_replicas.unwrap_or(0),
            current_revision: revision(status.current_revision),
            update_revision: revision(status.update_revision),
        }
    }
}

impl From<WireTemplate> for PodTemplate {
    fn from(wire: WireTemplate) -> Self {
        let pod = wire.spec.unwrap_or_default();
        let affinity = pod.affinity.unwrap_or_default();
        let anti_affinity = affinity.pod_anti_affinity.unwrap_or_default();
        let node_affinity = affinity.node_affinity.unwrap_or_default().required;
        Self {
            labels: wire.metadata.unwrap_or_default().labels,
            pod_anti_affinity: PodAntiAffinity {
                required: anti_affinity.required.unwrap_or_default(),
                preferred: anti_affinity.preferred.unwrap_or_default(),
            },
            topology_spread_constraints: pod.topology_spread_constraints.unwrap_or_default(),
            node_fit: NodeFit {
                node_selector: pod.node_selector,
                node_affinity: node_affinity.map(|selector| selector.node_selector_terms),
                tolerations: pod.tolerations.unwrap_or_default(),
            },
            containers: pod.containers.into_iter().flatten().map(Container::from).collect(),
            termination_grace_period_seconds: pod.termination_grace_period_seconds.unwrap_or(30),
        }
    }
}

impl From<WireContainer> for Container {
    fn from(wire: WireContainer) -> Self {
        Self {
            name: wire.name,
            exposes_port: wire.ports.is_some_and(|ports| !ports.is_empty()),
            has_readiness_probe: wire.readiness_probe.is_some(),
        }
    }
}

impl From<WireRetention> for RetentionPolicy {
    fn from(wire: WireRetention) -> Self {
        let deletes = |word: Option<String>| word.as_deref() == Some("Delete");
        Self { deletes_when_deleted: deletes(wire.when_deleted), deletes_when_scaled: deletes(wire.when_scaled) }
    }
}

impl From<WireStrategy> for UpdateStrategy {
    fn from(wire: WireStrategy) -> Self {
        match wire.kind.as_deref() {
            Some("OnDelete") => Self::OnDelete,
            _ => Self::RollingUpdate { partition: wire.rolling_update.unwrap_or_default().partition.unwrap_or(0) },
        }
    }
}
