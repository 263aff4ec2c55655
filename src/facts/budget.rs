//! A PodDisruptionBudget.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::lenient::null_as_default;
use super::{LabelSelector, Metadata, Owner};

/// What rules need of a PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Budget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its `uid`; empty in a manifest.
    pub uid: String,
    /// Its `resourceVersion`; empty in a manifest.
    pub resource_version: String,
    /// Whether `deletionTimestamp` is set.
    pub terminating: bool,
    /// What holds it while it is being deleted.
    pub finalizers: Vec<String>,
    /// Whether Quorate's controller made it: our label, a StatefulSet that controls it, and the name that goes with that one.
    pub ours: bool,
    /// Whether it was ours, and lost its owner: as when the StatefulSet is deleted with `--cascade=orphan` (L94).
    pub orphaned: bool,
    /// The object that controls it.
    pub controller: Option<Owner>,
    /// `spec.selector`; absent selects nothing, empty selects every pod of the namespace.
    pub selector: Option<LabelSelector>,
    /// What it allows.
    pub limit: Limit,
    /// Whether pods that aren't Ready may be evicted.
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
    /// What the disruption controller last said of it.
    pub status: BudgetStatus,
}

/// What the disruption controller last said of a budget.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WireStatus")]
pub struct BudgetStatus {
    /// How many pods it counts on.
    pub expected_pods: i32,
    /// How many of the pods that it selects are healthy.
    pub current_healthy: i32,
    /// How many may be evicted now.
    pub disruptions_allowed: i32,
    /// Whether the disruption controller can't tell how many pods there are to be: the condition's reason is `SyncFailed`.
    pub sync_failed: bool,
}

/// Whether pods that aren't Ready may be evicted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UnhealthyPodEvictionPolicy {
    /// Always: a pod that crashes in a loop blocks no drain (L53).
    #[default]
    AlwaysAllow,
    /// Only while the budget's other pods are healthy: what a PodDisruptionBudget that says nothing does.
    IfHealthyBudget,
}

/// What a budget allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Limit {
    /// `minAvailable`.
    MinAvailable(Amount),
    /// `maxUnavailable`.
    MaxUnavailable(Amount),
    /// Neither, by which the disruption controller lets no pod go.
    #[default]
    None,
}

/// A number of pods, or a percentage of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many pods.
    Pods(i32),
    /// So many per cent, rounded up.
    Percent(i32),
}

/// The label and value by which Quorate knows its own budgets.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "quorate");

impl fmt::Display for Amount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(pods) => write!(formatter, "{pods}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

impl Amount {
    /// How many of `pods` that is; a percentage is rounded up, as the disruption controller does.
    #[must_use]
    pub fn of(self, pods: i32) -> i32 {
        match self {
            Self::Pods(amount) => amount,
            Self::Percent(percent) => {
                let hundredths = i64::from(percent) * i64::from(pods);
                i32::try_from(hundredths.div_euclid(100) + i64::from(hundredths.rem_euclid(100) > 0))
                    .unwrap_or(i32::MAX)
            }
        }
    }
}

impl Budget {
    /// Whether Quorate's controller looks after it: made by it, and perhaps without its owner by now.
    #[must_use]
    pub fn is_quorates(&self) -> bool {
        self.ours || self.orphaned
    }

    /// Whether both say the same about the same pods, and belong to the same: a rule can't object to one and not to the other.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.selector == other.selector
            && self.limit == other.limit
            && self.unhealthy_pod_eviction_policy == other.unhealthy_pod_eviction_policy
            && (self.ours, self.orphaned, &self.controller) == (other.ours, other.orphaned, &other.controller)
    }
}

impl Limit {
    /// How many of `replicas` pods may be evicted while all of them are healthy
    /// (`status.disruptionsAllowed`, as `pkg/controller/disruption` computes it).
    #[must_use]
    pub fn disruptions_allowed(self, replicas: i32) -> i32 {
        let desired_healthy = match self {
            Self::MinAvailable(amount) => amount.of(replicas),
            Self::MaxUnavailable(amount) => replicas.saturating_sub(amount.of(replicas)).max(0),
            Self::None => return 0,
        };
        replicas.saturating_sub(desired_healthy).max(0)
    }
}

