//! Exemptions: which rules a StatefulSet's annotations exempt it from, until when, and who may say so.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{Timestamp, ToSpan};

use super::Violation;
use super::injection::injects;
use crate::facts::{Change, Evidence, Metadata, Requester, Way};
use crate::policy::{EndOfDay, Exemptions, Policy};
use crate::rules::{Action, Finding, Rule};

const RULES: &str = "quorate.dev/exempt";
const REASON: &str = "quorate.dev/exempt-reason";
const UNTIL: &str = "quorate.dev/exempt-until";
const INJECT: &str = "quorate.dev/inject";
/// The value of [`INJECT`] by which an object opts out of injection.
const DISABLED: &str = "disabled";

/// What a StatefulSet's annotations say of exemptions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exemption {
    rules: Vec<Rule>,
    no_injection: bool,
    unknown: BTreeSet<String>,
    reason: Option<String>,
    until: Option<Result<EndOfDay, String>>,
}

impl Exemption {
    /// The exemption that an object claims, if any.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Option<Self> {
        let text = |key| metadata.annotations.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let mut exemption = Self {
            no_injection: text(INJECT) == Some(DISABLED),
            reason: text(REASON).map(str::to_owned),
            until: text(UNTIL).map(|date| EndOfDay::parse(date).ok_or_else(|| date.to_owned())),
            ..Self::default()
        };
        let rules = text(RULES);
        if rules.is_none() && !exemption.no_injection {
            return None;
        }
        for name in rules.unwrap_or_default().split(',').map(str::trim).filter(|name| !name.is_empty()) {
            match Rule::named(name) {
                Some(rule) if exemption.rules.contains(&rule) => {}
                Some(rule) => exemption.rules.push(rule),
                None => drop(exemption.unknown.insert(name.to_owned())),
            }
        }
        Some(exemption)
    }

    /// The rules it is about.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether it opts out of injection.
    #[must_use]
    pub fn disables_injection(&self) -> bool {
        self.no_injection
    }

    /// Whether it is about the rule, and its day is over.
    #[must_use]
    pub fn has_expired(&self, rule: Rule, now: Timestamp) -> bool {
        self.rules.contains(&rule) && matches!(&self.until, Some(Ok(until)) if until.is_over(now))
    }

    /// Why a policy doesn't let it count; `None` where it does.
    pub(super) fn objection(&self, policy: &Policy, now: Timestamp) -> Option<String> {
        let Some(exemptions) = &policy.spec.exemptions else {
            return Some(format!("policy {} allows none", policy.name));
        };
        if exemptions.require_reason && self.reason.is_none() {
            return Some(format!("policy {} requires {REASON}", policy.name));
        }
        match &self.until {
            Some(Err(text)) => Some(format!("{UNTIL} is {text:?}, which is not a date such as 2027-01-31")),
            Some(Ok(until)) if until.is_over(now) => Some(format!("it ended with {until}")),
            Some(Ok(until)) => latest(exemptions, now)
                .filter(|latest| until > latest)
                .map(|latest| format!("policy {} allows none beyond {latest}", policy.name)),
            None if exemptions.max_days.is_some() => Some(format!("policy {} requires {UNTIL}", policy.name)),
            None => None,
        }
    }

    /// Whether it counts under a policy and did not before: its date has come within reach, or a change of the object's labels
    /// brings the policy about. It was never reviewed then, as nobody asked who wrote it (L139).
    fn begins_to_count(
        &self,
        before: &Self,
        policy: &Policy,
        policies: &[Arc<Policy>],
        matched: impl Fn(&Policy) -> bool,
        now: Timestamp,
    ) -> bool {
        let counted = |policy: &Policy| matched(policy) && before.objection(policy, now).is_none();
        // Those who may exempt under this policy have had their say where another one asks the same.
        let was_asked = || policies.iter().any(|other| counted(other) && asks_the_same(other, policy));
        self.objection(policy, now).is_none() && !counted(policy) && !was_asked()
    }

    /// Whether it exempts from more than another one, for longer, or for another reason.
    fn exceeds(&self, other: &Self) -> bool {
        let longer = match (&self.until, &other.until) {
            (until, was) if until == was => false,
            (Some(Ok(until)), Some(Ok(was))) => until > was,
            // Without a day, or with one that can't be read, now or before: under one policy it may have counted for nothing, and
            // counts now; under another one it is without end.
            _ => true,
        };
        longer
            || self.reason != other.reason
            || (self.no_injection && !other.no_injection)
            || !self.unknown.is_subset(&other.unknown)
            || self.rules.iter().any(|rule| !other.rules.contains(rule))
    }
}

/// The last day that an exemption may name.
fn latest(exemptions: &Exemptions, now: Timestamp) -> Option<EndOfDay> {
    let days = i64::from(exemptions.max_days?.get());
    now.checked_add((days * 24).hours()).ok().map(EndOfDay::of)
}

