//! The memory that requests may take together: bodies that come, and what they are decoded to.
//!
//! Nothing is kept that no room was taken for beforehand. Where there is none, the body that has been coming for the longest
//! makes room; one that is being answered never does. So slow senders, however many and however long their bodies, cost
//! themselves.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::line::{Holder, Line, Place, Standing};

/// Room is counted in units of so many bytes.
const UNIT: usize = 1 << 10;

/// What a request takes beside its body: its head, its task, what HTTP/2 keeps of it.
pub(super) const REQUEST: usize = 16 << 10;

/// There is no room, or it was needed for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

/// The room of all requests.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    free: Arc<Semaphore>,
    size: usize,
    coming: Line,
}

impl Memory {
    /// Room of so many bytes.
    pub(super) fn new(bytes: usize) -> Self {
        let size = (bytes / UNIT).min(Semaphore::MAX_PERMITS);
        Self { free: Arc::new(Semaphore::new(size)), size, coming: Line::default() }
    }

    /// Room for a body that begins to come.
    pub(super) fn body(&self, standing: Standing) -> Coming {
        let holder = Holder::default();
        let place = self.coming.join(standing, &holder);
        Coming { room: Room { memory: self.clone(), taken: None }, holder, place }
    }

    /// Whether so much could be taken if nobody else had any.
    pub(super) fn could_hold(&self, bytes: usize) -> bool {
        bytes.div_ceil(UNIT) <= self.size
    }

    async fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Full> {
        if !self.could_hold(bytes) {
            return Err(Full);
        }
        let Ok(units) = u32::try_from(bytes.div_ceil(UNIT)) else { return Err(Full) };
        if let Ok(taken) = Arc::clone(&self.free).try_acquire_many_owned(units) {
            return Ok(taken);
        }
        let mut lacking = (units as usize).saturating_sub(self.free.available_permits());
        while lacking > 0 {
            lacking = lacking.saturating_sub(self.coming.send_first().ok_or(Full)? / UNIT);
        }
        // Those who were told to go do so at once; whoever asks after us gets nothing before we have ours.
        Arc::clone(&self.free).acquire_many_owned(units).await.map_err(|_closed| Full)
    }
}

/// Room that is taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Room {
    memory: Memory,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Takes more.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let more = self.memory.take(bytes).await?;
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            None => self.taken = Some(more),
        }
        Ok(())
    }

    /// How many bytes are taken.
    pub(super) fn bytes(&self) -> usize {
        self.taken.as_ref().map_or(0, |taken| taken.num_permits() * UNIT)
    }
}

/// Room for a body that is coming: it may have to be given back.
#[derive(Debug)]
pub(super) struct Coming {
    room: Room,
    holder: Holder,
    place: Place,
}

impl Coming {
    /// Takes more.
    pub(super) async fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let Self { room, holder, .. } = self;
        tokio::select! {
            biased;
            () = holder.must_go() => return Err(Full),
            grown = room.grow(bytes) => grown?,
        }
        holder.holds(room.bytes());
        Ok(())
    }

    /// Waits for something of the body, or until it has to go.
    pub(super) async fn next<F: Future>(&self, something: F) -> Result<F::Output, Full> {
        tokio::select! {
            biased;
            () = self.holder.must_go() => Err(Full),
            something = something => Ok(something),
        }
    }

    /// The body is there: nobody can take its room any more.
    pub(super) fn arrived(self) -> Result<Room, Full> {
        if self.place.leave() { Ok(self.room) } else { Err(Full) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn holding(memory: &Memory, standing: Standing, bytes: usize) -> Coming {
        let mut coming = memory.body(standing);
        coming.grow(bytes).await.unwrap();
        coming
    }

    #[tokio::test]
    async fn the_body_that_comes_for_the_longest_makes_room() {
        let memory = Memory::new(10 * UNIT);
        let mut proven = holding(&memory, Standing::Engaged, UNIT).await;
        let slow = holding(&memory, Standing::Unproven, 3 * UNIT).await;
        let next = holding(&memory, Standing::Unproven, 6 * UNIT).await;
        let gives_way = tokio::spawn(async move { slow.next(std::future::pending::<()>()).await });
        let newcomer = holding(&memory, Standing::Unproven, 2 * UNIT).await;
        assert_eq!(gives_way.await.unwrap(), Err(Full));
        assert_eq!(memory.free.available_permits(), 1);
        proven.grow(UNIT).await.unwrap();

        // Two have to go for one that needs much.
        let gives_way = tokio::spawn(async move { next.next(std::future::pending::<()>()).await });
        let gives_way_too = tokio::spawn(async move { newcomer.next(std::future::pending::<()>()).await });
        let much = holding(&memory, Standing::Engaged, 8 * UNIT).await;
        assert_eq!(gives_way.await.unwrap(), Err(Full));
        assert_eq!(gives_way_too.await.unwrap(), Err(Full));
        drop((proven, much));
        assert_eq!(memory.free.available_permits(), 10);
    }

    #[tokio::test]
    async fn what_is_being_answered_keeps_its_room() {
        let memory = Memory::new(10 * UNIT);
        let room = holding(&memory, Standing::Unproven, 10 * UNIT).await.arrived().unwrap();
        assert_eq!(memory.body(Standing::Engaged).grow(1).await, Err(Full));
        drop(room);
        assert!(memory.body(Standing::Engaged).grow(10 * UNIT).await.is_ok());
        assert_eq!(memory.body(Standing::Engaged).grow(11 * UNIT).await, Err(Full));
    }

    #[tokio::test]
    async fn who_was_told_to_go_does_not_arrive() {
        let memory = Memory::new(10 * UNIT);
        let slow = holding(&memory, Standing::Unproven, 10 * UNIT).await;
        let newcomer = tokio::spawn({
            let memory = memory.clone();
            async move { memory.body(Standing::Unproven).room.grow(UNIT).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(slow.arrived().map(drop), Err(Full));
        newcomer.await.unwrap().unwrap();
    }
}
