//! Which namespaces are to be looked at, and when. No namespace waits until another one has been looked at (L141): several are
//! looked at at a time, each by itself, and one in which much is written rests in between.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

/// How many namespaces are looked at at a time.
const AT_A_TIME: usize = 8;

/// Pauses before a namespace is looked at again where something failed: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_mins(1));

/// So many budgets are written in a namespace within [`PERIOD`] before it rests: a large release is rolled out without a rest.
const MANY: usize = 64;

const PERIOD: Duration = Duration::from_mins(1);

/// So many failures in a row, mostly conflicts, are what a lagging cache looks like.
pub(super) const LAG: u32 = 3;

/// Which namespaces are to be looked at.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    waiting: HashMap<String, Due>,
    /// Those that wait, the next one first.
    order: BTreeSet<(Instant, String)>,
    /// Those that are being looked at, and when each is to be looked at again where something has changed meanwhile.
    begun: HashMap<String, Option<Due>>,
    records: HashMap<String, Record>,
}

/// When a namespace is to be looked at, and whether everything is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    when: Instant,
    thoroughly: bool,
}

impl Due {
    fn and(self, other: Self) -> Self {
        Self { when: self.when.min(other.when), thoroughly: self.thoroughly || other.thoroughly }
    }
}

/// How looks at a namespace have gone.
#[derive(Debug, Clone, Copy)]
struct Record {
    failures: u32,
    /// How many budgets have been written since then.
    since: Instant,
    written: usize,
    rests_until: Instant,
}

impl Agenda {
    /// Has a namespace looked at; where it is being looked at, once more afterwards.
    pub(super) fn add(&mut self, namespace: &str, when: Instant, thoroughly: bool) {
        let due = Due { when, thoroughly };
        if let Some(again) = self.begun.get_mut(namespace) {
            *again = Some(again.map_or(due, |before| before.and(due)));
            return;
        }
        let due = match self.waiting.get(namespace) {
            Some(before) => {
                self.order.remove(&(before.when, namespace.to_owned()));
                before.and(due)
            }
            None => due,
        };
        let rested = self.records.get(namespace).map_or(due.when, |record| due.when.max(record.rests_until));
        self.waiting.insert(namespace.to_owned(), Due { when: rested, ..due });
        self.order.insert((rested, namespace.to_owned()));
    }