#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    spec: Option<WireSpec>,
    status: Option<BudgetStatus>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireStatus {
    #[serde(default, deserialize_with = "null_as_default")]
    expected_pods: i32,
    #[serde(default, deserialize_with = "null_as_default")]
    current_healthy: i32,
    #[serde(default, deserialize_with = "null_as_default")]
    disruptions_allowed: i32,
    #[serde(default, deserialize_with = "null_as_default")]
    conditions: Vec<WireCondition>,
}

#[derive(Deserialize)]
struct WireCondition {
    #[serde(default, deserialize_with = "null_as_default")]
    reason: String,
}

impl From<WireStatus> for BudgetStatus {
    fn from(wire: WireStatus) -> Self {
        Self {
            expected_pods: wire.expected_pods,
            current_healthy: wire.current_healthy,
            disruptions_allowed: wire.disruptions_allowed,
            sync_failed: wire.conditions.iter().any(|condition| condition.reason == "SyncFailed"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    selector: Option<LabelSelector>,
    #[serde(default, deserialize_with = "amount")]
    min_available: Option<Amount>,
    #[serde(default, deserialize_with = "amount")]
    max_unavailable: Option<Amount>,
    unhealthy_pod_eviction_policy: Option<UnhealthyPodEvictionPolicy>,
}

impl From<Wire> for Budget {
    fn from(Wire { metadata, spec, status }: Wire) -> Self {
        let spec = spec.unwrap_or_default();
        Self {
            ours: is_ours(&metadata),
            orphaned: is_labelled(&metadata) && metadata.controller.is_none() && metadata.name.ends_with(SUFFIX),
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            terminating: metadata.terminating,
            finalizers: metadata.finalizers,
            controller: metadata.controller,
            unhealthy_pod_eviction_policy: spec
                .unhealthy_pod_eviction_policy
                .unwrap_or(UnhealthyPodEvictionPolicy::IfHealthyBudget),
            status: status.unwrap_or_default(),
            selector: spec.selector,
            // The disruption controller looks at maxUnavailable first.
            limit: match (spec.max_unavailable, spec.min_available) {
                (Some(amount), _) => Limit::MaxUnavailable(amount),
                (None, Some(amount)) => Limit::MinAvailable(amount),
                (None, None) => Limit::None,
            },
        }
    }
}

fn is_ours(metadata: &Metadata) -> bool {
    is_labelled(metadata)
        && metadata.controller.as_ref().is_some_and(|owner| {
            owner.group() == "apps" && owner.kind == "StatefulSet" && metadata.name == budget_name(&owner.name)
        })
}

fn is_labelled(metadata: &Metadata) -> bool {
    let (key, value) = MANAGED_BY;
    metadata.labels.get(key).is_some_and(|manager| manager == value)
}

/// The end of the names of our budgets.
const SUFFIX: &str = "-quorate";

/// The name of the budget that Quorate keeps for a StatefulSet (L54).
#[must_use]
pub fn budget_name(statefulset: &str) -> String {
    // The longest name of a PodDisruptionBudget. Only a StatefulSet whose pods can't be made has a longer one.
    const LONGEST: usize = 253;
    if statefulset.len() + SUFFIX.len() <= LONGEST {
        return format!("{statefulset}{SUFFIX}");
    }
    // FNV-1a, so that names which differ only past the cut stay apart.
    let hash = statefulset
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let kept = LONGEST - SUFFIX.len() - 17;
    let kept: String = statefulset.chars().take(kept).collect();
    format!("{}-{hash:016x}{SUFFIX}", kept.trim_end_matches(['-', '.']))
}

/// An `IntOrString`. What is neither a number nor a percentage, which the API server rejects, is absent.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Pods(i32),
        Text(String),
    }
    Ok(match Option::deserialize(deserializer)? {
        Some(Wire::Pods(pods)) => Some(Amount::Pods(pods)),
        Some(Wire::Text(text)) => text.strip_suffix('%').and_then(|percent| percent.parse().ok()).map(Amount::Percent),
        None => None,
    })
}
