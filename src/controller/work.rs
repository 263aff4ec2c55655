//! What the leader does: looks at namespaces, one after another change, and does the steps that are due there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Controller;
use super::events::{Events, Told, tell};
use super::plan::{Step, plan};
use super::pods::{Overlaps, overlaps};
use super::writes::{Outcome, Writes};
use crate::budget::{Candidate, Kept, Reason, desired};
use crate::cluster::Inside;
use crate::facts::StatefulSet;
use crate::policy::{self, PolicySet};

/// How long changes are gathered before they are acted on: an apply of many files is one look at the namespace.
const GATHER: Duration = Duration::from_millis(50);

/// How often policies and what is due are looked at.
const TICK: Duration = Duration::from_secs(1);

/// How often every namespace is looked at, whatever changed or didn't.
const RESYNC: Duration = Duration::from_mins(5);

/// Pauses before a namespace is looked at again where something failed: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// How long somebody's budget may seem stuck before that is told: the disruption controller takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// So many failures in a row, mostly conflicts, are what a lagging cache looks like.
const LAG: u32 = 3;

/// How many namespaces, and how many budgets of each, are worked on at a time.
const AT_A_TIME: usize = 8;

/// The leader's work.
pub(super) struct Work<'a> {
    controller: &'a Controller,
    writes: Writes<'a>,
    events: Events,
    /// The policies that were last acted on.
    policies: Arc<PolicySet>,
    /// When to look at a namespace again, and after how many failures.
    due: HashMap<String, (Instant, u32)>,
    overlaps: HashMap<String, Overlaps>,
    /// Since when somebody's budget has seemed stuck, by the StatefulSet's uid.
    stuck: HashMap<String, Instant>,
}

/// What looking at a namespace came to.
struct Looked {
    namespace: String,
    /// What to tell of the state that each StatefulSet is in.
    states: Vec<(Arc<StatefulSet>, Option<Told>)>,
    overlaps: Option<Overlaps>,
    failures: Vec<String>,
}

impl<'a> Work<'a> {
    pub(super) fn new(controller: &'a Controller, identity: &str) -> Self {
        let client = controller.cluster.client().clone();
        Self {
            controller,
            writes: Writes { client: client.clone(), metrics: &controller.metrics },
            events: Events::new(client, identity),
            policies: controller.policies.load_full(),
            due: HashMap::new(),
            overlaps: HashMap::new(),
            stuck: HashMap::new(),
        }
    }

    /// Goes on for ever.
    pub(super) async fn go_on(mut self) {
        let cluster = &self.controller.cluster;
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut resync = Instant::now();
        loop {
            let mut changed = tokio::select! {
                changed = cluster.changes().next() => {
                    sleep(GATHER).await;
                    changed
                }
                _ = tick.tick() => {
                    self.controller.metrics.budgets_managed(cluster.budgets_of_ours());
                    cluster.changes().take()
                }
            };
            if !cluster.is_listed() {
                cluster.changes().all();
                sleep(TICK).await;
                continue;
            }
            let since = cluster.changes().take();
            changed.all |= since.all;
            changed.namespaces.extend(since.namespaces);
            changed.namespaces.extend(self.take_due());
            changed.all |= self.policies_changed() | (Instant::now() >= resync);
            if changed.all {
                resync = Instant::now() + RESYNC;
                self.forget_what_is_gone();
            }
            let namespaces = if changed.all { cluster.namespaces() } else { changed.namespaces };
            self.look_at(namespaces, changed.all).await;
        }
    }

    async fn look_at(&mut self, namespaces: BTreeSet<String>, thoroughly: bool) {
        let looks = stream::iter(namespaces).map(|namespace| self.look(namespace, thoroughly));
        let looked: Vec<Looked> = looks.buffer_unordered(AT_A_TIME).collect().await;
        let recorder = self.events.recorder();
        for Looked { namespace, states, overlaps, failures } in looked {
            for (statefulset, state) in states {
                let state = self.when_it_lasts(&namespace, &statefulset, state);
                if self.events.is_news(&statefulset, state.as_ref())
                    && let Some(told) = state
                {
                    tell(&recorder, &statefulset, told).await;
                }
            }
            if let Some(overlaps) = overlaps {
                self.overlaps.insert(namespace.clone(), overlaps);
            }
            self.note(namespace, &failures);
        }
    }

