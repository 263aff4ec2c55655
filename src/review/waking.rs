//! The step from zero replicas to too few, which is judged like a creation rather than as growth (L136).
//!
//! A StatefulSet that is scaled to zero and back, or created at zero, would otherwise get past the minimum: zero is legal, and
//! more replicas than before are never denied.

use crate::facts::{Change, Evidence, Requester, Situation, Surroundings, Way};
use crate::policy::Policy;
use crate::rules::{Action, Check as _, Finding, Provided, Rule, Subject};

/// What a policy says about the step, and what that rests on.
pub(super) struct Waking {
    /// The most that is done about it.
    pub(super) action: Action,
    /// What shows that nothing excuses the step.
    pub(super) rests_on: Evidence,
}

impl Waking {
    /// The step, where the change is one and the ratchet does not decide: no autoscaler and no operator asks for it, no claims
    /// show that the StatefulSet was as small before, and no autoscaler raises it at once.
    pub(super) fn of(
        policy: &Policy,
        change: &Change<'_>,
        before: &Situation<'_>,
        after: &Situation<'_>,
        around: &Surroundings,
    ) -> Option<Self> {
        let settings = policy.spec.validate.replicas.as_ref()?;
        let (was, replicas) = (before.statefulset.replicas, after.statefulset.replicas);
        // To as many as are asked for, an autoscaler of too low a floor is what it was before: what it takes away later is judged
        // then, by whatever way that comes.
        let too_few = 1..i64::from(settings.minimum.get());
        let is_step = matches!(change.way, Way::StatefulSet | Way::Scale { .. })
            && was == 0
            && too_few.contains(&i64::from(replicas));
        if !is_step || change.requester.is_some_and(|requester| may_wake(policy, requester)) {
            return None;
        }
        let first = i64::from(after.statefulset.first_ordinal);
        let ordinals = first..first + i64::from(replicas);
        let was_as_small = around.claims.highest.is_some_and(|highest| ordinals.contains(&i64::from(highest)));
        if was_as_small {
            return None;
        }
        // A scale request is judged by its number, and yet an autoscaler makes more of it.
        let raised = settings.check(&Subject {
            statefulset: &after.statefulset,
            surroundings: around,
            way: Way::StatefulSet,
            provided: Provided::default(),
        });
        let too_few = raised.iter().any(|finding| is_about(Rule::Replicas, finding));
        too_few.then(|| Self { action: settings.from_zero(), rests_on: Evidence::CLAIMS | Evidence::AUTOSCALERS })
    }
}

/// Whether the step is what a finding is about.
pub(super) fn is_about(rule: Rule, finding: &Finding) -> bool {
    rule == Rule::Replicas && finding.cause == "minimum"
}

fn may_wake(policy: &Policy, requester: Requester<'_>) -> bool {
    requester.scales() || policy.spec.selection.is_operator(requester.username)
}