/// What is wrong with an exemption that a request adds, changes or extends, or brings to count. What counted before is not
/// reviewed again, and taking one away never is. `matched` says which of the policies were about the object before.
pub(super) fn review(
    change: &Change<'_>,
    policies: &[Arc<Policy>],
    matched: impl Fn(&Policy) -> bool,
    now: Timestamp,
) -> Vec<Violation> {
    let (Way::StatefulSet, Some(exemption)) = (change.way, Exemption::of(&change.object.metadata)) else {
        return Vec::new();
    };
    let before = change.old.and_then(|old| Exemption::of(&old.object.metadata));
    let is_new = before.as_ref().is_none_or(|before| exemption.exceeds(before));
    let begins = |policy: &Policy| {
        before.as_ref().is_some_and(|before| exemption.begins_to_count(before, policy, policies, &matched, now))
    };
    // A policy that allows none says so when it denies; here it has a say only where no other policy allows any.
    let some_allow = policies.iter().any(|policy| policy.spec.exemptions.is_some());
    policies
        .iter()
        .filter(|policy| is_new || begins(policy))
        .filter(|policy| {
            let judges_rules = policy.spec.exemptions.is_some() || !some_allow;
            (exemption.is_about_rules() && judges_rules) || (exemption.no_injection && injects(policy))
        })
        .filter_map(|policy| exemption.denial(policy, change.requester, is_new, now))
        .collect()
}

/// The rules that a StatefulSet is exempt from now: of the policies that match and say most about the rule, none objects.
#[must_use]
pub fn exempted(metadata: &Metadata, policies: &[Arc<Policy>], now: Timestamp) -> Vec<Rule> {
    let Some(exemption) = Exemption::of(metadata) else { return Vec::new() };
    let counts = |rule: &Rule| {
        let action = |policy: &Policy| policy.spec.validate.action(*rule);
        let strictest = policies.iter().map(|policy| action(policy)).max().unwrap_or_default();
        let mut concerned = policies.iter().filter(|policy| action(policy) == strictest);
        strictest > Action::Off && concerned.all(|policy| exemption.objection(policy, now).is_none())
    };
    Rule::ALL.iter().filter(|rule| exemption.rules.contains(rule)).filter(|rule| counts(rule)).copied().collect()
}

impl Exemption {
    fn is_about_rules(&self) -> bool {
        !self.rules.is_empty() || !self.unknown.is_empty()
    }

    fn denial(
        &self,
        policy: &Policy,
        requester: Option<Requester<'_>>,
        is_new: bool,
        now: Timestamp,
    ) -> Option<Violation> {
        let (action, observed, required, remedy) = if let Some(unknown) = self.unknown.first().filter(|_| is_new) {
            let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
            (Action::Deny, format!("{unknown:?}"), "is no rule".to_owned(), format!("name one of {}", names.join(", ")))
        } else if let Some(denied) = unauthorised(policy, requester) {
            denied
        } else {
            let why = self.objection(policy, now)?;
            let remedy = "correct it, or meet the rules it names".to_owned();
            (Action::Warn, "the exemption".to_owned(), format!("does not count: {why}"), remedy)
        };
        Some(Violation {
            about: None,
            rule: Rule::Exemption,
            policy: policy.name.clone(),
            action,
            exempt: false,
            finding: Finding {
                cause: "exemption",
                action,
                field: format!("metadata.annotations[{}]", if self.is_about_rules() { RULES } else { INJECT }),
                observed,
                required,
                remedy,
                degree: 1,
                rests_on: Evidence::NONE,
                absence: false,
            },
        })
    }
}

/// Whether the same groups and users may exempt under both policies.
fn asks_the_same(one: &Policy, other: &Policy) -> bool {
    one.spec.exemptions.as_ref().zip(other.spec.exemptions.as_ref()).is_some_and(|(one, other)| {
        let sorted = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        sorted(&one.groups) == sorted(&other.groups) && sorted(&one.users) == sorted(&other.users)
    })
}

/// What is to be said to a requester who may not exempt under this policy.
fn unauthorised(policy: &Policy, requester: Option<Requester<'_>>) -> Option<(Action, String, String, String)> {
    let exemptions = policy.spec.exemptions.as_ref()?;
    let requester = requester?;
    if exemptions.groups.is_empty() && exemptions.users.is_empty() {
        return None;
    }
    let may = exemptions.users.iter().any(|user| user == requester.username)
        || exemptions.groups.iter().any(|group| requester.groups.contains(group));
    let who: Vec<String> = exemptions
        .groups
        .iter()
        .map(|group| format!("group {group}"))
        .chain(exemptions.users.iter().map(|user| format!("user {user}")))
        .collect();
    (!may).then(|| {
        (
            Action::Deny,
            format!("user {:?}", requester.username),
            "may not add, change or extend an exemption".to_owned(),
            format!("ask {}", who.join(" or ")),
        )
    })
}
