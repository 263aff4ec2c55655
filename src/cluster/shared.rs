//! Reads that whoever waits for the same share.
//!
//! A request may only use a read that started after the request came: an earlier one may not have seen what was made right
//! before (L35). So each request draws a ticket when it comes, each read draws one when it starts, and the greater one is newer.

use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::ReadError;

/// How many reads there may be at once.
const MOST: usize = 12;

/// How many of them one namespace may cause: no namespace takes them all.
const MOST_OF_A_NAMESPACE: usize = 3;

/// How long all live reads of one request may take together. Half of it would do for a healthy API server; three of it would
/// not fit into the webhook's `timeoutSeconds`.
const READ_DEADLINE: Duration = Duration::from_secs(1);

/// By how much a cache may lag while the API server is heard.
const LAG: Duration = Duration::from_millis(500);

/// How long before its deadline a request stops to read, so that it is still answered.
const TO_ANSWER: Duration = Duration::from_millis(100);

/// Tells requests and reads apart by when they began.
static CLOCK: AtomicU64 = AtomicU64::new(0);

/// One request's live reads: what it has read it need not read again.
#[derive(Debug)]
pub struct Ticket {
    came: u64,
    drawn: Instant,
    /// When the request has to be answered.
    answer: Instant,
    until: OnceLock<Instant>,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Ticket {
    /// That of a request which has to be answered within `time`.
    #[must_use]
    pub fn new(time: Duration) -> Self {
        // Longer than anything can take.
        let time = time.min(Duration::from_hours(1));
        let drawn = Instant::now();
        Self {
            came: CLOCK.fetch_add(1, Ordering::SeqCst),
            drawn,
            answer: drawn + time.saturating_sub(TO_ANSWER),
            until: OnceLock::new(),
            kept: Mutex::default(),
        }
    }

    /// Waits until the caches must have seen what was there when the request came; at most as long as may be read live.
    pub async fn let_caches_catch_up(&self) {
        let until = self.until().min(self.drawn + LAG);
        // To wait for a moment that has passed would still give the deadline its say.
        if until > Instant::now() {
            tokio::time::sleep_until(until).await;
        }
    }

    /// Whether it is time to answer, and something was computed instead.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.answer > self.drawn && Instant::now() >= self.answer
    }

    /// Until when may be read live.
    pub(super) fn until(&self) -> Instant {
        *self.until.get_or_init(|| self.answer.min(Instant::now() + READ_DEADLINE))
    }
}

/// For how long there is no further try to read what was too much: each try costs megabytes, and the caches know it by then (L132).
const TOO_MUCH_FOR: Duration = Duration::from_secs(10);

/// How many of those are remembered at most.
const MOST_REMEMBERED: usize = 1_000;

/// Reads of one kind, by what is read.
#[derive(Debug)]
pub(super) struct Shared<T> {
    slots: Arc<Mutex<HashMap<Key, Arc<Slot<T>>>>>,
    /// When there was too much of something to be read.
    too_much: Mutex<HashMap<Key, Instant>>,
}

/// What is read: the namespace, and what in it.
pub(super) type Key = (String, String);

/// What was read last, and when that read started; locked while somebody reads.
type Slot<T> = tokio::sync::Mutex<Option<(u64, Result<T, Arc<ReadError>>)>>;

/// That somebody uses a slot. The last one to leave removes it, so that nothing is kept that nobody waits for.
struct Seat<T> {
    all: Arc<Mutex<HashMap<Key, Arc<Slot<T>>>>>,
    key: Key,
    slot: Arc<Slot<T>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { slots: Arc::default(), too_much: Mutex::default() }
    }
}

impl<T: Clone + Send + 'static> Shared<T> {
    /// What is read under this key, by a read that started after the ticket was drawn: one that somebody else waits for, too,
    /// or else `read`. Whoever reads may be dropped; the next one that waits then reads.
    pub(super) async fn read(
        &self,
        ticket: &Ticket,
        key: Key,
        read: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, Arc<ReadError>> {
        let seat = self.seat(key);
        let mut last = seat.slot.lock().await;
        if self.was_too_much(&seat.key) {
            return Err(Arc::new(ReadError::TooMuch));
        }
        let result = match &*last {
            Some((started, result)) if *started > ticket.came => result.clone(),
            _ => {
                let started = CLOCK.fetch_add(1, Ordering::SeqCst);
                let result = read.await.map_err(Arc::new);
                if result.as_ref().is_err_and(|error| matches!(**error, ReadError::TooMuch)) {
                    self.remember(seat.key.clone());
                }
                *last = Some((started, result.clone()));
                result
            }
        };
        drop(last);
        ticket.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(seat));
        result
    }

    fn seat(&self, key: Key) -> Seat<T> {
        let mut all = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = Arc::clone(all.entry(key.clone()).or_default());
        Seat { all: Arc::clone(&self.slots), key, slot }
    }

    fn was_too_much(&self, key: &Key) -> bool {
        let too_much = self.too_much.lock().unwrap_or_else(PoisonError::into_inner);
        too_much.get(key).is_some_and(|since| since.elapsed() < TOO_MUCH_FOR)
    }

    fn remember(&self, key: Key) {
        let mut too_much = self.too_much.lock().unwrap_or_else(PoisonError::into_inner);
        if too_much.len() >= MOST_REMEMBERED {
            too_much.retain(|_, since| since.elapsed() < TOO_MUCH_FOR);
        }
        if too_much.len() < MOST_REMEMBERED {
            too_much.insert(key, Instant::now());
        }
    }
}

