//! What the controller remembers of a namespace from one look to the next: since when things have been as they are.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::events::Told;
use super::notes::{HELD, STUCK};
use super::pods::Seen;
use crate::budget::{Apart, Coverage, Reason, Terms, Wanted, coverage, is_apart};
use crate::cluster::Inside;
use crate::facts::{Budget, StatefulSet, budget_name};
use crate::policy::{self, PolicySet};

/// How long somebody's budget may seem stuck before that is told: the disruption controller takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a budget of ours may count other pods than there are to be before the real ones are looked at.
const SUSPICION: Duration = Duration::from_secs(2);

/// How long after a look at a namespace's pods the next one is due, where there is a reason for it.
pub(super) const PODS_AGAIN: Duration = Duration::from_secs(30);

/// What is remembered of a namespace.
#[derive(Default)]
pub(super) struct Memory {
    /// What its pods were like, and when that was.
    seen: Option<(Instant, Seen)>,
    /// Since when budgets of ours have counted other pods than there are to be.
    suspected: Option<Instant>,
    /// Since when not all pods of a StatefulSet have been ready, by its uid.
    unready: HashMap<String, Instant>,
    /// Since when somebody's budget has seemed stuck, or ours has been held, by the StatefulSet's uid.
    stuck: HashMap<String, Instant>,
    /// The state that was last told of, by the StatefulSet's uid: a state is told of once.
    told: HashMap<String, Told>,
}

impl Memory {
    /// Notes since when something has been so that is acted on only once it lasts.
    pub(super) fn note(&mut self, inside: &Inside) {
        let now = Instant::now();
        let uids: HashSet<&str> = inside.statefulsets.iter().map(|each| each.metadata.uid.as_str()).collect();
        self.stuck.retain(|uid, _| uids.contains(uid.as_str()));
        self.told.retain(|uid, _| uids.contains(uid.as_str()));
        let unready = inside.statefulsets.iter().filter(|each| each.ready_replicas < each.replicas);
        self.unready = unready
            .map(|each| &each.metadata.uid)
            .map(|uid| (uid.clone(), self.unready.get(uid).copied().unwrap_or(now)))
            .collect();
        self.suspected = counts_others(inside).then(|| self.suspected.unwrap_or(now));
    }

