//! The effective policy for an object: what several policies come to together, and which of them each part comes from.

use std::sync::Arc;

use super::{AntiAffinityMode, OwnedByOperator, Policy, placements, spreadings};
use crate::facts::StatefulSet;
use crate::rules::{Action, Rule};

/// One thing that policies together come to, in words, and the policy that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// What it is about, by the name that policy files have for it.
    pub subject: String,
    /// What it comes to.
    pub value: String,
    /// The policy that decides.
    pub policy: String,
}

/// What these policies, which match the StatefulSet and are in the order of their names, come to.
#[must_use]
pub fn effective(statefulset: &StatefulSet, policies: &[Arc<Policy>]) -> Vec<Effective> {
    let mut all = rules(policies);
    all.extend(anti_affinity(policies));
    all.extend(spread_constraints(policies));
    all.extend(budget(statefulset, policies));
    for policy in policies {
        let spec = &policy.spec;
        let mut add = |subject: &str, value: String| all.push(row(subject, value, policy));
        if let Some(existing) = &spec.existing {
            add("existing", format!("enforceAfter {}", existing.enforce_after));
        }
        add("exemptions", exemptions(policy));
        if spec.selection.owned_by_operator == OwnedByOperator::Enforce {
            add("ownedByOperator", "Enforce".to_owned());
        }
    }
    if let Some(policy) = last_max(policies, |policy| Some(policy.spec.on_internal_error)) {
        all.push(row("onInternalError", format!("{:?}", policy.spec.on_internal_error), policy));
    }
    all
}

fn row(subject: &str, value: String, policy: &Policy) -> Effective {
    Effective { subject: subject.to_owned(), value, policy: policy.name.clone() }
}

/// The policy with the greatest value, the first by name of several.
fn last_max<T: Ord>(policies: &[Arc<Policy>], value: impl Fn(&Policy) -> Option<T>) -> Option<&Policy> {
    let valued = policies.iter().filter_map(|policy| Some((value(policy)?, policy)));
    valued.rev().max_by(|(left, _), (right, _)| left.cmp(right)).map(|(_, policy)| &**policy)
}

/// How strict one policy is about something: the action, then what it asks for, and both in words.
struct Strictness {
    action: Action,
    amount: u32,
    value: String,
}

/// The rules: of each, and of each of its causes that may have an action of its own, the strictest word.
fn rules(policies: &[Arc<Policy>]) -> Vec<Effective> {
    let mut effective = Vec::new();
    for (subject, strictness) in subjects() {
        let strictest = last_max(policies, |policy| {
            let found = strictness(policy)?;
            (found.action > Action::Off).then_some((found.action, found.amount))
        });
        if let Some(policy) = strictest {
            effective.extend(strictness(policy).map(|found| row(&subject, found.value, policy)));
        }
    }
    effective
}

type Reader = Box<dyn Fn(&Policy) -> Option<Strictness>>;

fn subjects() -> Vec<(String, Reader)> {
    let mut subjects: Vec<(String, Reader)> = Vec::new();
    for &rule in Rule::ALL {
        subjects.push((
            rule.name().to_owned(),
            Box::new(move |policy| {
                let validate = &policy.spec.validate;
                let (amount, unit) = match rule {
                    Rule::Replicas => (validate.replicas.as_ref()?.minimum.get(), ""),
                    Rule::TerminationGracePeriod => {
                        (validate.termination_grace_period.as_ref()?.minimum_seconds.get(), " s")
                    }
                    _ => return Some(plain(validate.action(rule))),
                };
                let action = validate.action(rule);
                Some(Strictness { action, amount, value: format!("{action} below {amount}{unit}") })
            }),
        ));
        match rule {
            Rule::HeadlessService => subjects.extend(causes()),
            Rule::Replicas => {
                subjects.push((
                    "replicas.even".to_owned(),
                    Box::new(|policy| Some(plain(policy.spec.validate.replicas.as_ref()?.even))),
                ));
                subjects.push((
                    "replicas.allowZero".to_owned(),
                    Box::new(|policy| {
                        let settings = policy.spec.validate.replicas.as_ref()?;
                        let denied = Strictness {
                            action: settings.action,
                            amount: 0,
                            value: format!("false: {}", settings.action),
                        };
                        (!settings.allow_zero).then_some(denied)
                    }),
                ));
                subjects.push((
                    "replicas.fromZero".to_owned(),
                    Box::new(|policy| Some(plain(policy.spec.validate.replicas.as_ref()?.from_zero()))),
                ));
                subjects.push((
                    "replicas.autoscalerDelete".to_owned(),
                    Box::new(|policy| Some(plain(policy.spec.validate.replicas.as_ref()?.released()))),
                ));
            }
            _ => {}
        }
    }
    subjects
}

fn causes() -> impl Iterator<Item = (String, Reader)> {
    ["noServiceName", "missing", "notHeadless", "selectorMismatch", "serviceUpdate", "serviceDelete"].into_iter().map(
        |cause| {
            let read: Reader = Box::new(move |policy| {
                let settings = policy.spec.validate.headless_service.as_ref()?;
                let own = match cause {
                    "noServiceName" => settings.no_service_name,
                    "missing" => settings.missing,
                    "notHeadless" => settings.not_headless,
                    "selectorMismatch" => settings.selector_mismatch,
                    "serviceUpdate" => settings.service_update,
                    _ => Some(settings.service_delete.unwrap_or(Action::Warn)),
                };
                Some(plain(own.unwrap_or(settings.action)))
            });
            (format!("headlessService.{cause}"), read)
        },
    )
}

