//! What policies want of ours in a pod template: which terms, how strong, and what is to be said about it.

use std::sync::Arc;

use super::Injected;
use super::feasibility::{TooFew, most_pods, too_few};
use crate::facts::{PodAffinityTerm, StatefulSet, Surroundings, TopologySpreadConstraint, WeightedPodAffinityTerm};
use crate::policy::{
    AntiAffinityMode, OnExisting, Placement, Policy, Spreading, UserTerms, WhenInfeasible, WhenUnsatisfiable,
    placements, spreadings,
};

/// What is known of a StatefulSet that bears on how strong a term may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment<'a> {
    /// It is created, and nothing pins its pods.
    Fresh,
    /// It is created where claims of its pods exist: their volumes pin them (L63).
    Pinned,
    /// It exists, and has these of ours.
    Existing(&'a Injected),
}

/// A required term that policies want and the cluster can't satisfy, where they say `whenInfeasible: Deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Infeasible {
    /// The policy's name.
    pub policy: String,
    /// The topology key.
    pub topology_key: String,
    /// The most pods there may be.
    pub pods: i32,
    /// The autoscaler that may ask for so many; absent where `spec.replicas` does.
    pub autoscaler: Option<String>,
    /// How many Nodes fit.
    pub nodes: usize,
    /// How many values of the topology key those have.
    pub values: usize,
}

/// What policies want.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) injected: Injected,
    pub(super) warnings: Vec<String>,
    pub(super) denied: Vec<Infeasible>,
}

/// What these policies want of ours in the template of `object`, which is as its user has it, without ours.
pub(super) fn wanted(
    object: &StatefulSet,
    moment: Moment<'_>,
    around: &Surroundings,
    policies: &[Arc<Policy>],
) -> Wanted {
    let mut planner = Planner { object, moment, around, wanted: Wanted::default() };
    // The API server rejects a StatefulSet whose selector is empty, and a term with one would be about every pod.
    if !object.selector.is_empty() {
        for wish in placements(policies) {
            planner.place(&wish);
        }
        for wish in spreadings(policies) {
            planner.spread(&wish);
        }
        planner.stand_in_for_the_default();
    }
    planner.wanted
}

/// The scheduler spreads pods that have no constraint at all by constraints of its own: over Nodes with this skew.
const HOSTNAME: &str = "kubernetes.io/hostname";
const DEFAULT_SKEW: i32 = 3;

struct Planner<'a> {
    object: &'a StatefulSet,
    moment: Moment<'a>,
    around: &'a Surroundings,
    wanted: Wanted,
}

/// A wish for a hard term, of either kind.
struct HardWish<'a> {
    /// `anti-affinity` or `spread`.
    what: &'static str,
    topology_key: &'a str,
    /// What hard and soft are called.
    names: (&'static str, &'static str),
    on_existing: OnExisting,
    when_infeasible: WhenInfeasible,
    /// How many domains it takes.
    domains: i32,
    policy: &'a str,
    /// Whether we have a hard one, and a soft one, already.
    kept: (bool, bool),
}

