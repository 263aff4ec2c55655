//! A PodDisruptionBudget.

use serde::{Deserialize, Deserializer};

use super::{LabelSelector, Metadata};

/// What rules need of a PodDisruptionBudget.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub struct Budget {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether Quorate's controller made it.
    pub ours: bool,
    /// `spec.selector`; absent selects nothing, empty selects every pod of the namespace.
    pub selector: Option<LabelSelector>,
    /// What it allows.
    pub limit: Limit,
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
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireSpec {
    selector: Option<LabelSelector>,
    #[serde(default, deserialize_with = "amount")]
    min_available: Option<Amount>,
    #[serde(default, deserialize_with = "amount")]
    max_unavailable: Option<Amount>,
}

impl From<Wire> for Budget {
    fn from(Wire { metadata, spec }: Wire) -> Self {
        let spec = spec.unwrap_or_default();
        let (key, value) = MANAGED_BY;
        Self {
            ours: metadata.labels.get(key).is_some_and(|manager| manager == value)
                && metadata.controller.as_ref().is_some_and(|owner| owner.kind == "StatefulSet"),
            namespace: metadata.namespace,
            name: metadata.name,
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