fn plain(action: Action) -> Strictness {
    Strictness { action, amount: 0, value: action.to_string() }
}

fn anti_affinity(policies: &[Arc<Policy>]) -> Vec<Effective> {
    let placements = placements(policies).into_iter();
    let rows = placements.map(|placement| {
        let key = placement.topology_key.as_str();
        let value = match placement.mode {
            AntiAffinityMode::Required => {
                format!(
                    "{key} Required, whenInfeasible {:?}, onExisting {:?}",
                    placement.when_infeasible, placement.on_existing
                )
            }
            AntiAffinityMode::Preferred => format!("{key} Preferred"),
        };
        Effective { subject: "podAntiAffinity".to_owned(), value, policy: placement.policy }
    });
    rows.collect()
}

fn spread_constraints(policies: &[Arc<Policy>]) -> Vec<Effective> {
    let rows = spreadings(policies).into_iter().map(|spreading| {
        let (key, strength) = (spreading.topology_key.as_str(), spreading.when_unsatisfiable);
        let value = format!("{key} {strength:?}, maxSkew {}", spreading.max_skew);
        Effective { subject: "topologySpreadConstraints".to_owned(), value, policy: spreading.policy }
    });
    rows.collect()
}

/// The smaller `maxUnavailable` at the StatefulSet's replicas wins.
fn budget(statefulset: &StatefulSet, policies: &[Arc<Policy>]) -> Option<Effective> {
    let terms = super::budget(statefulset, policies).ok()?;
    let policy = policies.iter().find(|policy| policy.name == terms.policy)?;
    let asked = policy.spec.pod_disruption_budget.as_ref()?.max_unavailable;
    let replicas = statefulset.replicas;
    let value = format!("maxUnavailable {asked}: {} of {replicas}", terms.max_unavailable.of(replicas));
    Some(row("podDisruptionBudget", value, policy))
}

fn exemptions(policy: &Policy) -> String {
    let Some(exemptions) = &policy.spec.exemptions else { return "none".to_owned() };
    let mut parts = Vec::new();
    if exemptions.require_reason {
        parts.push("with a reason".to_owned());
    }
    parts.extend(exemptions.max_days.map(|days| format!("for {days} days at most")));
    let who: Vec<String> = exemptions
        .groups
        .iter()
        .map(|group| format!("group {group}"))
        .chain(exemptions.users.iter().map(|user| format!("user {user}")))
        .collect();
    parts.push(if who.is_empty() { "by anyone".to_owned() } else { format!("by {}", who.join(" or ")) });
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn each_part_names_the_policy_that_decides() {
        let policy = |name: &str, spec| Arc::new(Policy { name: name.to_owned(), spec: from_value(spec).unwrap() });
        let policies = [
            policy(
                "baseline",
                json!({
                    "validate": {
                        "headlessService": {"action": "Deny", "missing": "Warn"},
                        "replicas": {"action": "Deny", "minimum": 2},
                        "spread": {"action": "Warn"},
                    },
                    "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Preferred"}]},
                    "podDisruptionBudget": {"maxUnavailable": "Quorum"},
                }),
            ),
            policy(
                "production",
                json!({
                    "validate": {
                        "headlessService": {"action": "Deny"},
                        "replicas": {"action": "Deny", "minimum": 3, "even": "Warn"},
                        "spread": {"action": "Warn"},
                        "updateStrategy": {"action": "Off"},
                    },
                    "mutate": {"podAntiAffinity": [{"topologyKey": "kubernetes.io/hostname", "mode": "Required"}]},
                    "podDisruptionBudget": {"maxUnavailable": 1},
                    "existing": {"enforceAfter": "2027-03-31"},
                    "exemptions": {"requireReason": true, "maxDays": 90, "groups": ["platform-admins"]},
                }),
            ),
        ];
        let statefulset = from_value(json!({"metadata": {"name": "db"}, "spec": {"replicas": 5}})).unwrap();
        let rows: Vec<String> = effective(&statefulset, &policies)
            .into_iter()
            .map(|Effective { subject, value, policy }| format!("{subject}: {value} ({policy})"))
            .collect();
        insta::assert_snapshot!(rows.join("\n"), @r"
        headlessService: Deny (baseline)
        headlessService.noServiceName: Deny (baseline)
        headlessService.missing: Deny (production)
        headlessService.notHeadless: Deny (baseline)
        headlessService.selectorMismatch: Deny (baseline)
        headlessService.serviceUpdate: Deny (baseline)
        headlessService.serviceDelete: Warn (baseline)
        replicas: Deny below 3 (production)
        replicas.even: Warn (production)
        replicas.fromZero: Warn (baseline)
        replicas.autoscalerDelete: Warn (baseline)
        spread: Warn (baseline)
        podAntiAffinity: kubernetes.io/hostname Required, whenInfeasible Prefer, onExisting Soften (production)
        podDisruptionBudget: maxUnavailable 1: 1 of 5 (production)
        exemptions: none (baseline)
        existing: enforceAfter 2027-03-31 (production)
        exemptions: with a reason, for 90 days at most, by group platform-admins (production)
        onInternalError: Allow (baseline)
        ");
    }
}