    /// Looks at a namespace, and does what is due there.
    async fn look(&self, namespace: String, thoroughly: bool) -> Looked {
        let mut looked = Looked { namespace, states: Vec::new(), overlaps: None, failures: Vec::new() };
        let Some(inside) = self.controller.cluster.inside(&looked.namespace) else { return looked };
        if inside.namespace.terminating {
            return looked;
        }
        let inside = self.controller.cluster.with_served_owners(inside).await;
        if thoroughly {
            match overlaps(self.writes.client.clone(), &inside).await {
                Ok(found) => looked.overlaps = Some(found),
                Err(error) => looked.failures.push(format!("can't list pods: {error}")),
            }
        }
        let known = looked.overlaps.as_ref().or_else(|| self.overlaps.get(&looked.namespace));
        let steps = self.steps(&inside, known);
        let (deletions, others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step, Step::Delete { .. }));
        looked.states = inside.statefulsets.iter().map(|statefulset| (Arc::clone(statefulset), None)).collect();
        for steps in [deletions, others] {
            // A budget that couldn't be deleted would be the second one on its pods.
            if looked.failures.is_empty() {
                let done: Vec<_> =
                    stream::iter(steps).map(|step| self.take(step)).buffer_unordered(AT_A_TIME).collect().await;
                for (about, result) in done {
                    match result {
                        Ok(None) => {}
                        Ok(Some(told)) => looked.states.extend(about.map(|statefulset| (statefulset, Some(told)))),
                        Err(why) => looked.failures.push(why),
                    }
                }
            }
        }
        // The last word about a StatefulSet counts.
        let mut seen = HashSet::new();
        looked.states.reverse();
        looked.states.retain(|(statefulset, _)| seen.insert(statefulset.metadata.uid.clone()));
        looked
    }

    fn steps(&self, inside: &Inside, known: Option<&Overlaps>) -> Vec<Step> {
        let terms: Vec<_> = inside
            .statefulsets
            .iter()
            .map(|statefulset| {
                let metadata = &statefulset.metadata;
                match known.and_then(|known| known.get(&metadata.name)).filter(|overlap| overlap.holds(inside)) {
                    Some(overlap) => Err(Reason::MayBeCovered { by: overlap.by.clone() }),
                    None => policy::budget(statefulset, &self.policies.matching(metadata, &inside.namespace)),
                }
            })
            .collect();
        let candidates: Vec<_> = inside
            .statefulsets
            .iter()
            .zip(&terms)
            .map(|(statefulset, terms)| Candidate { statefulset, terms: terms.as_ref() })
            .collect();
        plan(&inside.statefulsets, &desired(&candidates, &inside.budgets), &inside.budgets)
    }

    /// Does a step. What it returns is the state that the StatefulSet is in, if that is to be told, or what failed.
    async fn take(&self, step: Step) -> (Option<Arc<StatefulSet>>, Result<Option<Told>, String>) {
        let recorder = self.events.recorder();
        match step {
            Step::Delete { budget, statefulset, reason } => {
                let outcome = self.writes.delete(&budget).await;
                if let (Outcome::Done, Some(statefulset), Some(reason)) = (&outcome, &statefulset, &reason) {
                    tell(&recorder, statefulset, withdrawn(&budget.name, reason)).await;
                }
                (statefulset, state_after(outcome, &budget.name))
            }
            Step::Create { statefulset, kept } => {
                let outcome = self.writes.create(&statefulset, &kept).await;
                if outcome == Outcome::Done {
                    tell(&recorder, &statefulset, written("BudgetCreated", "Create", &kept)).await;
                }
                (Some(statefulset), state_after(outcome, &kept.name))
            }
            Step::Apply { statefulset, kept, uid } => {
                let outcome = self.writes.apply(&statefulset, &kept, &uid).await;
                if outcome == Outcome::Done {
                    tell(&recorder, &statefulset, written("BudgetUpdated", "Apply", &kept)).await;
                }
                (Some(statefulset), state_after(outcome, &kept.name))
            }
            Step::Taken { statefulset, name } => (Some(statefulset), Ok(Some(taken(&name)))),
            Step::Shared { statefulset, reason } => {
                let told = Told { reason: "BudgetShared", action: "Share", note: capitalised(&reason), warns: false };
                (Some(statefulset), Ok(Some(told)))
            }
            Step::Stuck { statefulset, by } => {
                let told = stuck(&statefulset, &by);
                (Some(statefulset), Ok(Some(told)))
            }
        }
    }

    /// The state, unless it is one that may pass by itself and hasn't lasted yet.
    fn when_it_lasts(&mut self, namespace: &str, statefulset: &StatefulSet, state: Option<Told>) -> Option<Told> {
        let uid = &statefulset.metadata.uid;
        if state.as_ref().is_none_or(|told| told.reason != STUCK) {
            self.stuck.remove(uid);
            return state;
        }
        let since = *self.stuck.entry(uid.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= PATIENCE {
            return state;
        }
        self.due.entry(namespace.to_owned()).or_insert((since + PATIENCE, 0));
        None
    }

    /// Has a namespace looked at again where something failed.
    fn note(&mut self, namespace: String, failures: &[String]) {
        if failures.is_empty() {
            // What is due for another reason stays so.
            if self.due.get(&namespace).is_some_and(|(_, failures)| *failures > 0) {
                self.due.remove(&namespace);
                self.count_failing();
            }
            return;
        }
        let (_, count) = self.due.get(&namespace).copied().unwrap_or((Instant::now(), 0));
        let pause = PAUSES.0.saturating_mul(1 << count.min(16)).min(PAUSES.1);
        if count >= LAG {
            tracing::warn!(%namespace, again_in = ?pause, "budgets are not as they shall be: {}", failures.join("; "));
        } else {
            tracing::debug!(%namespace, again_in = ?pause, "{}", failures.join("; "));
        }
        self.due.insert(namespace, (Instant::now() + pause, count + 1));
        self.count_failing();
    }

    fn count_failing(&self) {
        let failing = self.due.values().filter(|(_, failures)| *failures > LAG).count();
        self.controller.metrics.budgets_failing(failing);
    }

    /// The namespaces that are due; those where something failed keep their count of failures.
    fn take_due(&mut self) -> Vec<String> {
        let now = Instant::now();
        let due: Vec<String> =
            self.due.iter().filter(|(_, (when, _))| *when <= now).map(|(namespace, _)| namespace.clone()).collect();
        self.due.retain(|_, (when, failures)| *when > now || *failures > 0);
        due
    }

    fn policies_changed(&mut self) -> bool {
        let now = self.controller.policies.load_full();
        let changed = !Arc::ptr_eq(&now, &self.policies);
        self.policies = now;
        changed
    }

    fn forget_what_is_gone(&mut self) {
        let cluster = &self.controller.cluster;
        let namespaces = cluster.namespaces();
        let statefulsets = namespaces.iter().filter_map(|namespace| cluster.inside(namespace));
        let uids: HashSet<String> = statefulsets
            .flat_map(|inside| inside.statefulsets)
            .map(|statefulset| statefulset.metadata.uid.clone())
            .collect();
        self.events.keep_only(&uids);
        self.stuck.retain(|uid, _| uids.contains(uid));
        self.overlaps.retain(|namespace, _| namespaces.contains(namespace));
        self.due.retain(|namespace, _| namespaces.contains(namespace));
    }
}

