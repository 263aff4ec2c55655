//! Whose turn it is on the processors: namespaces take turns, and each has its requests in a queue of its own (L141).
//!
//! A request holds a turn only while it computes. So one namespace that asks for much waits for itself, and the others for no more
//! than what is being computed just then.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use tokio::sync::oneshot;

/// The most requests of one namespace that wait. One more is told to come again: it would keep room from the others.
const MOST_WAITING: usize = 32;

/// The turns.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Queues>>);

#[derive(Debug)]
struct Queues {
    free: usize,
    /// Those who wait, by namespace; no queue is empty.
    waiting: HashMap<String, VecDeque<oneshot::Sender<Turn>>>,
    /// The namespaces that have a queue, the next first.
    order: VecDeque<String>,
}

/// One of the turns, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Option<Turns>);

/// Too many requests of the namespace wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded;

/// What came of asking for a turn.
enum Asked {
    Now(Turn),
    Later(oneshot::Receiver<Turn>),
}

impl Turns {
    /// So many at once.
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Queues { free: at_once.max(1), waiting: HashMap::new(), order: VecDeque::new() })))
    }

    /// The same, which computes only when it is the namespace's turn.
    pub(super) fn taking<'n, F: Future + Unpin>(&self, namespace: &'n str, inner: F) -> Taking<'n, F> {
        let (since, busy) = (Instant::now(), Duration::ZERO);
        Taking { inner, turns: self.clone(), namespace, waits: None, since, busy }
    }

    fn ask(&self, namespace: &str) -> Result<Asked, Crowded> {
        let mut queues = self.queues();
        if queues.free > 0 {
            queues.free -= 1;
            return Ok(Asked::Now(Turn(Some(self.clone()))));
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(queue) = queues.waiting.get_mut(namespace) {
            if queue.len() >= MOST_WAITING {
                // Who left is in nobody's way.
                queue.retain(|sender| !sender.is_closed());
            }
            if queue.len() >= MOST_WAITING {
                return Err(Crowded);
            }
            queue.push_back(sender);
        } else {
            queues.waiting.insert(namespace.to_owned(), VecDeque::from([sender]));
            queues.order.push_back(namespace.to_owned());
        }
        Ok(Asked::Later(receiver))
    }

    /// A turn that is free; dropped, it is passed on.
    #[cfg(test)]
    pub(super) fn hold(&self) -> Turn {
        match self.ask("somebody") {
            Ok(Asked::Now(turn)) => turn,
            _ => unreachable!("no turn is free"),
        }
    }

    /// Gives the turn to the first of the next namespace.
    fn pass_on(&self) {
        let mut queues = self.queues();
        while let Some(sender) = queues.next() {
            match sender.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who left gets none; the next does.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
        queues.free += 1;
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

impl Queues {
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let namespace = self.order.pop_front()?;
        let queue = self.waiting.get_mut(&namespace)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&namespace);
        } else {
            self.order.push_back(namespace);
        }
        first
    }
}

/// Waits for a turn whenever it goes on, and keeps the turn no longer than until it waits for something else.
#[derive(Debug)]
pub(super) struct Taking<'n, F> {
    inner: F,
    turns: Turns,
    namespace: &'n str,
    waits: Option<oneshot::Receiver<Turn>>,
    /// Since when it waits for its turn.
    since: Instant,
    /// For how long it has waited for turns, and computed.
    busy: Duration,
}

impl<F> Taking<'_, F> {
    /// Whether it waits for its turn, and for nothing else.
    pub(super) fn waits_for_a_turn(&self) -> bool {
        self.waits.is_some()
    }

    /// For how long it has waited for turns, and computed: the rest of its time it waited for something else.
    pub(super) fn busy(&self) -> Duration {
        self.busy
    }
}

