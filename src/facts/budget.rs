//! A PodDisruptionBudget.

use std::fmt;

use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::lenient::{first_texts, null_as_default};
use super::metadata::Controlling;
use super::{LabelSelector, Owner};

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
    /// How long the part of its metadata is that any editor may write.
    pub written: Written,
}

/// How long the part of an object's metadata is that any editor may write, in bytes of JSON. Nothing else is kept of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Written {
    /// `finalizers`.
    pub finalizers: usize,
    /// `labels`, `annotations`, `ownerReferences` and `managedFields`.
    pub others: usize,
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

impl Written {
    /// The most that a budget of ours may have, which has less than a tenth of it. etcd takes about 1.5 MB of an object, and
    /// no eviction succeeds where the list of disrupted pods doesn't fit any more.
    pub const MOST: usize = 16 << 10;

    /// All of it.
    #[must_use]
    pub fn all(self) -> usize {
        self.finalizers.saturating_add(self.others)
    }

    /// Whether it is so much that finalizers are no longer somebody's who waits for something: hundreds of them.
    #[must_use]
    pub fn has_too_many_finalizers(self) -> bool {
        self.finalizers > Self::MOST / 2
    }
}

impl Budget {
    /// Whether others have written so much into its metadata that evictions may fail.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.written.all() > Written::MOST
    }

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
    metadata: WireMetadata,
    spec: Option<WireSpec>,
    status: Option<BudgetStatus>,
}

/// Of a budget's metadata nothing is held that may be long: any editor can write it, past the webhooks.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct WireMetadata {
    #[serde(deserialize_with = "null_as_default")]
    namespace: String,
    name: Option<String>,
    generate_name: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    uid: String,
    #[serde(deserialize_with = "null_as_default")]
    resource_version: String,
    deletion_timestamp: Option<String>,
    labels: Weighed<WireLabels>,
    annotations: Weighed<Passed>,
    owner_references: Weighed<Controlling>,
    finalizers: Weighed<Finalizers>,
    managed_fields: Weighed<Passed>,
}

#[derive(Default, Deserialize)]
struct WireLabels {
    #[serde(rename = "app.kubernetes.io/managed-by", default, deserialize_with = "null_as_default")]
    managed_by: String,
}

#[derive(Default, Deserialize)]
struct Finalizers(#[serde(deserialize_with = "first_texts")] Vec<String>);

/// What nobody looks at.
#[derive(Default)]
struct Passed;

impl<'de> Deserialize<'de> for Passed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// What is wanted of a value, and how long the whole of its text is. Of the bound of values it takes two.
#[derive(Default)]
struct Weighed<T> {
    what: T,
    bytes: usize,
}

impl<'de, T: Default + DeserializeOwned> Deserialize<'de> for Weighed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Some(text) = Option::<Box<RawValue>>::deserialize(deserializer)? else { return Ok(Self::default()) };
        let what = serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        Ok(Self { what, bytes: text.get().len() })
    }
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
        let name = metadata.name.filter(|name| !name.is_empty()).or(metadata.generate_name).unwrap_or_default();
        let controller = metadata.owner_references.what.0;
        let is_labelled = metadata.labels.what.managed_by == MANAGED_BY.1;
        let others = [metadata.labels.bytes, metadata.annotations.bytes, metadata.owner_references.bytes];
        Self {
            ours: is_labelled && controller.as_ref().is_some_and(|owner| is_budget_of(owner, &name)),
            orphaned: is_labelled && controller.is_none() && name.ends_with(SUFFIX),
            written: Written {
                finalizers: metadata.finalizers.bytes,
                others: others.into_iter().sum::<usize>() + metadata.managed_fields.bytes,
            },
            namespace: metadata.namespace,
            name,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            terminating: metadata.deletion_timestamp.is_some(),
            finalizers: if metadata.deletion_timestamp.is_some() { metadata.finalizers.what.0 } else { Vec::new() },
            controller,
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

/// Whether the budget of a StatefulSet that is this owner has this name.
fn is_budget_of(owner: &Owner, name: &str) -> bool {
    owner.group() == "apps" && owner.kind == "StatefulSet" && name == budget_name(&owner.name)
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use rstest::rstest;

    use super::*;
    use crate::facts::decode;

    fn ours(metadata: &str) -> String {
        format!(
            r#"{{"metadata": {{"name": "db-quorate", "uid": "b1", {metadata}}}, "spec": {{"maxUnavailable": 1}}, "status": {{}}}}"#
        )
    }

    const LABELS: &str = r#""labels": {"app.kubernetes.io/managed-by": "quorate"}"#;

    const OWNER: &str =
        r#"{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "s1", "controller": true}"#;

    fn members(count: usize) -> String {
        (0..count).fold(String::new(), |mut all, number| {
            let _ = write!(all, r#","example.com/{number}":"v""#);
            all
        })
    }

    /// L131, L138: whatever is filled up, and by however many values, the budget is known as ours, and that it is too long.
    #[rstest]
    #[case::labels(format!(r#""ownerReferences": [{OWNER}], "labels": {{"app.kubernetes.io/managed-by": "quorate"{}}}"#, members(50_000)))]
    #[case::annotations(format!(r#"{LABELS}, "ownerReferences": [{OWNER}], "annotations": {{"a": ""{}}}"#, members(50_000)))]
    #[case::a_long_owner(format!(r#"{LABELS}, "ownerReferences": [{OWNER}, {{"name": "{}"}}]"#, "y".repeat(1_500_000)))]
    #[case::many_owners(format!(r#"{LABELS}, "ownerReferences": [{}{OWNER}]"#, "{},".repeat(400_000)))]
    #[case::managed_fields(format!(r#"{LABELS}, "ownerReferences": [{OWNER}], "managedFields": [{{"fieldsV1": {{"f:a": {{}}{}}}}}]"#, members(50_000)))]
    fn what_others_write_into_it_is_weighed_and_not_kept_l138(#[case] metadata: String) {
        let text = ours(&metadata);
        let budget: Budget = decode(&text).unwrap();
        assert!(budget.ours && budget.is_overloaded() && !budget.written.has_too_many_finalizers(), "{budget:?}");
        assert_eq!(budget.controller.as_ref().map(|owner| owner.uid.as_str()), Some("s1"));
        assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), budget);
        assert!(format!("{budget:?}").len() < 2_000);
    }

    #[test]
    fn one_that_is_as_it_was_made_is_not_overloaded_l138() {
        let text = ours(&format!(r#"{LABELS}, "ownerReferences": [{OWNER}], "finalizers": ["example.com/a"]"#));
        let budget: Budget = decode(&text).unwrap();
        assert!(budget.ours && !budget.is_overloaded(), "{budget:?}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert!(serde_json::from_value::<Budget>(value).unwrap().ours);
        let finalizers = format!(r#"{LABELS}, "finalizers": [{}"b"]"#, r#""example.com/a","#.repeat(50_000));
        let budget: Budget = decode(&ours(&finalizers)).unwrap();
        assert!(budget.is_overloaded() && budget.written.has_too_many_finalizers(), "{budget:?}");
        assert!(budget.orphaned && budget.finalizers.is_empty());
    }
}
