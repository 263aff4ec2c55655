//! The connections of a port: how many there are, and who goes where there is no room for one more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::line::{Holder, Line, Place, Standing};

/// The connections of a port: how many are open, how many may be.
#[derive(Debug, Clone)]
pub struct Connections {
    open: Arc<watch::Sender<usize>>,
    limit: usize,
    line: Line,
    /// Where Quorate dials its own port from.
    own: Arc<ArcSwapOption<SocketAddr>>,
}

impl Connections {
    /// Room for `limit` connections.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { open: Arc::new(watch::Sender::new(0)), limit, line: Line::default(), own: Arc::default() }
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Whether there is no room for one more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open() >= self.limit
    }

    /// Says where Quorate will dial its own port from. It has no client certificate to show, which is no client's failure.
    pub(super) fn dial_from(&self, address: SocketAddr) {
        self.own.store(Some(Arc::new(address)));
    }

    /// Whether a connection is Quorate's own.
    pub(super) fn is_own(&self, peer: SocketAddr) -> bool {
        let own = self.own.load();
        own.as_ref().is_some_and(|own| own.ip() == peer.ip().to_canonical() && own.port() == peer.port())
    }

    /// Lets one more in, for as long as the value lives. Where there is no room, the one that has been without an answer for
    /// the longest goes first; `None` where all are being answered.
    pub(super) async fn enter(&self) -> Option<Visit> {
        if self.is_full() {
            self.line.send_first()?;
            // The sender lives as long as `self`, so this can't end before there is room.
            let _ = self.open.subscribe().wait_for(|open| *open < self.limit).await;
        }
        self.open.send_modify(|open| *open += 1);
        Some(Visit::new(self.clone()))
    }

    /// Returns once none is open.
    pub async fn closed(&self) {
        // As above.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }
}

/// A connection's stay.
#[derive(Debug)]
pub(super) struct Visit {
    connections: Connections,
    holder: Holder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    proven: bool,
    /// None while something is being answered.
    place: Option<Place>,
}

impl Visit {
    fn new(connections: Connections) -> Self {
        let holder = Holder::default();
        let place = Some(connections.line.join(Standing::Unproven, &holder));
        Self { connections, holder, state: Mutex::new(State { proven: false, place }) }
    }

    /// Returns once it has to make room for another connection.
    pub(super) async fn must_go(&self) {
        self.holder.must_go().await;
    }

    /// A request was answered with success.
    pub(super) fn succeeded(&self) {
        self.state().proven = true;
    }

    /// How it stands while more is asked.
    pub(super) fn standing(&self) -> Standing {
        if self.state().proven { Standing::Engaged } else { Standing::Unproven }
    }

    /// Nothing is asked, from now on. Who hasn't proved itself keeps its place: asking in vain is no merit, nor is asking
    /// slowly.
    pub(super) fn rests(&self) {
        self.state().join(self, Standing::Proven);
    }

    /// Something is being asked.
    pub(super) fn asks(&self) {
        self.state().join(self, Standing::Engaged);
    }

    /// What was asked is being answered.
    pub(super) fn is_answered(&self) {
        self.state().place = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn join(&mut self, visit: &Visit, standing: Standing) {
        if self.proven || self.place.is_none() {
            let standing = if self.proven { standing } else { Standing::Unproven };
            self.place = Some(visit.connections.line.join(standing, &visit.holder));
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.state().place = None;
        self.connections.open.send_modify(|open| *open -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    async fn enter(connections: &Connections) -> Visit {
        connections.enter().await.unwrap()
    }

    /// Which of some visits has to go when one more comes.
    fn first(connections: &Connections, visits: &[&Visit]) -> Option<usize> {
        assert!(connections.enter().now_or_never().is_none_or(|entered| entered.is_none()), "there is room");
        visits.iter().position(|visit| visit.must_go().now_or_never().is_some())
    }

    #[tokio::test]
    async fn a_newcomer_waits_until_the_one_that_goes_is_gone() {
        let connections = Connections::new(1);
        let visit = enter(&connections).await;
        let newcomer = tokio::spawn({
            let connections = connections.clone();
            async move { connections.enter().await }
        });
        visit.must_go().await;
        assert_eq!(connections.open(), 1);
        drop(visit);
        let newcomer = newcomer.await.unwrap().unwrap();
        assert_eq!(connections.open(), 1);
        drop(newcomer);
        connections.closed().await;
    }

    #[tokio::test]
    async fn those_that_proved_themselves_stay_longest() {
        let connections = Connections::new(4);
        let api_server = enter(&connections).await;
        let (slow, silent, busy) = (enter(&connections).await, enter(&connections).await, enter(&connections).await);
        api_server.is_answered();
        api_server.succeeded();
        api_server.rests();
        busy.is_answered();
        slow.asks();
        let all = [&api_server, &slow, &silent, &busy];
        assert_eq!(first(&connections, &all), Some(1), "asking slowly is no merit");
        assert_eq!(first(&connections, &all), Some(2));
        assert_eq!(first(&connections, &all), Some(0));
        assert_eq!(first(&connections, &all), None, "who is being answered stays");
        busy.rests();
        assert_eq!(first(&connections, &all), Some(3));
    }
}
