//! The schema of an `AvailabilityPolicy`.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::values::{AccountPattern, EndOfDay, MaxUnavailable, NamePattern, PolicySelector, TopologyKey, Weight, at};
pub use crate::facts::UnhealthyPodEvictionPolicy;
use crate::rules::{Validate, count, some_count};

/// One policy: its name and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `metadata.name`; no two policies of a set share it.
    pub name: String,
    /// `spec`.
    pub spec: Spec,
}

/// What a policy says. What it does not name, it does not do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
pub struct Spec {
    /// Which StatefulSets; every one where omitted.
    #[serde(rename = "match")]
    pub selection: Match,
    /// The rules. One that isn't named is off.
    pub validate: Validate,
    /// What is injected into pod templates.
    pub mutate: Mutate,
    /// The budget that each StatefulSet of 2 or more replicas gets, unless somebody else's covers its pods; none where omitted.
    pub pod_disruption_budget: Option<PodDisruptionBudget>,
    /// When violations that were there before are denied too; never where omitted.
    pub existing: Option<Existing>,
    /// Which exemptions count, annotations `quorate.dev/exempt*`; none where omitted.
    pub exemptions: Option<Exemptions>,
    /// Where Quorate itself fails: `Allow` with a warning, or `Deny`.
    pub on_internal_error: OnInternalError,
}

/// Which StatefulSets a policy is about. All of it must hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
pub struct Match {
    /// Label selector on the Namespace: the boundary that application teams can't move.
    pub namespace_selector: Option<PolicySelector>,
    /// Label selector on the StatefulSet: a convenience, as whoever writes the object writes its labels.
    pub object_selector: Option<PolicySelector>,
    /// Namespaces to leave out, as globs: `*` any run of characters, `?` one, `[ab]` one of these, `{a,b}` one of these.
    pub exclude_namespaces: Vec<NamePattern>,
    /// StatefulSets to leave out, by name, as globs.
    pub exclude_names: Vec<NamePattern>,
    /// What an operator writes of its StatefulSets (L27): `Warn` only warns and injects nothing, `Enforce` treats it as any other.
    pub owned_by_operator: OwnedByOperator,
    /// ServiceAccounts whose requests count as an operator's, as globs of `namespace/name`. Needed for an operator that runs in
    /// the namespace of its databases, or whose custom resource has no status (L133).
    pub operators: Vec<AccountPattern>,
    /// ServiceAccounts that never count as an operator's, as they apply what people wrote. A list replaces the default (L133).
    pub appliers: Vec<AccountPattern>,
}

/// The Namespaces that tools which apply what people wrote are installed in: Argo CD and Flux.
const APPLIERS: [&str; 2] = ["argocd", "flux-system"];

impl Default for Match {
    fn default() -> Self {
        Self {
            namespace_selector: None,
            object_selector: None,
            exclude_namespaces: Vec::new(),
            exclude_names: Vec::new(),
            owned_by_operator: OwnedByOperator::default(),
            operators: Vec::new(),
            appliers: APPLIERS.iter().filter_map(|namespace| AccountPattern::all_of(namespace)).collect(),
        }
    }
}

impl Match {
    /// Whether requests of this user count as an operator's, whatever they are about.
    #[must_use]
    pub fn is_operator(&self, username: &str) -> bool {
        self.operators.iter().any(|pattern| pattern.matches(username))
    }

    /// Whether it depends on the StatefulSet's owner whether requests of this user count as an operator's.
    #[must_use]
    pub fn depends_on_owner(&self, username: &str) -> bool {
        self.owned_by_operator == OwnedByOperator::Warn && !self.is_operator(username) && !self.is_applier(username)
    }

    /// Whether this user applies what people wrote, and so is never taken for an operator.
    #[must_use]
    pub fn is_applier(&self, username: &str) -> bool {
        self.appliers.iter().any(|pattern| pattern.matches(username))
    }
}

/// What to do about StatefulSets that an operator owns and writes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OwnedByOperator {
    /// Warnings; no denial, no injection, no budget.
    #[default]
    Warn,
    /// As any other StatefulSet.
    Enforce,
}

/// What is injected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
pub struct Mutate {
    /// Anti-affinity terms, one per topology key.
    #[serde(deserialize_with = "one_per_topology_key")]
    pub pod_anti_affinity: Vec<AntiAffinity>,
    /// Topology spread constraints, one per topology key.
    #[serde(deserialize_with = "one_per_topology_key")]
    pub topology_spread_constraints: Vec<TopologySpread>,
    /// Required terms and `DoNotSchedule` for StatefulSets that exist or have volumes (L63): `Soften` injects the soft form
    /// with a warning, `Require` the hard one.
    pub on_existing: OnExisting,
    /// Where the user sets the very list that would be appended to (L95): `Append` to it, or `Leave` it alone with a warning.
    pub user_terms: UserTerms,
}

