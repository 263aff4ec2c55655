//! A finding of a rule under a policy, with the action that is due.

use std::fmt;

use crate::plain::plain;
use crate::rules::{Action, Finding, Rule};

/// One violation of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The StatefulSet that it is about, where the request is about something else.
    pub about: Option<String>,
    /// The rule.
    pub rule: Rule,
    /// The policy's name.
    pub policy: String,
    /// What is done about it, after ratchet and dry run.
    pub action: Action,
    /// Whether an exemption covers it.
    pub exempt: bool,
    /// What the rule found.
    pub finding: Finding,
}

impl Violation {
    /// The sentence without its field: `1 is below the minimum 3; set spec.replicas to 3 or more`.
    #[must_use]
    pub fn explanation(&self) -> String {
        let Finding { observed, required, remedy, .. } = &self.finding;
        format!("{} {}; {}", plain(observed), plain(required), plain(remedy))
    }

    /// The path of the field that is wrong.
    #[must_use]
    pub fn field(&self) -> String {
        plain(&self.finding.field).to_string()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = &self.about {
            write!(formatter, "StatefulSet {}: ", plain(name))?;
        }
        write!(formatter, "{}: {} (policy {})", self.field(), self.explanation(), self.policy)
    }
}