impl<F: Future + Unpin> Future for Taking<'_, F> {
    type Output = Result<F::Output, Crowded>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let turn = loop {
            match &mut self.waits {
                None => match self.turns.ask(self.namespace) {
                    Ok(Asked::Now(turn)) => break turn,
                    Ok(Asked::Later(waits)) => (self.waits, self.since) = (Some(waits), Instant::now()),
                    Err(crowded) => return Poll::Ready(Err(crowded)),
                },
                Some(waits) => {
                    let Poll::Ready(turn) = waits.poll_unpin(context) else { return Poll::Pending };
                    self.waits = None;
                    let waited = self.since.elapsed();
                    self.busy += waited;
                    if let Ok(turn) = turn {
                        break turn;
                    }
                }
            }
        };
        let begun = Instant::now();
        let polled = self.inner.poll_unpin(context).map(Ok);
        drop(turn);
        self.busy += begun.elapsed();
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::{pending, ready};

    use futures::future::BoxFuture;
    use futures::poll;

    use super::*;

    fn hold(turns: &Turns) -> Turn {
        turns.hold()
    }

    /// L141: the order in which requests are served, where 30 of one namespace came before one of each of two others.
    #[tokio::test]
    async fn namespaces_take_turns_l141() {
        let turns = Turns::new(1);
        let turn = hold(&turns);
        let served = RefCell::new(Vec::new());
        let namespaces = std::iter::repeat_n("flood", 30).chain(["victim", "other", "victim"]);
        let requests = namespaces.map(|namespace| {
            let served = &served;
            let computes = Box::pin(async move { served.borrow_mut().push(namespace) });
            turns.taking(namespace, computes)
        });
        let mut all = Box::pin(futures::future::join_all(requests));
        assert!(poll!(&mut all).is_pending());
        drop(turn);
        all.await;
        assert_eq!(served.borrow()[..6], ["flood", "victim", "other", "flood", "victim", "flood"]);
        assert_eq!(served.borrow().len(), 33);
        let queues = turns.queues();
        assert!(queues.waiting.is_empty() && queues.order.is_empty() && queues.free == 1, "{queues:?}");
    }

    #[tokio::test]
    async fn a_turn_is_held_only_while_something_is_computed() {
        let turns = Turns::new(1);
        let mut waits_for_a_read = turns.taking("shop", pending::<()>());
        assert!(poll!(&mut waits_for_a_read).is_pending() && !waits_for_a_read.waits_for_a_turn());
        assert_eq!(turns.taking("shop", ready(7)).await, Ok(7));
    }

    /// What a tenant makes costly is not what the API server keeps us waiting for (L141).
    #[tokio::test]
    async fn time_at_work_is_told_from_time_of_waiting_l141() {
        let turns = Turns::new(1);
        let short = Duration::from_millis(20);
        let computes = Box::pin(async {
            tokio::time::sleep(short * 3).await;
            std::thread::sleep(short);
        });
        let mut taking = turns.taking("shop", computes);
        let turn = hold(&turns);
        assert!(poll!(&mut taking).is_pending());
        std::thread::sleep(short);
        drop(turn);
        let begun = Instant::now();
        (&mut taking).await.unwrap();
        assert!(taking.busy() >= short * 2, "{:?}", taking.busy());
        assert!(taking.busy() < short * 2 + begun.elapsed().saturating_sub(short * 2), "{:?}", taking.busy());
    }

    #[tokio::test]
    async fn who_leaves_is_passed_over() {
        let turns = Turns::new(1);
        let turn = hold(&turns);
        let mut waiting: Vec<_> = (0..3).map(|number| turns.taking("shop", ready(number))).collect();
        for each in &mut waiting {
            assert!(poll!(&mut *each).is_pending() && each.waits_for_a_turn());
        }
        drop(waiting.remove(1));
        drop(waiting.remove(0));
        drop(turn);
        assert_eq!(waiting.remove(0).await, Ok(2));
        // One that has a turn and does not use it gives it back.
        let turn = hold(&turns);
        let mut last = turns.taking("shop", ready(3));
        assert!(poll!(&mut last).is_pending());
        drop(turn);
        drop(last);
        drop(hold(&turns));
    }

    #[tokio::test]
    async fn so_many_of_a_namespace_wait_and_no_more_l141() {
        let turns = Turns::new(1);
        let turn = hold(&turns);
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| turns.taking("flood", ready(()))).collect();
        for each in &mut waiting {
            assert!(poll!(each).is_pending());
        }
        assert_eq!(turns.taking("flood", ready(())).await, Err(Crowded));
        let mut another: BoxFuture<'_, _> = Box::pin(turns.taking("victim", ready(())));
        assert!(poll!(&mut another).is_pending());
        // Who left makes room.
        waiting.truncate(10);
        assert!(poll!(&mut turns.taking("flood", ready(()))).is_pending());
        drop((turn, waiting));
        assert_eq!(another.await, Ok(()));
    }
}
