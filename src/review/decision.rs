//! What is to be done about a request, and why.

use std::cmp::Reverse;
use std::collections::BTreeSet;
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
    /// How many more StatefulSets would be denied, of which nothing is told.
    pub more: usize,
}

impl Decision {
    /// Of what several policies say about the same thing the strictest is kept, then what asks for most, then the first
    /// policy by name.
    pub(super) fn new(policies: Vec<Arc<Policy>>, mut violations: Vec<Violation>, pending_injection: bool) -> Self {
        violations.sort_by(|left, right| (thing(left), rank(left)).cmp(&(thing(right), rank(right))));
        violations.dedup_by(|next, kept| thing(next) == thing(kept));
        Self { policies, violations, pending_injection, notices: Vec::new(), more: 0 }
    }

    /// All these decisions: what several StatefulSets have to say about one request. `None` where there is none.
    #[must_use]
    pub fn all(decisions: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut decisions = decisions.into_iter();
        let mut all = decisions.next()?;
        for other in decisions {
            all.violations.extend(other.violations);
            all.policies.extend(other.policies);
            all.pending_injection |= other.pending_injection;
            all.notices.extend(other.notices);
            all.more += other.more;
        }
        all.policies.sort_by(|left, right| left.name.cmp(&right.name));
        all.policies.dedup_by(|next, kept| next.name == kept.name);
        Some(all)
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
            1 => "\nand 1 more StatefulSet".to_owned(),
            more => format!("\nand {more} more StatefulSets"),
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
        first_of(warnings, MOST_TOLD)
    }

    /// What to answer where the decision can't be completed: the strictest word of the policies that matched.
    #[must_use]
    pub fn on_internal_error(&self) -> OnInternalError {
        self.policies.iter().map(|policy| policy.spec.on_internal_error).max().unwrap_or_default()
    }
}
