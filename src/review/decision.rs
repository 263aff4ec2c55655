//! What is to be done about a request, and why.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Violation;
use crate::facts::Evidence;
use crate::plain::first_of;
use crate::policy::{OnInternalError, Policy, WhenInfeasible};
use crate::rules::{Action, Rule};

/// What a violation is about.
fn thing(violation: &Violation) -> (Rule, &str, &str) {
    (violation.rule, &violation.finding.field, violation.finding.cause)
}

/// How much a violation says about it: the first is kept.
fn rank(violation: &Violation) -> impl Ord {
    (Reverse(violation.action), Reverse(violation.finding.degree))
}

/// The warning about an injection that isn't there.
const PENDING: &str = "spreading: pending injection; it comes with the next change of spec.template";

/// The most violations that one message tells of. The API server cuts warnings much sooner (L5).
pub const MOST_TOLD: usize = 50;

/// The outcome of a review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Admitted.
    Allow,
    /// Admitted with warnings.
    Warn,
    /// Rejected.
    Deny,
}

impl Verdict {
    /// The name used in metrics, logs and audit annotations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

/// The decision about a request: which policies matched and what they object to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The policies that matched, by name.
    pub policies: Vec<Arc<Policy>>,
    /// One violation for each thing that is wrong, in the order of rules.
    pub violations: Vec<Violation>,
    /// Whether something that policies want injected is not there (L24, L65).
    pub pending_injection: bool,
    /// What will follow of the request, and is no objection.
    pub notices: Vec<String>,
    /// How many of each action there are beside the violations, where several StatefulSets have more to say than is told.
    pub untold: BTreeMap<Action, usize>,
    /// On how many more StatefulSets the request bears, which were not judged, as others deny it.
    pub more: usize,
}

impl Decision {
    /// Of what several policies say about the same thing the strictest is kept, then what asks for most, then the first
    /// policy by name.
    pub(super) fn new(policies: Vec<Arc<Policy>>, mut violations: Vec<Violation>, pending_injection: bool) -> Self {
        violations.sort_by(|left, right| (thing(left), rank(left)).cmp(&(thing(right), rank(right))));
        violations.dedup_by(|next, kept| thing(next) == thing(kept));
        Self { policies, violations, pending_injection, notices: Vec::new(), untold: BTreeMap::new(), more: 0 }
    }

    /// Adds what another StatefulSet has to say about the same request. There may be thousands, so no more is kept than is told:
    /// of what admits, that is [`MOST_TOLD`].
    pub fn add(&mut self, other: Self) {
        for violation in other.violations {
            let action = violation.action;
            if action == Action::Deny || self.with_action(action).count() < MOST_TOLD {
                self.violations.push(violation);
            } else {
                *self.untold.entry(action).or_default() += 1;
            }
        }
        for (action, count) in other.untold {
            *self.untold.entry(action).or_default() += count;
        }
        for policy in other.policies {
            if let Err(place) = self.policies.binary_search_by(|known| known.name.cmp(&policy.name)) {
                self.policies.insert(place, policy);
            }
        }
        self.pending_injection |= other.pending_injection;
        self.notices.extend(other.notices.into_iter().take(MOST_TOLD.saturating_sub(self.notices.len())));
        self.more += other.more;
    }

    /// The verdict: that of the strictest violation.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.violations.iter().map(|violation| violation.action).max() {
            Some(Action::Deny) => Verdict::Deny,
            Some(Action::Warn) => Verdict::Warn,
            _ if self.pending_injection => Verdict::Warn,
            _ => Verdict::Allow,
        }
    }

    /// The violations that lead to this action.
    pub fn with_action(&self, action: Action) -> impl Iterator<Item = &Violation> {
        self.violations.iter().filter(move |violation| violation.action == action)
    }

    /// What a denial rests on beside the object: to be read live before it is given (L35).
    #[must_use]
    pub fn denial_rests_on(&self) -> Evidence {
        self.with_action(Action::Deny).fold(Evidence::NONE, |all, violation| all | violation.finding.rests_on)
    }

    /// The topology keys of which a denial says that Nodes have too few values.
    #[must_use]
    pub fn scarce_topology_keys(&self) -> BTreeSet<String> {
        let wishes = self.policies.iter().flat_map(|policy| &policy.spec.mutate.pod_anti_affinity);
        let denies = wishes.filter(|wish| wish.when_infeasible == WhenInfeasible::Deny);
        denies.map(|wish| wish.topology_key.as_str().to_owned()).collect()
    }

    /// What a rejected person reads: every reason, each with its remedy.
    #[must_use]
    pub fn denial(&self) -> String {
        let more = match self.more {
            0 => String::new(),
            1 => "\n1 more StatefulSet was not judged".to_owned(),
            more => format!("\n{more} more StatefulSets were not judged"),
        };
        // No more of them are written than are told.
        let count = self.with_action(Action::Deny).count();
        let mut reasons: Vec<String> =
            self.with_action(Action::Deny).take(MOST_TOLD).map(ToString::to_string).collect();
        if let ([reason], 1) = (reasons.as_slice(), count) {
            return format!("{reason}{more}");
        }
        if count > MOST_TOLD {
            reasons.push(format!("and {} more", count - MOST_TOLD));
        }
        format!("{count} violations:\n- {}{more}", reasons.join("\n- "))
    }

    /// What an admitted person reads, a line each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.with_action(Action::Warn).map(ToString::to_string).collect();
        if self.pending_injection {
            warnings.push(PENDING.to_owned());
        }
        // Of what is denied, nothing follows.
        if self.verdict() != Verdict::Deny {
            warnings.extend(self.notices.iter().cloned());
        }
        first_of(warnings, MOST_TOLD, self.untold.get(&Action::Warn).copied().unwrap_or_default())
    }

    /// What to answer where the decision can't be completed: the strictest word of the policies that matched.
    #[must_use]
    pub fn on_internal_error(&self) -> OnInternalError {
        self.policies.iter().map(|policy| policy.spec.on_internal_error).max().unwrap_or_default()
    }
}