/// One anti-affinity term to inject.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenAntiAffinity")]
#[schemars(with = "WrittenAntiAffinity")]
pub struct AntiAffinity {
    /// The node label whose values tell the domains apart.
    pub topology_key: TopologyKey,
    /// How strong.
    pub mode: AntiAffinityMode,
    /// With `mode: Required`: what to do where the cluster has too few domains.
    pub when_infeasible: WhenInfeasible,
    /// With `mode: Preferred`: how much the scheduler prefers it, 1 to 100.
    pub weight: Weight,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
struct WrittenAntiAffinity {
    /// The node label whose values tell the domains apart, such as `kubernetes.io/hostname`.
    topology_key: TopologyKey,
    /// `Preferred`: the scheduler tries. `Required`: it leaves a pod Pending rather than break it.
    mode: AntiAffinityMode,
    /// Of a required term that the cluster can't satisfy (L62): `Prefer` injects the preferred form and warns, `Warn` the
    /// required form and warns, `Deny` rejects the creation, `Require` injects the required form silently.
    #[schemars(extend("default" = WhenInfeasible::default()))]
    when_infeasible: Option<WhenInfeasible>,
    /// Of a preferred term.
    #[schemars(extend("default" = Weight::default()))]
    weight: Option<Weight>,
}

impl TryFrom<WrittenAntiAffinity> for AntiAffinity {
    type Error = String;

    fn try_from(written: WrittenAntiAffinity) -> Result<Self, String> {
        let WrittenAntiAffinity { topology_key, mode, when_infeasible, weight } = written;
        match mode {
            AntiAffinityMode::Required if weight.is_some() => {
                Err(at(".weight", "has no effect with mode: Required; remove it, or write mode: Preferred"))
            }
            AntiAffinityMode::Preferred if when_infeasible.is_some() => {
                Err(at(".whenInfeasible", "has no effect with mode: Preferred; remove it, or write mode: Required"))
            }
            _ => Ok(Self {
                topology_key,
                mode,
                when_infeasible: when_infeasible.unwrap_or_default(),
                weight: weight.unwrap_or_default(),
            }),
        }
    }
}

/// How strong an anti-affinity term is; the greater the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AntiAffinityMode {
    /// The scheduler tries.
    Preferred,
    /// The scheduler leaves a pod Pending rather than break it.
    Required,
}

/// What to do with a `Required` term that the cluster can't satisfy (L62).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum WhenInfeasible {
    /// Inject the preferred form and warn.
    #[default]
    Prefer,
    /// Inject the required form and warn.
    Warn,
    /// Reject the StatefulSet.
    Deny,
    /// Inject the required form, silently.
    Require,
}

/// One topology spread constraint to inject.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct TopologySpread {
    /// The node label whose values tell the domains apart, such as `topology.kubernetes.io/zone`.
    pub topology_key: TopologyKey,
    /// By how many pods domains may differ.
    #[serde(deserialize_with = "count")]
    pub max_skew: NonZeroU32,
    /// `ScheduleAnyway`: the scheduler tries. `DoNotSchedule`: it leaves a pod Pending rather than break it.
    pub when_unsatisfiable: WhenUnsatisfiable,
}

/// How strong a spread constraint is; the greater the stronger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum WhenUnsatisfiable {
    /// The scheduler tries.
    ScheduleAnyway,
    /// The scheduler leaves a pod Pending rather than break it.
    DoNotSchedule,
}

/// Hard terms for sets that already have volumes (L63).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnExisting {
    /// Inject the soft form: volumes pin pods, and a hard term would wedge the rollout.
    #[default]
    Soften,
    /// Inject the hard form all the same.
    Require,
}

/// What to do where the user sets the list that we would append to (L95).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UserTerms {
    /// Append to it.
    #[default]
    Append,
    /// Leave it alone.
    Leave,
}

/// The budget that each StatefulSet gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct PodDisruptionBudget {
    /// How many pods may be down at a time: `Quorum`, as many as leave a majority, but at least 1; a number; or a percentage. Of
    /// several policies the smaller wins.
    pub max_unavailable: MaxUnavailable,
    /// Whether pods that aren't Ready may always be evicted (L53): `AlwaysAllow`, or `IfHealthyBudget`.
    #[serde(default)]
    pub unhealthy_pod_eviction_policy: UnhealthyPodEvictionPolicy,
}

/// What to do about violations that were there before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct Existing {
    /// The last day, until 24:00 UTC, on which an unchanged violation is only a warning on updates of the spec.
    pub enforce_after: EndOfDay,
}

/// Which exemptions count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
pub struct Exemptions {
    /// Whether `quorate.dev/exempt-reason` must say why.
    pub require_reason: bool,
    /// How many days ahead `quorate.dev/exempt-until` may lie; without it, an exemption needs no date.
    #[serde(deserialize_with = "some_count")]
    #[schemars(with = "NonZeroU32")]
    pub max_days: Option<NonZeroU32>,
    /// Groups who may exempt. Without `groups` and `users`, whoever may write the StatefulSet.
    pub groups: Vec<String>,
    /// Users who may exempt.
    pub users: Vec<String>,
}

/// What to answer where Quorate itself fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum OnInternalError {
    /// Admit, with a warning.
    #[default]
    Allow,
    /// Reject.
    Deny,
}

trait Spreads {
    fn topology_key(&self) -> &TopologyKey;
}

impl Spreads for AntiAffinity {
    fn topology_key(&self) -> &TopologyKey {
        &self.topology_key
    }
}

impl Spreads for TopologySpread {
    fn topology_key(&self) -> &TopologyKey {
        &self.topology_key
    }
}

/// A list of which no two elements are about the same topology key: what both would come to depends on their order.
fn one_per_topology_key<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Spreads,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    for (index, element) in list.iter().enumerate() {
        let key = element.topology_key();
        if list[..index].iter().any(|earlier| earlier.topology_key() == key) {
            let message = format_args!("{:?} is in this list already; keep one of the two", key.as_str());
            return Err(D::Error::custom(at(format_args!("[{index}].topologyKey"), message)));
        }
    }
    Ok(list)
}