const STUCK: &str = "BudgetStuck";

fn state_after(outcome: Outcome, name: &str) -> Result<Option<Told>, String> {
    match outcome {
        Outcome::Done | Outcome::Nothing => Ok(None),
        Outcome::Taken => Ok(Some(taken(name))),
        Outcome::Again(why) => Err(format!("PodDisruptionBudget {name}: {why}")),
    }
}

fn written(reason: &'static str, action: &'static str, kept: &Kept) -> Told {
    let note = format!(
        "PodDisruptionBudget {} now has maxUnavailable {}, as policy {} asks",
        kept.name, kept.terms.max_unavailable, kept.terms.policy
    );
    Told { reason, action, note, warns: false }
}

fn withdrawn(name: &str, reason: &Reason) -> Told {
    let note = format!("Deleted PodDisruptionBudget {name}: {reason}");
    Told { reason: "BudgetWithdrawn", action: reason.name(), note, warns: false }
}

fn taken(name: &str) -> Told {
    let note = format!(
        "There is a PodDisruptionBudget {name} that isn't Quorate's, so that the pods have no budget of Quorate's; \
         rename or delete it"
    );
    Told { reason: "BudgetNameTaken", action: "Create", note, warns: true }
}

fn stuck(statefulset: &StatefulSet, by: &str) -> Told {
    let note = format!(
        "PodDisruptionBudget {by} says disruptionsAllowed: 0 though all {} pods are ready; Kubernetes counts anew when \
         the budget or one of its pods changes: kubectl annotate poddisruptionbudget {by} -n {} counted=again --overwrite",
        statefulset.replicas, statefulset.metadata.namespace
    );
    Told { reason: STUCK, action: "Wait", note, warns: true }
}

fn capitalised(reason: &Reason) -> String {
    let text = reason.to_string();
    format!("{}{}", text[..1].to_uppercase(), &text[1..])
}
