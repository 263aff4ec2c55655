//! One look at a namespace: what is due there is done, and told.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use kube::runtime::events::Recorder;
use tokio::time::Instant;

use super::Controller;
use super::events::{Told, recorder, tell};
use super::memory::{Memory, PODS_AGAIN};
use super::notes::strangers;
use super::plan::{Step, plan};
use super::pods;
use super::writes::Writes;
use crate::budget::{Candidate, desired};
use crate::cluster::Inside;
use crate::facts::StatefulSet;

/// How many budgets of a namespace are worked on at a time.
const AT_A_TIME: usize = 8;

/// How many budgets one look writes. The rest waits for its turn, as other namespaces do.
const MOST_WRITES: usize = 256;

/// Looks at namespaces.
pub(super) struct Looker<'a> {
    pub(super) controller: &'a Controller,
    pub(super) writes: Writes<'a>,
    pub(super) recorder: Recorder,
}

/// What looking at a namespace came to.
pub(super) struct Looked {
    pub(super) namespace: String,
    pub(super) memory: Memory,
    pub(super) took: Duration,
    /// How many budgets it wrote.
    pub(super) written: usize,
    /// When it is to be looked at again though nothing changes.
    pub(super) again: Option<Instant>,
    pub(super) failures: Vec<String>,
}

impl Looked {
    fn again(&mut self, when: Option<Instant>) {
        self.again = [self.again, when].into_iter().flatten().min();
    }
}

/// The states that StatefulSets are in, as far as those are to be told.
type States = Vec<(Arc<StatefulSet>, Option<Told>)>;

impl<'a> Looker<'a> {
    pub(super) fn new(controller: &'a Controller, identity: &str) -> Self {
        let client = controller.cluster.client().clone();
        let writes = Writes { client: client.clone(), metrics: &controller.metrics };
        Self { controller, writes, recorder: recorder(client, identity) }
    }

    /// Looks at a namespace, and does what is due there. Where this is dropped, nothing more is written: the Lease is lost.
    pub(super) async fn look(&self, namespace: String, memory: Memory, thoroughly: bool) -> Looked {
        let began = Instant::now();
        let (took, written, again, failures) = (Duration::ZERO, 0, None, Vec::new());
        let mut looked = Looked { namespace, memory, took, written, again, failures };
        if let Some(inside) = self.controller.cluster.inside(&looked.namespace)
            && !inside.namespace.terminating
        {
            looked.memory.note(&inside);
            let inside = self.controller.cluster.with_served_owners(inside).await;
            self.bring_about(&inside, thoroughly, &mut looked).await;
        }
        looked.took = began.elapsed();
        looked
    }

    async fn bring_about(&self, inside: &Inside, thoroughly: bool, looked: &mut Looked) {
        let mut blind = self.see_pods(inside, thoroughly, looked).await;
        // Never having seen the pods, a budget that is made may be the second one on some of them.
        looked.failures.extend(blind.take_if(|_| looked.memory.seen().is_none()));
        let terms = looked.memory.terms(inside, &self.controller.policies.load());
        let candidates: Vec<_> = (inside.statefulsets.iter().zip(&terms))
            .map(|(statefulset, (terms, apart))| Candidate { statefulset, terms: terms.as_ref(), apart: *apart })
            .collect();
        let wanted = desired(&candidates, &inside.budgets);
        looked.again(looked.memory.when_it_has_lasted(inside, &wanted));
        let mut states: States = inside.statefulsets.iter().map(|each| (Arc::clone(each), None)).collect();
        states.extend(strangers(inside, looked.memory.seen(), &wanted));
        let complete = self.take_all(plan(&inside.statefulsets, &wanted, &inside.budgets), looked, &mut states).await;
        looked.failures.extend(blind);
        if !complete {
            // Where something failed there is a pause first.
            looked.again(looked.failures.is_empty().then(Instant::now));
            // What is not done yet has no state, which is not to be told of once more afterwards.
            states.retain(|(_, state)| state.is_some());
        }
        // The last word about a StatefulSet counts.
        let mut known = HashSet::new();
        states.reverse();
        states.retain(|(statefulset, _)| known.insert(statefulset.metadata.uid.clone()));
        let mut news = Vec::new();
        for (statefulset, state) in states {
            let (state, again) = looked.memory.learn(&statefulset, state);
            looked.again(again);
            news.extend(state.map(|told| (statefulset, told)));
        }
        let tell = |(about, told): (Arc<StatefulSet>, Told)| async move { tell(&self.recorder, &about, told).await };
        stream::iter(news).map(tell).buffer_unordered(AT_A_TIME).collect::<()>().await;
    }

    /// Looks at the namespace's pods where that is due; why that can't be done.
    async fn see_pods(&self, inside: &Inside, thoroughly: bool, looked: &mut Looked) -> Option<String> {
        match looked.memory.when_to_see_pods(inside, thoroughly) {
            Some(when) if when <= Instant::now() => match pods::look(&self.controller.cluster, inside).await {
                Ok(seen) => {
                    looked.again((!seen.strangers.is_empty()).then(|| Instant::now() + PODS_AGAIN));
                    looked.memory.see(seen);
                    None
                }
                Err(error) => Some(format!("can't list pods: {error}")),
            },
            when => {
                looked.again(when);
                None
            }
        }
    }

    /// Does the steps, as many as one look does: whether those are all.
    async fn take_all(&self, steps: Vec<Step>, looked: &mut Looked, states: &mut States) -> bool {
        let (first, others): (Vec<_>, Vec<_>) =
            steps.into_iter().partition(|step| matches!(step, Step::Delete { .. } | Step::Correct { .. }));
        let (applies, others) = others.into_iter().partition(|step| matches!(step, Step::Apply { .. }));
        let mut complete = true;
        // A budget that couldn't be deleted, or narrowed, would be the second one on its pods.
        for mut steps in [first, applies, others] {
            if !looked.failures.is_empty() {
                break;
            }
            steps.retain(|step| {
                let fits = !step.writes() || looked.written < MOST_WRITES;
                looked.written += usize::from(fits && step.writes());
                complete &= fits;
                fits
            });
            let done: Vec<_> =
                stream::iter(steps).map(|step| self.take(step)).buffer_unordered(AT_A_TIME).collect().await;
            for (about, result) in done {
                match result {
                    Ok(None) => {}
                    Ok(Some(told)) => states.extend(about.map(|statefulset| (statefulset, Some(told)))),
                    Err(why) => looked.failures.push(why),
                }
            }
        }
        complete
    }
}