impl Planner<'_> {
    fn place(&mut self, wish: &Placement) {
        let key = wish.topology_key.as_str();
        if user_strength(self.object, key) >= Some(wish.mode) {
            return;
        }
        let users = &self.object.template.pod_anti_affinity;
        let (sets_required, sets_preferred) = (!users.required.is_empty(), !users.preferred.is_empty());
        let leaves = wish.user_terms == UserTerms::Leave;
        let required = wish.mode == AntiAffinityMode::Required;
        // Before anything is decided, so that it doesn't depend on what Nodes there are at the moment.
        if leaves && if required { sets_required } else { sets_preferred } {
            return self.leave("anti-affinity", key, &wish.policy);
        }
        let hard = required && self.is_hard_due(&self.hard_placement(wish));
        if leaves && !hard && sets_preferred {
            return self.leave("anti-affinity", key, &wish.policy);
        }
        let term = PodAffinityTerm::by(&self.object.selector, key);
        let injected = &mut self.wanted.injected;
        if hard {
            injected.required.push(term);
        } else if user_strength(self.object, key).is_none() {
            // Softened to what the user has anyway, it would be one term too many.
            injected.preferred.push(WeightedPodAffinityTerm { weight: wish.weight.get(), pod_affinity_term: term });
        }
    }

    fn hard_placement<'w>(&self, wish: &'w Placement) -> HardWish<'w> {
        let key = wish.topology_key.as_str();
        let kept = self.kept().map(|ours| {
            (
                ours.required.iter().any(|term| term.topology_key == key),
                ours.preferred.iter().any(|term| term.pod_affinity_term.topology_key == key),
            )
        });
        HardWish {
            what: "anti-affinity",
            topology_key: key,
            names: ("required", "preferred"),
            on_existing: wish.on_existing,
            when_infeasible: wish.when_infeasible,
            domains: most_pods(self.object, self.around).0,
            policy: &wish.policy,
            kept: kept.unwrap_or_default(),
        }
    }

    fn spread(&mut self, wish: &Spreading) {
        let key = wish.topology_key.as_str();
        let hard = wish.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule;
        let max_skew = i32::try_from(wish.max_skew.get()).unwrap_or(i32::MAX);
        let template = &self.object.template;
        // kubectl merges constraints by this key, so that a second one would take the user's place (L61).
        if let Some(users) = template.topology_spread_constraints.iter().find(|each| each.topology_key == key) {
            let stronger = users.is_required() && !hard;
            let as_even = stronger || (users.is_required() == hard && users.max_skew <= max_skew);
            if !(as_even && users.is_about(&template.labels)) {
                let wanted = if hard { "DoNotSchedule" } else { "ScheduleAnyway" };
                let policy = &wish.policy;
                self.wanted.warnings.push(format!(
                    "spread on {key}: your weaker constraint stays, not {wanted}, maxSkew {max_skew} (policy {policy})"
                ));
            }
            return;
        }
        // Pods that are never together are even, and users' terms of the same strength are left alone.
        let strength = user_strength(self.object, key);
        let required = |term: &PodAffinityTerm| term.topology_key == key;
        if strength == Some(AntiAffinityMode::Required)
            || (strength.is_some() && !hard)
            || self.wanted.injected.required.iter().any(required)
        {
            return;
        }
        if !template.topology_spread_constraints.is_empty() && wish.user_terms == UserTerms::Leave {
            return self.leave("spread", key, &wish.policy);
        }
        let hard = hard && self.is_hard_due(&self.hard_spreading(wish));
        if hard && !self.hard_spreading(wish).kept.0 {
            self.warn_of_a_single_domain(key, &wish.policy);
        }
        if hard || strength.is_none() {
            self.add_constraint(key, max_skew, if hard { "DoNotSchedule" } else { "ScheduleAnyway" });
        }
    }

    fn hard_spreading<'w>(&self, wish: &'w Spreading) -> HardWish<'w> {
        let key = wish.topology_key.as_str();
        let ours = self.kept().map(|ours| &ours.topology_spread_constraints);
        let ours = ours.and_then(|constraints| constraints.iter().find(|each| each.topology_key == key));
        HardWish {
            what: "spread",
            topology_key: key,
            names: ("DoNotSchedule", "ScheduleAnyway"),
            on_existing: wish.on_existing,
            // Policy files leave no choice here: one domain is enough for a constraint, and without any it strands every pod.
            when_infeasible: WhenInfeasible::Prefer,
            domains: 1,
            policy: &wish.policy,
            kept: ours.map(|each| (each.is_required(), !each.is_required())).unwrap_or_default(),
        }
    }

    /// One domain satisfies a constraint, which then spreads nothing.
    fn warn_of_a_single_domain(&mut self, key: &str, policy: &str) {
        if let Some(few) = too_few(&self.around.nodes, &self.object.template.node_fit, key, 2) {
            let TooFew { nodes, values } = few;
            self.wanted.warnings.push(format!(
                "spread on {key}: nothing to spread over, as {nodes} fitting Nodes have {values} value (policy {policy})"
            ));
        }
    }

    fn add_constraint(&mut self, topology_key: &str, max_skew: i32, when_unsatisfiable: &str) {
        self.wanted.injected.topology_spread_constraints.push(TopologySpreadConstraint {
            label_selector: Some(self.object.selector.clone()),
            max_skew,
            topology_key: topology_key.to_owned(),
            when_unsatisfiable: when_unsatisfiable.to_owned(),
            ..TopologySpreadConstraint::default()
        });
    }

    /// Where ours are the pod's first constraints they turn the scheduler's default off; so it is added where nothing else
    /// keeps pods from one node.
    fn stand_in_for_the_default(&mut self) {
        let injected = &self.wanted.injected;
        let is_first = self.object.template.topology_spread_constraints.is_empty()
            && !injected.topology_spread_constraints.is_empty();
        let on_hostname = injected.topology_spread_constraints.iter().any(|each| each.topology_key == HOSTNAME)
            || injected.required.iter().any(|term| term.topology_key == HOSTNAME)
            || injected.preferred.iter().any(|term| term.pod_affinity_term.topology_key == HOSTNAME)
            || user_strength(self.object, HOSTNAME).is_some();
        if is_first && !on_hostname {
            self.add_constraint(HOSTNAME, DEFAULT_SKEW, "ScheduleAnyway");
        }
    }

    /// Whether the hard form is injected. What was decided for a StatefulSet is kept (L64), unless policies say otherwise now.
    fn is_hard_due(&mut self, wish: &HardWish<'_>) -> bool {
        let (is_hard, is_soft) = wish.kept;
        if is_hard {
            return true;
        }
        let key = wish.topology_key;
        let place = format!("{} on {key}", wish.what);
        let was_infeasible = wish.when_infeasible != WhenInfeasible::Warn
            && wish.when_infeasible != WhenInfeasible::Require
            && self.kept().is_some_and(|ours| ours.infeasible.contains(&place));
        if was_infeasible {
            self.wanted.injected.infeasible.push(place);
            return false;
        }
        if !matches!(self.moment, Moment::Fresh) && wish.on_existing == OnExisting::Soften {
            let why = if matches!(self.moment, Moment::Pinned) { "has volumes" } else { "exists already" };
            if !is_soft {
                self.soften(wish, &format!("the StatefulSet {why}"));
            }
            return false;
        }
        if wish.when_infeasible == WhenInfeasible::Require {
            return true;
        }
        let enough = usize::try_from(wish.domains).unwrap_or(0);
        let Some(few) = too_few(&self.around.nodes, &self.object.template.node_fit, key, enough) else { return true };
        let TooFew { nodes, values } = few;
        if wish.when_infeasible == WhenInfeasible::Warn {
            let pending = enough - values;
            let (what, policy) = (wish.what, wish.policy);
            self.wanted.warnings.push(format!(
                "{what} on {key}: {enough} pods, but {values} values on {nodes} fitting Nodes: {pending} may stay Pending (policy {policy})"
            ));
            return true;
        }
        if wish.when_infeasible == WhenInfeasible::Deny {
            let (pods, autoscaler) = most_pods(self.object, self.around);
            let (policy, topology_key) = (wish.policy.to_owned(), key.to_owned());
            self.wanted.denied.push(Infeasible { policy, topology_key, pods, autoscaler, nodes, values });
        }
        self.wanted.injected.infeasible.push(place);
        self.soften(wish, &format!("{enough} wanted, {values} on {nodes} fitting Nodes"));
        false
    }

    fn soften(&mut self, wish: &HardWish<'_>, why: &str) {
        let HardWish { what, topology_key, names: (hard, soft), policy, .. } = wish;
        self.wanted.warnings.push(format!("{what} on {topology_key}: {soft}, not {hard}: {why} (policy {policy})"));
    }

    fn leave(&mut self, what: &str, key: &str, policy: &str) {
        self.wanted
            .warnings
            .push(format!("{what} on {key}: not injected beside your own, as userTerms: Leave says (policy {policy})"));
    }

    fn kept(&self) -> Option<&Injected> {
        match self.moment {
            Moment::Existing(ours) => Some(ours),
            Moment::Fresh | Moment::Pinned => None,
        }
    }
}

/// How strongly the user already spreads these pods on a topology key, by anti-affinity or by a spread constraint.
fn user_strength(object: &StatefulSet, topology_key: &str) -> Option<AntiAffinityMode> {
    let namespace = &object.metadata.namespace;
    let template = &object.template;
    // A term by the StatefulSet's own selector is about its pods also where the template's labels are yet to be put right.
    let about = |term: &PodAffinityTerm| {
        term.topology_key == topology_key
            && (term.is_about(namespace, &template.labels) || term.label_selector.as_ref() == Some(&object.selector))
    };
    let constraints = || {
        template
            .topology_spread_constraints
            .iter()
            .filter(|constraint| constraint.topology_key == topology_key && constraint.is_about(&template.labels))
    };
    let required = template.pod_anti_affinity.required.iter().any(about);
    if required || constraints().any(TopologySpreadConstraint::is_hard) {
        return Some(AntiAffinityMode::Required);
    }
    let preferred = template.pod_anti_affinity.preferred.iter().any(|term| about(&term.pod_affinity_term));
    (preferred || constraints().next().is_some()).then_some(AntiAffinityMode::Preferred)
}