    /// What the namespace's pods were like when they were last looked at.
    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref().map(|(_, seen)| seen)
    }

    /// Remembers what the namespace's pods are like.
    pub(super) fn see(&mut self, seen: Seen) {
        self.seen = Some((Instant::now(), seen));
    }

    /// When the namespace's real pods are to be looked at, where there is a reason to: a budget of somebody else that may select
    /// them by labels that no template tells, or a budget of ours that counts other pods than it is about.
    pub(super) fn when_to_see_pods(&self, inside: &Inside, thoroughly: bool) -> Option<Instant> {
        let theirs = inside.budgets.iter().any(|budget| !budget.is_quorates());
        let last = self.seen.as_ref();
        let names_pods =
            inside.budgets.iter().any(|budget| budget.ours && budget.selector.as_ref().is_some_and(is_apart));
        let suspected = self.suspected.map(|since| since + SUSPICION);
        if thoroughly && (theirs || names_pods || suspected.is_some()) {
            return Some(Instant::now());
        }
        let strangers = last.filter(|(_, seen)| !seen.strangers.is_empty()).map(|(when, _)| *when + PODS_AGAIN);
        let not_before = last.map(|(when, _)| *when + PODS_AGAIN);
        let suspected = suspected.map(|when| not_before.map_or(when, |not_before| when.max(not_before)));
        [strangers, suspected].into_iter().flatten().min()
    }

    /// When StatefulSets that share a budget, and aren't ready, are to have one each.
    pub(super) fn when_it_has_lasted(&self, inside: &Inside, wanted: &[Wanted]) -> Option<Instant> {
        let shared = wanted.iter().any(|wanted| matches!(wanted, Wanted::None(Reason::Shares { .. })));
        let since = inside.statefulsets.iter().filter_map(|each| self.unready.get(&each.metadata.uid));
        let lasts = since.map(|since| *since + PATIENCE).filter(|when| *when > Instant::now());
        lasts.min().filter(|_| shared)
    }

    /// What policies want for each StatefulSet, and whether its budget has to name its pods.
    pub(super) fn terms(&self, inside: &Inside, policies: &PolicySet) -> Vec<(Result<Terms, Reason>, Apart)> {
        let known = self.seen();
        let ours: HashMap<&str, &Budget> =
            inside.budgets.iter().filter(|it| it.ours).map(|it| (it.name.as_str(), &**it)).collect();
        let of = |statefulset: &Arc<StatefulSet>| {
            let metadata = &statefulset.metadata;
            let overlap = known.and_then(|known| known.overlaps.get(&metadata.name));
            let terms = match overlap.filter(|overlap| overlap.holds(inside)) {
                Some(overlap) => Err(Reason::PartlyCovered { by: overlap.by.clone() }),
                None => policy::budget(statefulset, &policies.matching(metadata, &inside.namespace)),
            };
            let budget = ours.get(budget_name(&metadata.name).as_str());
            let names_pods = budget.and_then(|budget| budget.selector.as_ref()).is_some_and(is_apart);
            let lasts = self.unready.get(&metadata.uid).is_some_and(|since| since.elapsed() >= PATIENCE);
            let apart = match known {
                Some(known) if known.strangers.contains_key(&metadata.name) => Apart::Yes,
                // Until the pods have been looked at, what was found before counts.
                None if names_pods => Apart::Yes,
                _ if names_pods || lasts => Apart::IfShared,
                _ => Apart::No,
            };
            (terms, apart)
        };
        inside.statefulsets.iter().map(of).collect()
    }

    /// Whether a StatefulSet's state is news, which it then no longer is; no state is never news. Where it may pass by itself it
    /// is none until it has lasted, and the time when it will have is returned.
    pub(super) fn learn(&mut self, statefulset: &StatefulSet, state: Option<Told>) -> (Option<Told>, Option<Instant>) {
        let uid = &statefulset.metadata.uid;
        let (mut state, mut again) = (state, None);
        if state.as_ref().is_none_or(|told| told.reason != STUCK && told.reason != HELD) {
            self.stuck.remove(uid);
        } else {
            let since = *self.stuck.entry(uid.clone()).or_insert_with(Instant::now);
            if since.elapsed() < PATIENCE {
                (state, again) = (None, Some(since + PATIENCE));
            }
        }
        let before = match &state {
            Some(told) => self.told.insert(uid.clone(), told.clone()),
            None => self.told.remove(uid),
        };
        (state.filter(|told| before.as_ref() != Some(told)), again)
    }
}

/// Whether a budget of ours counts other pods than those that its StatefulSets are to have, or can't be counted: pods that no
/// StatefulSet owns have its labels.
fn counts_others(inside: &Inside) -> bool {
    let replicas: HashMap<String, &StatefulSet> =
        inside.statefulsets.iter().map(|each| (budget_name(&each.metadata.name), &**each)).collect();
    let ours = || inside.budgets.iter().filter(|budget| budget.ours);
    // Those of StatefulSets that share its budget are to be counted too.
    let shared = |budget: &Budget| -> i32 {
        let has_none = |name: &str| !ours().any(|budget| budget.name == name);
        let sharing = replicas
            .iter()
            .filter(|(name, each)| coverage(budget.selector.as_ref(), each) != Coverage::Disjoint && has_none(name));
        sharing.map(|(_, statefulset)| statefulset.replicas).fold(0, i32::saturating_add)
    };
    ours().filter(|budget| !budget.selector.as_ref().is_some_and(is_apart)).any(|budget| {
        let status = budget.status;
        let own = replicas.get(&budget.name).map_or(0, |statefulset| statefulset.replicas);
        // Before its first status it counts none.
        status.sync_failed
            || status.current_healthy > status.expected_pods
            || (status.expected_pods > own && status.expected_pods > own.saturating_add(shared(budget)))
    })
}
