//! What to do to the pod template of a request's object.

use std::borrow::Cow;
use std::sync::Arc;

use super::edit::{Edits, without};
use super::wanted::{Infeasible, Moment, Wanted, wanted};
use super::{Injected, RECORD};
use crate::facts::{Change, PodTemplate, Revision, StatefulSet, Surroundings};
use crate::policy::{Policy, placements, spreadings};

/// What is to be done to the pod template of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Injection {
    /// Nothing.
    Nothing,
    /// Its lists are to be changed, or the record of them.
    Inject {
        /// The lists.
        edits: Edits,
        /// All that is ours then; where that is nothing, the record goes.
        record: Injected,
    },
}

/// What is to be done, and what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What is to be done.
    pub injection: Injection,
    /// One line each.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Nothing is done, nothing said.
    pub const NOTHING: Self = Self { injection: Injection::Nothing, warnings: Vec::new() };
}

/// What these policies, which match the request's object, want done to its pod template.
///
/// - CREATE: what they want is injected. One that adopts running pods counts as an UPDATE that leaves the template alone (L94).
/// - UPDATE whose template is the old one but for ours: what is lost comes back where it was (L26), nothing is added (L65).
/// - UPDATE of the template: ours becomes what they want now, however it came to be there; the user's own stays.
#[must_use]
pub fn plan(change: &Change<'_>, around: &Surroundings, policies: &[Arc<Policy>]) -> Plan {
    let object = change.object;
    if object.metadata.terminating {
        return Plan::NOTHING;
    }
    let Some(old) = change.old else {
        if let Some(revision) = adopted(around) {
            return adopt(object, &revision.template, around, policies);
        }
        let moment = if around.has_claims() { Moment::Pinned } else { Moment::Fresh };
        return replace(object, &own(object), moment, around, policies);
    };
    let ours = own(old.object);
    if old.template_changed {
        // Asked a second time about the same request, the object has what is new of ours, too.
        let here = Injected::recorded(&old.object.metadata).and(Injected::recorded(&object.metadata));
        return replace(object, &here.present_in(&object.template), Moment::Existing(&ours), around, policies);
    }
    if ours.is_empty() {
        return Plan::NOTHING;
    }
    let edits = Edits::restore(&object.template, &old.object.template, &ours);
    // Asked a second time, where the user dropped a term that we then injected: the template is the old one again, and yet there
    // is more of ours. What was infeasible is for the old record alone to say.
    let again = Injected { infeasible: Vec::new(), ..own(object) };
    // What a record lists and no template has stays as long as nobody touches the record, and doesn't come back once it is gone.
    let listed = ours.and(Injected::recorded(&object.metadata));
    let record = Injected::recorded(&old.object.metadata).within(&listed);
    act(object, edits, record.and(again), Vec::new())
}

/// Whether these policies want something injected that an object, as it is stored, does not have (L24, L65).
#[must_use]
pub fn is_pending(object: &StatefulSet, around: &Surroundings, policies: &[Arc<Policy>]) -> bool {
    let ours = own(object);
    let wanted = wanted(&users(object, &ours), Moment::Existing(&ours), around, policies);
    !wanted.injected.is_part_of(&ours)
}

/// The required terms that these policies want for a StatefulSet on creation, say `whenInfeasible: Deny` about, and the cluster
/// can't satisfy. Where it adopts running pods, nothing is added, hence nothing is infeasible.
#[must_use]
pub fn infeasible(object: &StatefulSet, around: &Surroundings, policies: &[Arc<Policy>]) -> Vec<Infeasible> {
    if adopted(around).is_some() {
        return Vec::new();
    }
    let moment = if around.has_claims() { Moment::Pinned } else { Moment::Fresh };
    wanted(&users(object, &own(object)), moment, around, policies).denied
}

/// The newest template of the StatefulSet of the same name that was deleted without its pods, where they are still there to be
/// adopted: its claims exist, or pods run that nothing controls (L94, L143).
fn adopted(around: &Surroundings) -> Option<&Revision> {
    let newest = around.orphaned_revisions.iter().max_by_key(|revision| revision.number);
    newest.filter(|_| around.has_claims() || around.has_pods)
}

/// What of ours an object has.
fn own(object: &StatefulSet) -> Injected {
    Injected::recorded(&object.metadata).present_in(&object.template)
}

/// The object as its user has it.
fn users<'a>(object: &'a StatefulSet, ours: &Injected) -> Cow<'a, StatefulSet> {
    let mut users = Cow::Borrowed(object);
    if !ours.is_empty() {
        without(&mut users.to_mut().template, ours);
    }
    users
}

fn replace(
    object: &StatefulSet,
    ours: &Injected,
    moment: Moment<'_>,
    around: &Surroundings,
    policies: &[Arc<Policy>],
) -> Plan {
    let Wanted { injected, warnings, .. } = wanted(&users(object, ours), moment, around, policies);
    let edits = Edits::replace(&object.template, ours, &injected);
    act(object, edits, injected, warnings)
}

/// What the running pods have of ours comes back, though its record went with the StatefulSet that was deleted. Where its user
/// places pods in another way now, they restart anyway, and it is an update of the template.
fn adopt(object: &StatefulSet, running: &PodTemplate, around: &Surroundings, policies: &[Arc<Policy>]) -> Plan {
    let (placements, spreadings) = (placements(policies), spreadings(policies));
    let is_wanted = |key: &str| {
        key == "kubernetes.io/hostname"
            || placements.iter().any(|wish| wish.topology_key.as_str() == key)
            || spreadings.iter().any(|wish| wish.topology_key.as_str() == key)
    };
    let ours = Injected::recognised(running, &object.template, &object.selector, is_wanted).and(own(object));
    let [before, now] = [running, &object.template].map(|template| {
        let mut users = template.clone();
        without(&mut users, &ours);
        (users.pod_anti_affinity, users.topology_spread_constraints)
    });
    if before != now {
        return replace(object, &own(object), Moment::Existing(&ours), around, policies);
    }
    let edits = Edits::restore(&object.template, running, &ours);
    act(object, edits, ours, Vec::new())
}

fn act(object: &StatefulSet, edits: Edits, record: Injected, warnings: Vec<String>) -> Plan {
    let is_recorded = object.metadata.annotations.contains_key(RECORD);
    let as_recorded = if record.is_empty() { !is_recorded } else { Injected::recorded(&object.metadata) == record };
    let nothing = as_recorded && edits.change_nothing(&object.template);
    Plan { injection: if nothing { Injection::Nothing } else { Injection::Inject { edits, record } }, warnings }
}
