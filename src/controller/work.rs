//! What the leader does: looks at namespaces, one after another change, and does the steps that are due there.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::Controller;
use super::events::{Events, Told, tell};
use super::plan::{Spec, Step, plan};
use super::pods::{self, Seen};
use super::writes::{Outcome, Writes};
use crate::budget::{Apart, Candidate, Coverage, Kept, Reason, Terms, Wanted, coverage, desired, is_apart};
use crate::cluster::Inside;
use crate::facts::{Budget, Limit, StatefulSet, budget_name};
use crate::plain::plain;
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

/// How long a budget of ours may count other pods than there are to be before the real ones are looked at.
const SUSPICION: Duration = Duration::from_secs(2);

/// How long after a look at a namespace's pods the next one is due, where there is a reason for it.
const PODS_AGAIN: Duration = Duration::from_secs(30);

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
    /// What each namespace's pods were like, and when that was.
    seen: HashMap<String, (Instant, Seen)>,
    /// Since when budgets of ours have counted other pods than there are to be, by namespace.
    suspected: HashMap<String, Instant>,
    /// Since when not all pods of a StatefulSet have been ready, by its uid.
    unready: HashMap<String, Instant>,
    /// Since when somebody's budget has seemed stuck, or ours has been held, by the StatefulSet's uid.
    stuck: HashMap<String, Instant>,
}

