//! One decision from a change, what surrounds it, the policies and the time.
//!
//! Admission, the audit and the command line all decide here, so that they can't disagree. Whatever way a request comes, it
//! is the same StatefulSet before and after, the same rules, and the same ratchet. This module knows neither where facts come
//! from nor how a decision is told.

mod announcement;
mod decision;
mod exemption;
mod injection;
mod ownership;
mod ratchet;
mod violation;
mod waking;

use std::sync::Arc;

use jiff::Timestamp;

pub use decision::{Decision, MOST_TOLD, Verdict};
pub use exemption::{Exemption, exempted};
pub use injection::{injection, lacks_injection};
pub use ownership::{acting, unverified_owner};
pub use violation::Violation;
use waking::Waking;

use crate::budget::{Coverage, MOST_NEAR, coverage};
use crate::facts::{Budget, Change, Evidence, Situation, Surroundings, Way};
use crate::mutate::{self, Injected};
use crate::policy::{AntiAffinityMode, Policy, PolicySet, WhenInfeasible, WhenUnsatisfiable, placements};
use crate::rules::{Action, Finding, Provided, Rule, Subject};

/// Judges a change of a StatefulSet, or of something around it.
///
/// Objects that are being deleted and updates of metadata only pass every rule: nothing may become impossible to edit or to
/// get rid of (L22). Only who may exempt is reviewed always.
#[must_use]
pub fn evaluate(change: &Change<'_>, around: &Surroundings, policies: &PolicySet, now: Timestamp) -> Decision {
    let matching = policies.matching(&change.object.metadata, &around.namespace);
    let around = &near(change, around);
    if change.is_about_the_terminating() || cleans_up(change, around) {
        return Decision::new(matching, Vec::new(), false);
    }
    let injecting = injection::injecting(change, &matching, now);
    let pending = change.way == Way::StatefulSet && mutate::is_pending(change.object, around, &injecting);
    let mut violations = Vec::new();
    if !is_about_metadata_only(change) {
        let court = Court {
            change,
            around,
            before: change.before(around),
            after: change.after(around),
            provided: provided(change, &matching, pending),
            exemption: Exemption::of(&change.object.metadata),
            now,
        };
        violations = matching.iter().flat_map(|policy| court.judge(policy)).collect();
        violations.extend(court.infeasible(&injecting));
        violations.extend(court.beyond(&matching));
        court.exempt(&mut violations, &matching);
    }
    let matched =
        |policy: &Policy| change.old.is_some_and(|old| policy.matches(&old.object.metadata, &around.namespace));
    violations.extend(exemption::review(change, &matching, matched, now));
    let by_namespace = |policy: &Arc<Policy>| policy.spec.selection.namespace_selector.is_some();
    for policy in matching.iter().filter(|policy| by_namespace(policy)) {
        for violation in violations.iter_mut().filter(|violation| violation.policy == policy.name) {
            violation.finding.rests_on |= Evidence::NAMESPACE;
        }
    }
    if change.way != Way::StatefulSet {
        for violation in &mut violations {
            violation.about = Some(change.object.metadata.name.clone());
            violation.finding.rests_on |= Evidence::PARENT;
        }
    }
    let notices = announcement::of(change, around, &matching);
    Decision { notices, ..Decision::new(matching, violations, pending) }
}