    /// When the next look can begin, as far as is known.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(when, _)| *when).filter(|_| self.begun.len() < AT_A_TIME)
    }

    /// A namespace whose time has come, and whether everything is to be looked at there.
    pub(super) fn begin(&mut self) -> Option<(String, bool)> {
        if self.next()? > Instant::now() {
            return None;
        }
        let (_, namespace) = self.order.pop_first()?;
        let due = self.waiting.remove(&namespace);
        self.begun.insert(namespace.clone(), None);
        Some((namespace, due.is_some_and(|due| due.thoroughly)))
    }

    /// A look has ended: how long it took, how many budgets it wrote, and when the next one is due though nothing changes.
    pub(super) fn end(&mut self, namespace: &str, took: Duration, written: usize, again: Option<Instant>) {
        let now = Instant::now();
        let record = self.record(namespace);
        if now > record.since + PERIOD {
            (record.since, record.written) = (now, 0);
        }
        record.written = record.written.saturating_add(written);
        if record.written > MANY {
            // It has half of the time at most.
            record.rests_until = now + took.min(PAUSES.1);
        }
        if let Some(due) = self.begun.remove(namespace).flatten() {
            self.add(namespace, due.when, due.thoroughly);
        }
        if let Some(again) = again {
            self.add(namespace, again, false);
        }
    }

    /// Something failed there, or nothing did: the pause until it is looked at again, and whether it has failed for long.
    pub(super) fn note(&mut self, namespace: &str, failed: bool) -> Option<(Duration, bool)> {
        let record = self.record(namespace);
        if !failed {
            record.failures = 0;
            return None;
        }
        let pause = PAUSES.0.saturating_mul(1 << record.failures.min(16)).min(PAUSES.1);
        let lasts = record.failures >= LAG;
        record.failures = record.failures.saturating_add(1);
        self.add(namespace, Instant::now() + pause, false);
        Some((pause, lasts))
    }

    /// In how many namespaces looks have failed for longer than caches lag.
    pub(super) fn failing(&self) -> usize {
        self.records.values().filter(|record| record.failures > LAG).count()
    }

    /// Forgets namespaces that are no more.
    pub(super) fn keep_only(&mut self, namespaces: &BTreeSet<String>) {
        self.records.retain(|namespace, _| namespaces.contains(namespace));
        self.waiting.retain(|namespace, _| namespaces.contains(namespace));
        self.order.retain(|(_, namespace)| namespaces.contains(namespace));
    }

    fn record(&mut self, namespace: &str) -> &mut Record {
        let now = Instant::now();
        let new = || Record { failures: 0, since: now, written: 0, rests_until: now };
        self.records.entry(namespace.to_owned()).or_insert_with(new)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn begun(agenda: &mut Agenda) -> Vec<(String, bool)> {
        std::iter::from_fn(|| agenda.begin()).collect()
    }

    fn names(agenda: &mut Agenda) -> Vec<String> {
        begun(agenda).into_iter().map(|(name, _)| name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_changes_while_it_is_looked_at_is_looked_at_again_afterwards() {
        let mut agenda = Agenda::default();
        let now = Instant::now();
        agenda.add("shop", now + SECOND, false);
        assert_eq!(begun(&mut agenda), []);
        advance(SECOND).await;
        agenda.add("shop", now + 2 * SECOND, true);
        assert_eq!(begun(&mut agenda), [("shop".to_owned(), true)]);
        for _ in 0..3 {
            agenda.add("shop", now, false);
        }
        assert_eq!((begun(&mut agenda), agenda.next()), (Vec::new(), None));
        agenda.end("shop", SECOND, 1, Some(now + 9 * SECOND));
        assert_eq!(begun(&mut agenda), [("shop".to_owned(), false)]);
        agenda.end("shop", SECOND, 1, Some(now + 9 * SECOND));
        assert_eq!(agenda.next(), Some(now + 9 * SECOND));
    }

    /// L141
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_one_that_takes_long_l141() {
        let mut agenda = Agenda::default();
        agenda.add("slow", Instant::now(), false);
        assert_eq!(names(&mut agenda), ["slow"]);
        for round in 0..20 {
            agenda.add("slow", Instant::now(), false);
            agenda.add("shop", Instant::now(), false);
            assert_eq!(names(&mut agenda), ["shop"], "round {round}");
            agenda.end("shop", SECOND, 1, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_looked_at_at_a_time_and_who_waits_longest_is_next() {
        let mut agenda = Agenda::default();
        for number in 0..AT_A_TIME + 2 {
            agenda.add(&format!("n{number}"), Instant::now(), false);
            advance(SECOND).await;
        }
        assert_eq!(names(&mut agenda).len(), AT_A_TIME);
        agenda.add("n3", Instant::now(), false);
        agenda.end("n3", SECOND, 0, None);
        assert_eq!(names(&mut agenda), ["n8"]);
        agenda.end("n0", SECOND, 0, None);
        agenda.end("n1", SECOND, 0, None);
        assert_eq!(names(&mut agenda), ["n9", "n3"]);
    }

    /// L141: who has budgets made and deleted by turns has half of the time of one look.
    #[tokio::test(start_paused = true)]
    async fn one_in_which_much_is_written_rests_as_long_as_that_took_l141() {
        let mut agenda = Agenda::default();
        for (took, written, rest) in [
            (3 * SECOND, MANY, Duration::ZERO),
            (3 * SECOND, 1, 3 * SECOND),
            (1_000 * SECOND, 300, PAUSES.1),
            (2 * SECOND, 0, Duration::ZERO),
        ] {
            agenda.add("shop", Instant::now(), false);
            advance(PAUSES.1).await;
            assert_eq!(names(&mut agenda), ["shop"]);
            agenda.add("shop", Instant::now(), false);
            agenda.end("shop", took, written, None);
            assert_eq!(agenda.next(), Some(Instant::now() + rest), "{took:?} {written}");
            // Meanwhile others don't.
            agenda.add("bank", Instant::now(), false);
            assert!(names(&mut agenda).contains(&"bank".to_owned()));
            agenda.end("bank", SECOND, 1, None);
            if rest.is_zero() {
                agenda.end("shop", SECOND, 0, None);
            }
            // Within the period at first, then past it.
            if written == 300 {
                advance(PERIOD + SECOND).await;
                assert_eq!(names(&mut agenda), ["shop"]);
                agenda.end("shop", SECOND, 0, None);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_after_failures_double_until_nothing_fails() {
        let mut agenda = Agenda::default();
        let mut pauses = Vec::new();
        for _ in 0..12 {
            agenda.add("shop", Instant::now(), false);
            assert_eq!(names(&mut agenda), ["shop"]);
            agenda.end("shop", SECOND, 0, None);
            pauses.push(agenda.note("shop", true).unwrap());
        }
        let first = [250, 500, 1_000, 2_000].map(Duration::from_millis);
        assert_eq!(pauses[..4], [(first[0], false), (first[1], false), (first[2], false), (first[3], true)]);
        assert_eq!((pauses[11].0, agenda.failing()), (PAUSES.1, 1));
        assert_eq!(agenda.next(), Some(Instant::now() + PAUSES.1));
        assert_eq!((agenda.note("shop", false), agenda.failing()), (None, 0));
        agenda.keep_only(&BTreeSet::new());
        assert_eq!(agenda.next(), None);
    }
}
