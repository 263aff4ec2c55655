//! The validation rules: one per file, each a pure function from the facts of a StatefulSet, its surroundings and the rule's
//! own settings to findings.
//!
//! A rule's file holds what it checks and why, its settings as a policy file writes them, the check, and a table of cases.
//! To add a rule: write that file, and name it once in [`rules!`](self) below. Rules know nothing of policies, operations or
//! what was there before; `review` does.

mod accepted;
mod action;
mod count;
pub mod headless_service;
pub mod replicas;

use serde::Deserialize;

pub use accepted::{ActionOnly, TerminationGracePeriod};
pub use action::Action;
pub(crate) use count::{count, some_count};

use crate::facts::{Evidence, StatefulSet, Surroundings};

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The object under review.
    pub statefulset: &'a StatefulSet,
    /// What is around it.
    pub surroundings: &'a Surroundings,
}

/// The settings of a rule, which check a subject.
pub trait Check {
    /// Everything about the subject that the rule objects to, in a stable order.
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding>;
}

/// One objection of a rule. Its parts read as a sentence: `spec.replicas: 1 is below the minimum 3; set spec.replicas to 3 or
/// more`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which of the rule's causes this is, by the name that its action has in a policy file.
    pub cause: &'static str,
    /// What the settings say is to be done about this cause.
    pub action: Action,
    /// Path of the field that is wrong.
    pub field: &'static str,
    /// What the field is.
    pub observed: String,
    /// How that falls short of what is required.
    pub required: String,
    /// What to do about it.
    pub remedy: String,
    /// By how much: a greater degree is worse (L83).
    pub degree: u32,
    /// What it rests on beside the object itself.
    pub rests_on: Evidence,
    /// Whether it rests on the absence of another object, which a dry run can't judge (L91).
    pub absence: bool,
}

macro_rules! rules {
    ($($module:ident: $rule:ident = $name:literal,)*) => {
        /// The rules by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $name, "`: see [`", stringify!($module), "`].")] $rule,)*
        }

        impl Rule {
            /// Every rule, in the order of their names in messages.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The name that policy files and messages use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }
        }

        /// A policy's `spec.validate`: the settings of each rule; a rule that is not named is off.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
        pub struct Validate {
            $(#[doc = concat!("Settings of `", $name, "`.")] pub $module: Option<$module::Settings>,)*
            /// Accepted, not checked yet.
            pub persistent_storage: Option<ActionOnly>,
            /// Accepted, not checked yet.
            pub readiness_probe: Option<ActionOnly>,
            /// Accepted, not checked yet.
            pub update_strategy: Option<ActionOnly>,
            /// Accepted, not checked yet.
            pub termination_grace_period: Option<TerminationGracePeriod>,
            /// Accepted, not checked yet.
            pub pod_disruption_budget: Option<ActionOnly>,
            /// Accepted, not checked yet.
            pub spread: Option<ActionOnly>,
        }

        impl Validate {
            /// What the rules that are on object to.
            #[must_use]
            pub fn check(&self, subject: &Subject<'_>) -> Vec<(Rule, Finding)> {
                let mut findings = Vec::new();
                $(if let Some(settings) = &self.$module {
                    findings.extend(settings.check(subject).into_iter().map(|finding| (Rule::$rule, finding)));
                })*
                findings.retain(|(_, finding)| finding.action != Action::Off);
                findings
            }
        }
    };
}

rules! {
    headless_service: HeadlessService = "headlessService",
    replicas: Replicas = "replicas",
}