/// What is around the StatefulSet, of the budgets only those that matter: a namespace may have thousands, every policy looks at
/// all of them, and a change of a budget is judged for every StatefulSet that it selects (L141).
fn near(change: &Change<'_>, around: &Surroundings) -> Surroundings {
    let mut near = around.clone();
    if around.budgets.is_empty() {
        return near;
    }
    let statefulsets = || [Some(change.object), change.old.map(|old| old.object)].into_iter().flatten();
    let is_near =
        |budget: &Budget| statefulsets().any(|each| coverage(budget.selector.as_ref(), each) != Coverage::Disjoint);
    let is_near = |(_, budget): &(&String, &Arc<Budget>)| is_near(budget);
    let owned = |(name, budget): (&String, &Arc<Budget>)| (name.clone(), Arc::clone(budget));
    near.budgets = match change.way {
        Way::StatefulSet => Arc::new(around.budgets.iter().filter(is_near).map(owned).collect()),
        // The one that changes is put there anyway, before and after. With how many others it overlaps matters little.
        Way::Budget { new, .. } => {
            let others = around.budgets.iter().filter(|(name, _)| **name != new.name).filter(is_near);
            Arc::new(others.take(MOST_NEAR).map(owned).collect())
        }
        Way::Scale { .. } | Way::Service { .. } | Way::Autoscaler { .. } => Arc::default(),
    };
    near
}

/// Whether the request deletes a Service or an autoscaler as the last step of something that was decided before (L98).
fn cleans_up(change: &Change<'_>, around: &Surroundings) -> bool {
    change.way.removes()
        && (around.namespace.terminating || change.requester.is_some_and(|requester| requester.cleans_up()))
}

fn is_about_metadata_only(change: &Change<'_>) -> bool {
    change.way == Way::StatefulSet && change.old.is_some_and(|old| !old.spec_changed)
}

/// What these policies do for the StatefulSet by themselves.
fn provided(change: &Change<'_>, policies: &[Arc<Policy>], pending: bool) -> Provided {
    let softened = Injected::recorded(&change.object.metadata).has_soft();
    let soft_terms = placements(policies).iter().any(|placement| placement.mode == AntiAffinityMode::Preferred);
    let soft_constraints = policies
        .iter()
        .flat_map(|policy| &policy.spec.mutate.topology_spread_constraints)
        .any(|constraint| constraint.when_unsatisfiable == WhenUnsatisfiable::ScheduleAnyway);
    Provided {
        budget: acting(change, policies).iter().any(|policy| policy.spec.pod_disruption_budget.is_some()),
        soft_spread: softened || soft_terms || soft_constraints,
        pending_spread: pending,
    }
}

/// Where one change is judged.
struct Court<'a> {
    change: &'a Change<'a>,
    around: &'a Surroundings,
    before: Option<Situation<'a>>,
    after: Situation<'a>,
    provided: Provided,
    exemption: Option<Exemption>,
    now: Timestamp,
}

