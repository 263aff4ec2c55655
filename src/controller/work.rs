//! What the leader does: has namespaces looked at where something changes, and all of them from time to time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::Controller;
use super::agenda::Agenda;
use super::look::{Looked, Looker};
use super::memory::Memory;

/// How long changes are gathered before they are acted on: an apply of many files is one look at the namespace.
const GATHER: Duration = Duration::from_millis(50);

/// How often it is looked whether policies have changed.
const TICK: Duration = Duration::from_secs(1);

/// How often every namespace is looked at, whatever changed or didn't.
const RESYNC: Duration = Duration::from_mins(5);

/// Goes on until it is dropped, and with it every look that has begun: nothing is written any more.
pub(super) async fn work(controller: &Controller, identity: &str) {
    let cluster = &controller.cluster;
    let looker = Looker::new(controller, identity);
    let mut looks = FuturesUnordered::new();
    let mut agenda = Agenda::default();
    let mut memories = HashMap::new();
    // The policies that were last acted on, and when every namespace is to be looked at.
    let (mut policies, mut resync) = (controller.policies.load_full(), Instant::now());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = agenda.next().map_or(resync, |next| next.min(resync));
        tokio::select! {
            changed = cluster.changes().next() => {
                let when = Instant::now() + GATHER;
                if changed.all {
                    resync = resync.min(when);
                }
                for namespace in &changed.namespaces {
                    agenda.add(namespace, when, false);
                }
            }
            Some(ended) = looks.next() => finish(controller, ended, &mut agenda, &mut memories),
            () = sleep_until(next), if cluster.is_listed() => {}
            _ = tick.tick() => controller.metrics.budgets_managed(cluster.budgets_of_ours()),
        }
        // Of what the caches don't know yet, nothing can be told.
        if !cluster.is_listed() {
            resync = Instant::now();
            continue;
        }
        let in_force = controller.policies.load_full();
        if !Arc::ptr_eq(&in_force, &policies) || Instant::now() >= resync {
            (policies, resync) = (in_force, Instant::now() + RESYNC);
            let namespaces = cluster.namespaces();
            agenda.keep_only(&namespaces);
            memories.retain(|namespace, _| namespaces.contains(namespace));
            for namespace in &namespaces {
                agenda.add(namespace, Instant::now(), true);
            }
        }
        while let Some((namespace, thoroughly)) = agenda.begin() {
            let memory = memories.remove(&namespace).unwrap_or_default();
            looks.push(looker.look(namespace, memory, thoroughly));
        }
    }
}

/// Remembers what a look came to, and when the next one is due.
fn finish(controller: &Controller, looked: Looked, agenda: &mut Agenda, memories: &mut HashMap<String, Memory>) {
    let Looked { namespace, memory, took, written, again, failures } = looked;
    memories.insert(namespace.clone(), memory);
    agenda.end(&namespace, took, written, again);
    if let Some((pause, lasts)) = agenda.note(&namespace, !failures.is_empty()) {
        let failures = failures.join("; ");
        if lasts {
            tracing::warn!(%namespace, again_in = ?pause, "budgets are not as they shall be: {failures}");
        } else {
            tracing::debug!(%namespace, again_in = ?pause, "{failures}");
        }
    }
    controller.metrics.budgets_failing(agenda.failing());
}