impl<T> Drop for Seat<T> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        // This one, and the one in the map.
        if Arc::strong_count(&self.slot) == 2 {
            all.remove(&self.key);
        }
    }
}

/// Who may read at the moment.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    namespaces: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(MOST)), namespaces: Mutex::default() }
    }
}

/// That one may read.
pub(super) struct Turn {
    _of_namespace: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Turns {
    /// Waits until one more read may be made for a namespace.
    pub(super) async fn turn(&self, namespace: &str) -> Result<Turn, ReadError> {
        // Of its own namespace first, so that what waits for that holds up nobody else.
        let of_namespace = self.of(namespace).acquire_owned().await.map_err(|_| ReadError::Deadline)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| ReadError::Deadline)?;
        Ok(Turn { _of_namespace: of_namespace, _of_all: of_all })
    }

    fn of(&self, namespace: &str) -> Arc<Semaphore> {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = namespaces.get(namespace) {
            return Arc::clone(known);
        }
        // Those that nobody uses go when another one comes.
        namespaces.retain(|_, turns| Arc::strong_count(turns) > 1);
        let turns = Arc::new(Semaphore::new(MOST_OF_A_NAMESPACE));
        namespaces.insert(namespace.to_owned(), Arc::clone(&turns));
        turns
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::time::{sleep, timeout};

    use super::*;

    async fn slow(reads: &AtomicUsize) -> Result<usize, ReadError> {
        let number = reads.fetch_add(1, Ordering::SeqCst);
        sleep(Duration::from_millis(100)).await;
        Ok(number)
    }

    fn ticket() -> Ticket {
        Ticket::new(Duration::from_secs(3))
    }

    fn key() -> Key {
        ("shop".to_owned(), String::new())
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_before_a_read_starts_share_it_l132() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let tickets: Vec<Ticket> = (0..16).map(|_| ticket()).collect();
        let all = tickets.iter().map(|ticket| shared.read(ticket, key(), slow(&reads)));
        let found = futures::future::join_all(all).await;
        assert!(found.iter().all(|found| matches!(found, Ok(0))), "{found:?}");
        assert_eq!(reads.load(Ordering::SeqCst), 1);
        // Again by the same request: it is still known.
        assert!(matches!(shared.read(&tickets[0], key(), slow(&reads)).await, Ok(0)));
        drop(tickets);
        assert!(shared.slots.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_is_read_does_not_get_that_l35() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let early = ticket();
        let (first, second) = tokio::join!(shared.read(&early, key(), slow(&reads)), async {
            sleep(Duration::from_millis(50)).await;
            shared.read(&ticket(), key(), slow(&reads)).await
        });
        assert_eq!((first.unwrap(), second.unwrap()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_too_much_is_not_tried_again_at_once_l132() {
        let (shared, tries) = (Shared::<usize>::default(), AtomicUsize::new(0));
        let too_much = async || {
            let read = async {
                tries.fetch_add(1, Ordering::SeqCst);
                Err(ReadError::TooMuch)
            };
            let error = shared.read(&ticket(), key(), read).await.unwrap_err();
            assert!(matches!(*error, ReadError::TooMuch), "{error}");
            tries.load(Ordering::SeqCst)
        };
        assert_eq!((too_much().await, too_much().await), (1, 1));
        sleep(TOO_MUCH_FOR).await;
        assert_eq!(too_much().await, 2);
        assert!(shared.read(&ticket(), ("other".to_owned(), String::new()), slow(&tries)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_one_reads_where_whoever_read_is_gone() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let (one, other) = (ticket(), ticket());
        let gone = timeout(Duration::from_millis(50), shared.read(&one, key(), slow(&reads)));
        let (gone, found) = tokio::join!(gone, shared.read(&other, key(), slow(&reads)));
        gone.unwrap_err();
        assert_eq!(found.unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_namespace_leaves_turns_to_others_l132() {
        let turns = Turns::default();
        let mut taken = Vec::new();
        for _ in 0..MOST_OF_A_NAMESPACE {
            taken.push(turns.turn("greedy").await.unwrap());
        }
        assert!(timeout(Duration::from_secs(1), turns.turn("greedy")).await.is_err());
        timeout(Duration::from_secs(1), turns.turn("shop")).await.unwrap().unwrap();
        taken.clear();
        turns.turn("greedy").await.unwrap();
    }
}