impl<'a> Court<'a> {
    /// What one policy objects to, with the actions that are due.
    fn judge(&self, policy: &Policy) -> Vec<Violation> {
        let check = |situation: &Situation<'_>| {
            policy.spec.validate.check(&Subject {
                statefulset: &situation.statefulset,
                surroundings: &situation.surroundings,
                way: self.change.way,
                provided: self.provided,
            })
        };
        let before = self.before.as_ref().map(|before| (check(before), self.grown(before).as_ref().map(check)));
        let enforceable = ratchet::is_enforceable(self.change, self.grows());
        let over = ratchet::is_over(policy.spec.existing.as_ref(), self.now);
        let lenient = ownership::spares(policy, self.change);
        let waking = self.waking(policy);
        // What the request itself takes away is as absent without the dry run (L91).
        let blind = self.change.dry_run && !self.change.way.removes();
        check(&self.after)
            .into_iter()
            .map(|(rule, mut finding)| {
                let mut action = finding.action;
                if lenient || (blind && finding.absence) {
                    action = action.min(Action::Warn);
                }
                if let Some(waking) = waking.as_ref().filter(|_| waking::is_about(rule, &finding)) {
                    action = action.min(waking.action);
                    finding.rests_on |= waking.rests_on;
                } else if let Some((before, growth)) = &before {
                    let expired =
                        self.exemption.as_ref().is_some_and(|exemption| exemption.has_expired(rule, self.now));
                    let ratchet = ratchet::Ratchet {
                        enforced: enforceable && (over || expired),
                        before,
                        growth: growth.as_deref().unwrap_or_default(),
                    };
                    action = ratchet.ease(action, rule, &finding);
                }
                Violation { about: None, rule, policy: policy.name.clone(), action, exempt: false, finding }
            })
            .collect()
    }

    /// The step from zero replicas, where it is judged like a creation.
    fn waking(&self, policy: &Policy) -> Option<Waking> {
        Waking::of(policy, self.change, self.before.as_ref()?, &self.after, self.around)
    }

    /// What policies want injected on creation, the cluster can't satisfy, and `whenInfeasible: Deny` rejects. Judged here, as
    /// a mutation that fails lets objects pass.
    fn infeasible(&self, injecting: &[Arc<Policy>]) -> Vec<Violation> {
        let denies = |policy: &Arc<Policy>| {
            policy.spec.mutate.pod_anti_affinity.iter().any(|wish| wish.when_infeasible == WhenInfeasible::Deny)
        };
        if self.change.way != Way::StatefulSet || self.before.is_some() || !injecting.iter().any(denies) {
            return Vec::new();
        }
        let found = mutate::infeasible(self.change.object, self.around, injecting);
        found.iter().map(|infeasible| Self::about_spread(&infeasible.policy, injection::denial(infeasible))).collect()
    }

    /// What grows beyond what a hard term of ours holds: a warning, as pods that stay Pending harm nothing that runs.
    fn beyond(&self, policies: &[Arc<Policy>]) -> Vec<Violation> {
        let (Some(before), Some(policy)) = (&self.before, policies.first()) else { return Vec::new() };
        let beyond = |situation: &Situation<'_>| mutate::beyond(&situation.statefulset, &situation.surroundings);
        let was = beyond(before);
        let grew =
            |now: &mutate::Beyond| was.iter().all(|was| was.topology_key != now.topology_key || was.pods < now.pods);
        beyond(&self.after)
            .iter()
            .filter(|now| grew(now))
            .map(|beyond| Self::about_spread(&policy.name, injection::warning(beyond)))
            .collect()
    }

    fn about_spread(policy: &str, finding: Finding) -> Violation {
        let action = finding.action;
        Violation { about: None, rule: Rule::Spread, policy: policy.to_owned(), action, exempt: false, finding }
    }

    /// Whether there will be more replicas than before.
    fn grows(&self) -> bool {
        self.before.as_ref().is_some_and(|before| self.after.statefulset.replicas > before.statefulset.replicas)
    }

    /// What was there before, had it only been given the replicas that there will be; none where these are no more.
    fn grown(&self, before: &Situation<'a>) -> Option<Situation<'a>> {
        self.grows().then(|| {
            let mut grown = before.clone();
            grown.statefulset.to_mut().replicas = self.after.statefulset.replicas;
            grown
        })
    }

    /// Lets pass what the object is exempt from, where every policy that denies it allows that.
    fn exempt(&self, violations: &mut [Violation], policies: &[Arc<Policy>]) {
        let Some(exemption) = &self.exemption else { return };
        for rule in exemption.rules() {
            let of_rule = || violations.iter().filter(|violation| violation.rule == *rule);
            let Some(strictest) = of_rule().map(|violation| violation.action).max() else { continue };
            let objection = policies
                .iter()
                .filter(|policy| {
                    of_rule().any(|violation| violation.action == strictest && violation.policy == policy.name)
                })
                .find_map(|policy| exemption.objection(policy, self.now));
            for violation in violations.iter_mut().filter(|violation| violation.rule == *rule) {
                match &objection {
                    None => {
                        violation.exempt = true;
                        violation.action = violation.action.min(Action::Audit);
                    }
                    Some(why) if violation.action == Action::Deny => {
                        violation.finding.remedy =
                            format!("{}; its exemption does not count: {why}", violation.finding.remedy);
                    }
                    Some(_) => {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