/// What looking at a namespace came to.
struct Looked {
    namespace: String,
    /// What to tell of the state that each StatefulSet is in.
    states: Vec<(Arc<StatefulSet>, Option<Told>)>,
    seen: Option<Seen>,
    /// When it is to be looked at again though nothing changes.
    again: Option<Instant>,
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
            seen: HashMap::new(),
            suspected: HashMap::new(),
            unready: HashMap::new(),
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
        for namespace in &namespaces {
            self.note_times(namespace);
        }
        let looks = stream::iter(namespaces).map(|namespace| self.look(namespace, thoroughly));
        let looked: Vec<Looked> = looks.buffer_unordered(AT_A_TIME).collect().await;
        let recorder = self.events.recorder();
        for Looked { namespace, states, seen, again, failures } in looked {
            for (statefulset, state) in states {
                let state = self.when_it_lasts(&namespace, &statefulset, state);
                if self.events.is_news(&statefulset, state.as_ref())
                    && let Some(told) = state
                {
                    tell(&recorder, &statefulset, told).await;
                }
            }
            if let Some(seen) = seen {
                self.seen.insert(namespace.clone(), (Instant::now(), seen));
            }
            if let Some(again) = again {
                self.due.entry(namespace.clone()).or_insert((again, 0));
            }
            self.note(namespace, &failures);
        }
    }

    /// Notes since when something has been so that is acted on only once it lasts.
    fn note_times(&mut self, namespace: &str) {
        let now = Instant::now();
        let Some(inside) = self.controller.cluster.inside(namespace) else { return };
        for statefulset in &inside.statefulsets {
            let uid = &statefulset.metadata.uid;
            if statefulset.ready_replicas >= statefulset.replicas {
                self.unready.remove(uid);
            } else if !self.unready.contains_key(uid) {
                self.unready.insert(uid.clone(), now);
            }
        }
        if counts_others(&inside) {
            self.suspected.entry(namespace.to_owned()).or_insert(now);
        } else {
            self.suspected.remove(namespace);
        }
    }

    /// Looks at a namespace, and does what is due there.
    async fn look(&self, namespace: String, thoroughly: bool) -> Looked {
        let mut looked = Looked { namespace, states: Vec::new(), seen: None, again: None, failures: Vec::new() };
        let Some(inside) = self.controller.cluster.inside(&looked.namespace) else { return looked };
        if inside.namespace.terminating {
            return looked;
        }
        let inside = self.controller.cluster.with_served_owners(inside).await;
        let mut blind = None;
        match self.when_to_see_pods(&inside, thoroughly) {
            Some(when) if when <= Instant::now() => match pods::look(&self.controller.cluster, &inside).await {
                Ok(seen) => {
                    looked.again = (!seen.strangers.is_empty()).then(|| Instant::now() + PODS_AGAIN);
                    looked.seen = Some(seen);
                }
                Err(error) => blind = Some(format!("can't list pods: {error}")),
            },
            when => looked.again = when,
        }
        let known = looked.seen.as_ref().or_else(|| self.seen.get(&looked.namespace).map(|(_, seen)| seen));
        // Never having seen the pods, a budget that is made may be the second one on some of them.
        looked.failures.extend(blind.take_if(|_| known.is_none()));
        let terms = self.terms(&inside, known);
        let candidates: Vec<_> = (inside.statefulsets.iter().zip(&terms))
            .map(|(statefulset, (terms, apart))| Candidate { statefulset, terms: terms.as_ref(), apart: *apart })
            .collect();
        let wanted = desired(&candidates, &inside.budgets);
        if let Some(again) = self.when_it_has_lasted(&inside, &wanted) {
            looked.again = Some(looked.again.map_or(again, |before| before.min(again)));
        }
        looked.states = inside.statefulsets.iter().map(|statefulset| (Arc::clone(statefulset), None)).collect();
        looked.states.extend(strangers(&inside, known, &wanted));
        let (first, others): (Vec<_>, Vec<_>) = plan(&inside.statefulsets, &wanted, &inside.budgets)
            .into_iter()
            .partition(|step| matches!(step, Step::Delete { .. } | Step::Correct { .. }));
        let (applies, others) = others.into_iter().partition(|step| matches!(step, Step::Apply { .. }));
        // A budget that couldn't be deleted, or narrowed, would be the second one on its pods.
        for steps in [first, applies, others] {
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
        looked.failures.extend(blind);
        // The last word about a StatefulSet counts.
        let mut seen = HashSet::new();
        looked.states.reverse();
        looked.states.retain(|(statefulset, _)| seen.insert(statefulset.metadata.uid.clone()));
        looked
    }

    /// When the namespace's real pods are to be looked at, where there is a reason to: a budget of somebody else that may select
    /// them by labels that no template tells, or a budget of ours that counts other pods than it is about.
    fn when_to_see_pods(&self, inside: &Inside, thoroughly: bool) -> Option<Instant> {
        let theirs = inside.budgets.iter().any(|budget| !budget.is_quorates());
        let last = self.seen.get(&inside.namespace.name);
        let names_pods =
            inside.budgets.iter().any(|budget| budget.ours && budget.selector.as_ref().is_some_and(is_apart));
        let suspected = self.suspected.get(&inside.namespace.name).map(|since| *since + SUSPICION);
        if thoroughly && (theirs || names_pods || suspected.is_some()) {
            return Some(Instant::now());
        }
        let strangers = last.filter(|(_, seen)| !seen.strangers.is_empty()).map(|(when, _)| *when + PODS_AGAIN);
        let not_before = last.map(|(when, _)| *when + PODS_AGAIN);
        let suspected = suspected.map(|when| not_before.map_or(when, |not_before| when.max(not_before)));
        [strangers, suspected].into_iter().flatten().min()
    }

    /// When StatefulSets that share a budget, and aren't ready, are to have one each.
    fn when_it_has_lasted(&self, inside: &Inside, wanted: &[Wanted]) -> Option<Instant> {
        let shared = wanted.iter().any(|wanted| matches!(wanted, Wanted::None(Reason::Shares { .. })));
        let since = inside.statefulsets.iter().filter_map(|each| self.unready.get(&each.metadata.uid));
        let lasts = since.map(|since| *since + PATIENCE).filter(|when| *when > Instant::now());
        lasts.min().filter(|_| shared)
    }

    /// What policies want for each StatefulSet, and whether its budget has to name its pods.
    fn terms(&self, inside: &Inside, known: Option<&Seen>) -> Vec<(Result<Terms, Reason>, Apart)> {
        let ours: HashMap<&str, &Budget> =
            inside.budgets.iter().filter(|it| it.ours).map(|it| (it.name.as_str(), &**it)).collect();
        let of = |statefulset: &Arc<StatefulSet>| {
            let metadata = &statefulset.metadata;
            let overlap = known.and_then(|known| known.overlaps.get(&metadata.name));
            let terms = match overlap.filter(|overlap| overlap.holds(inside)) {
                Some(overlap) => Err(Reason::PartlyCovered { by: overlap.by.clone() }),
                None => policy::budget(statefulset, &self.policies.matching(metadata, &inside.namespace)),
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
            Step::Correct { budget, statefulset, spec } => {
                let outcome = self.writes.correct(&budget, &spec).await;
                if let (Outcome::Done, Some(statefulset)) = (&outcome, &statefulset) {
                    tell(&recorder, statefulset, corrected(&budget, &spec)).await;
                }
                // What holds it is told as a state.
                (None, state_after(outcome, &budget.name))
            }
            Step::Held { statefulset, budget } => (Some(statefulset), Ok(Some(held(&budget)))),
            Step::Taken { statefulset, name } => (Some(statefulset), Ok(Some(taken(&name)))),
            Step::Shared { statefulset, reason } => (Some(statefulset), Ok(Some(shared(&reason)))),
            Step::Stuck { statefulset, by } => {
                let told = stuck(&statefulset, &by);
                (Some(statefulset), Ok(Some(told)))
            }
        }
    }

    /// The state, unless it is one that may pass by itself and hasn't lasted yet.
    fn when_it_lasts(&mut self, namespace: &str, statefulset: &StatefulSet, state: Option<Told>) -> Option<Told> {
        let uid = &statefulset.metadata.uid;
        if state.as_ref().is_none_or(|told| told.reason != STUCK && told.reason != HELD) {
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
        self.unready.retain(|uid, _| uids.contains(uid));
        self.seen.retain(|namespace, _| namespaces.contains(namespace));
        self.suspected.retain(|namespace, _| namespaces.contains(namespace));
        self.due.retain(|namespace, _| namespaces.contains(namespace));
    }
}

const STUCK: &str = "BudgetStuck";

const HELD: &str = "BudgetHeld";

fn state_after(outcome: Outcome, name: &str) -> Result<Option<Told>, String> {
    match outcome {
        Outcome::Done | Outcome::Nothing => Ok(None),
        Outcome::Taken => Ok(Some(taken(name))),
        Outcome::Again(why) => Err(format!("PodDisruptionBudget {name}: {why}")),
    }
}

fn written(reason: &'static str, action: &'static str, kept: &Kept) -> Told {
    let Kept { name, terms, .. } = kept;
    let note = match kept.limit {
        Limit::MinAvailable(amount) => format!(
            "PodDisruptionBudget {name} now has minAvailable {amount} over the StatefulSet's own pods, by their names, as other \
             pods have the same labels; that is maxUnavailable {}, as policy {} asks",
            terms.max_unavailable, terms.policy
        ),
        _ => format!(
            "PodDisruptionBudget {name} now has maxUnavailable {}, as policy {} asks",
            terms.max_unavailable, terms.policy
        ),
    };
    Told { reason, action, note, warns: false }
}

fn corrected(budget: &Budget, spec: &Spec) -> Told {
    let name = &budget.name;
    let mut note = match (spec, budget.terminating) {
        (Spec::Same, _) => String::new(),
        (Spec::Kept(_), true) => {
            format!(
                "PodDisruptionBudget {name} is being deleted and says what it must say again; {}",
                finalizers(budget)
            )
        }
        (Spec::Empty, true) => {
            format!("PodDisruptionBudget {name} is being deleted and now selects no pods; {}", finalizers(budget))
        }
        (Spec::Kept(_), false) => format!("PodDisruptionBudget {name} says what it must say again"),
        (Spec::Empty, false) => format!("PodDisruptionBudget {name} now selects no pods"),
    };
    if budget.is_overloaded() {
        let divider = if note.is_empty() { "" } else { "; " };
        note = format!(
            "{note}{divider}PodDisruptionBudget {name} had {} bytes of labels, annotations, ownerReferences, finalizers and \
             managedFields, with which evictions can fail; Quorate removed them",
            budget.written.all()
        );
    }
    Told { reason: "BudgetCorrected", action: "Correct", note, warns: true }
}

/// What keeps a budget that is being deleted.
fn held(budget: &Budget) -> Told {
    let note = format!(
        "PodDisruptionBudget {} can't be deleted: {}; Quorate makes a new one when it is gone",
        budget.name,
        finalizers(budget)
    );
    Told { reason: HELD, action: "Wait", note, warns: true }
}

fn finalizers(budget: &Budget) -> String {
    const MOST: usize = 3;
    let names: Vec<_> = budget.finalizers.iter().take(MOST).map(|name| plain(name).to_string()).collect();
    match (names.as_slice(), budget.finalizers.len().saturating_sub(MOST)) {
        ([], _) => "no finalizer holds it".to_owned(),
        (names, 0) => format!("metadata.finalizers hold it: {}", names.join(", ")),
        (names, more) => format!("metadata.finalizers hold it: {} and {more} more", names.join(", ")),
    }
}

/// The StatefulSets whose labels pods have that no StatefulSet owns.
fn strangers(inside: &Inside, known: Option<&Seen>, wanted: &[Wanted]) -> Vec<(Arc<StatefulSet>, Option<Told>)> {
    let Some(known) = known else { return Vec::new() };
    let told = |(statefulset, wanted): (&Arc<StatefulSet>, &Wanted)| {
        let Wanted::Budget(kept) = wanted else { return None };
        let strangers = known.strangers.get(&statefulset.metadata.name)?;
        let more = match strangers.count - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let note = format!(
            "StatefulSet {} selects pods that it does not own: {}{more}; PodDisruptionBudget {} names the StatefulSet's own \
             pods; change the labels of the others",
            statefulset.metadata.name,
            plain(&strangers.first),
            kept.name
        );
        let told = Told { reason: "PodsNotOwned", action: "Name", note, warns: true };
        Some((Arc::clone(statefulset), Some(told)))
    };
    inside.statefulsets.iter().zip(wanted).filter_map(told).collect()
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

fn shared(reason: &Reason) -> Told {
    let warns = matches!(reason, Reason::TooMany { .. });
    let said = if warns { "BudgetImpossible" } else { "BudgetShared" };
    Told { reason: said, action: "Share", note: capitalised(reason), warns }
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
