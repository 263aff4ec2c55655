//! Settings of the rules that policy files may name already and that are not checked yet (README, "Features").

use std::num::NonZeroU32;

use serde::Deserialize;

use super::Action;

/// Settings of a rule that has nothing to set but its action.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct ActionOnly {
    /// What is to be done about a violation.
    pub action: Action,
}

/// Settings of `terminationGracePeriod`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, expecting = "a mapping")]
pub struct TerminationGracePeriod {
    /// What is to be done about a violation.
    pub action: Action,
    /// The fewest seconds between SIGTERM and SIGKILL; at least 1, as 0 is always a violation.
    #[serde(default = "one", deserialize_with = "super::count")]
    pub minimum_seconds: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}
