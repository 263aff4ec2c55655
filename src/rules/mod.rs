//! The validation rules: one per file, each a pure function from the facts of a StatefulSet, its surroundings and the rule's
//! own settings to findings.
//!
//! A rule's file holds what it checks and why, its settings as a policy file writes them, the check, and a table of cases.
//! To add a rule: write that file, and name it once in [`rules!`](self) below. Rules know nothing of policies, operations or
//! what was there before; `review` does.

mod action;
#[cfg(test)]
mod cases;
mod count;
pub mod headless_service;
pub mod persistent_storage;
pub mod pod_disruption_budget;
pub mod readiness_probe;
pub mod replicas;
pub mod spread;
pub mod termination_grace_period;
pub mod update_strategy;

use schemars::JsonSchema;
use serde::Deserialize;

pub use action::Action;
pub(crate) use count::{count, some_count};

use crate::facts::{Evidence, StatefulSet, Surroundings, Way};

/// What a rule looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The object under review.
    pub statefulset: &'a StatefulSet,
    /// What is around it.
    pub surroundings: &'a Surroundings,
    /// By which way the request came.
    pub way: Way<'a>,
    /// What the policies that match do by themselves.
    pub provided: Provided,
}

/// What the policies that match an object do for it by themselves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Provided {
    /// They give it a budget.
    pub budget: bool,
    /// They spread its pods softly, so that this is enough.
    pub soft_spread: bool,
    /// They spread its pods, but that is yet to be injected.
    pub pending_spread: bool,
}

/// The settings of a rule, which check a subject.
pub trait Check {
    /// Everything about the subject that the rule objects to, in a stable order.
    fn check(&self, subject: &Subject<'_>) -> Vec<Finding>;

    /// The actions of causes that have one of their own.
    fn of_causes(&self) -> Vec<Action> {
        Vec::new()
    }
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
    pub field: String,
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

impl Finding {
    /// A finding about a field of the object itself, of degree 1.
    fn new(cause: &'static str, action: Action, field: &str, observed: impl Into<String>) -> Self {
        Self {
            cause,
            action,
            field: field.to_owned(),
            observed: observed.into(),
            required: String::new(),
            remedy: String::new(),
            degree: 1,
            rests_on: Evidence::NONE,
            absence: false,
        }
    }
}

macro_rules! rules {
    ($($module:ident: $rule:ident = $name:literal,)*) => {
        /// The rules by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $name, "`: see [`", stringify!($module), "`].")] $rule,)*
            /// Not a rule of a policy file: the review of an exemption itself.
            Exemption,
        }

        impl Rule {
            /// Every rule of a policy file, in the order of messages.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// The rule of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$rule),)* _ => None }
            }

            /// What its file says of it: what it checks, why it matters, an example that fails and one that passes. Markdown,
            /// whose first line begins with the rule's name.
            #[must_use]
            pub fn documentation(self) -> String {
                let source = match self {
                    $(Self::$rule => include_str!(concat!(stringify!($module), ".rs")),)*
                    Self::Exemption => "",
                };
                let comment = source.lines().map_while(|line| line.strip_prefix("//!"));
                comment.fold(String::new(), |text, line| text + line.strip_prefix(' ').unwrap_or(line) + "\n")
            }

            /// The name that policy files and messages use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* Self::Exemption => "exemption" }
            }
        }

        /// A policy's `spec.validate`: the settings of each rule; a rule that is not named is off.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
        #[serde(rename_all = "camelCase", deny_unknown_fields, default, expecting = "a mapping")]
        pub struct Validate {
            $(#[doc = concat!("Settings of `", $name, "`.")] pub $module: Option<$module::Settings>,)*
        }

        impl Validate {
            /// What is to be done about a violation of the rule; `Off` where the policy doesn't name it.
            #[must_use]
            pub fn action(&self, rule: Rule) -> Action {
                match rule {
                    $(Rule::$rule => self.$module.as_ref().map(|settings| settings.action),)*
                    Rule::Exemption => None,
                }
                .unwrap_or_default()
            }

            /// Whether it denies anything: by the action of a rule, or by that of one of its causes.
            #[must_use]
            pub fn denies(&self) -> bool {
                Rule::ALL.iter().any(|rule| self.action(*rule) == Action::Deny)
                    $(|| self.$module.as_ref().is_some_and(|settings| settings.of_causes().contains(&Action::Deny)))*
            }

            /// What the rules that are on object to.
            #[must_use]
            pub fn check(&self, subject: &Subject<'_>) -> Vec<(Rule, Finding)> {
                let mut findings = Vec::new();
                $(if let Some(settings) = self.$module.as_ref().filter(|_| Rule::$rule.is_about(subject.way)) {
                    findings.extend(settings.check(subject).into_iter().map(|finding| (Rule::$rule, finding)));
                })*
                findings.retain(|(_, finding)| finding.action != Action::Off);
                findings
            }
        }
    };
}

impl Rule {
    /// Whether a request that comes by this way bears on the rule.
    #[must_use]
    pub fn is_about(self, way: Way<'_>) -> bool {
        match way {
            Way::StatefulSet => true,
            Way::Scale { .. } | Way::Autoscaler { .. } => self == Self::Replicas,
            Way::Service { .. } => self == Self::HeadlessService,
            Way::Budget { .. } => self == Self::PodDisruptionBudget,
        }
    }
}

rules! {
    headless_service: HeadlessService = "headlessService",
    replicas: Replicas = "replicas",
    persistent_storage: PersistentStorage = "persistentStorage",
    readiness_probe: ReadinessProbe = "readinessProbe",
    update_strategy: UpdateStrategy = "updateStrategy",
    termination_grace_period: TerminationGracePeriod = "terminationGracePeriod",
    pod_disruption_budget: PodDisruptionBudget = "podDisruptionBudget",
    spread: Spread = "spread",
}
