//! What is to be done about a request, and why.

use std::cmp::Reverse;
use std::sync::Arc;

use super::Violation;
use crate::facts::Evidence;
use crate::plain::first_of;
use crate::policy::{OnInternalError, Policy};
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
}

impl Decision {
    /// Of what several policies say about the same thing the strictest is kept, then what asks for most, then the first
    /// policy by name.
    pub(super) fn new(policies: Vec<Arc<Policy>>, mut violations: Vec<Violation>, pending_injection: bool) -> Self {
        violations.sort_by(|left, right| (thing(left), rank(left)).cmp(&(thing(right), rank(right))));
        violations.dedup_by(|next, kept| thing(next) == thing(kept));
        Self { policies, violations, pending_injection, notices: Vec::new() }
    }

    /// Both decisions: what several StatefulSets have to say about one request.
    #[must_use]
    pub fn join(mut self, other: Self) -> Self {
        self.violations.extend(other.violations);
        self.policies.extend(other.policies);
        self.policies.sort_by(|left, right| left.name.cmp(&right.name));
        self.policies.dedup_by(|next, kept| next.name == kept.name);
        self.pending_injection |= other.pending_injection;
        self.notices.extend(other.notices);
        self
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

    /// What a rejected person reads: every reason, each with its remedy.
    #[must_use]
    pub fn denial(&self) -> String {
        let reasons: Vec<String> = self.with_action(Action::Deny).map(ToString::to_string).collect();
        if let [reason] = reasons.as_slice() {
            return reason.clone();
        }
        let count = reasons.len();
        format!("{count} violations:\n- {}", first_of(reasons, MOST_TOLD).join("\n- "))
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
