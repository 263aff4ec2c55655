//! One decision from an object, the old object, what surrounds it, the policies and the time.
//!
//! Admission, the audit and the command line all decide here, so that they can't disagree. This module knows neither where
//! facts come from nor how a decision is told.

mod decision;
mod ratchet;
mod violation;

use std::sync::Arc;

use jiff::Timestamp;

pub use decision::{Decision, Verdict};
pub use violation::Violation;

use crate::facts::{Evidence, Request, Surroundings};
use crate::mutate::{self, Injection};
use crate::policy::{Policy, PolicySet};
use crate::rules::{Action, Subject};

/// Judges a request.
///
/// Objects that are being deleted and updates of metadata only pass every rule: nothing may become impossible to edit or to
/// get rid of (L22).
#[must_use]
pub fn evaluate(request: &Request<'_>, surroundings: &Surroundings, policies: &PolicySet, now: Timestamp) -> Decision {
    let matching = policies.matching(&request.object.metadata, &surroundings.namespace);
    let passes = request.object.metadata.terminating || request.old.is_some_and(|old| !old.spec_changed);
    let mut violations = Vec::new();
    if !passes {
        for policy in &matching {
            violations.extend(judge(request, surroundings, policy, now));
        }
    }
    if policies.needs_namespace_labels() {
        for violation in &mut violations {
            violation.finding.rests_on |= Evidence::NAMESPACE;
        }
    }
    let pending = mutate::plan(request, &matching) != Injection::Nothing;
    Decision::new(matching, violations, pending)
}

/// What one policy objects to, with the actions that are due.
fn judge(request: &Request<'_>, surroundings: &Surroundings, policy: &Arc<Policy>, now: Timestamp) -> Vec<Violation> {
    let check = |statefulset| policy.spec.validate.check(&Subject { statefulset, surroundings });
    let before = request.old.map(|old| check(old.object));
    check(request.object)
        .into_iter()
        .map(|(rule, finding)| {
            let mut action = finding.action;
            if request.dry_run && finding.absence {
                action = action.min(Action::Warn);
            }
            if let (Some(old), Some(before)) = (request.old, &before) {
                action = ratchet::ease(
                    action,
                    rule,
                    &finding,
                    request.object,
                    old,
                    before,
                    policy.spec.existing.as_ref(),
                    now,
                );
            }
            Violation { rule, policy: policy.name.clone(), action, finding }
        })
        .collect()
}

#[cfg(test)]
mod tests;
