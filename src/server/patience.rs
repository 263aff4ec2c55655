//! How long a connection may take over what it is doing.
//!
//! hyper's own header timeout starts when the request before has ended, and so ends idle connections that the API server
//! keeps for later (L32). Here time counts from a request's first byte: [`Patient`] sees bytes come and go, [`Pulse`] knows
//! what the connection is doing and from when, and so until when it may.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::connections::Visit;
use super::line::Standing;

/// How a connection's time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No request for a long time; nothing is lost by closing.
    Idle,
    /// A request's head, or the reading of an answer, takes too long.
    Slow,
    /// Another connection needs its place.
    Crowded,
}

/// What a connection is doing, and from when.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    beat: Arc<Mutex<Beat>>,
    visit: Arc<Visit>,
    limits: Limits,
    /// HTTP/2: bytes outside requests are pings and window updates, not the beginning of a head.
    multiplexed: bool,
}

#[derive(Debug)]
struct Beat {
    activity: Activity,
    /// Since when the client has taken nothing of what is there to be written.
    stalled: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
enum Activity {
    /// No request, since then.
    Idle(Instant),
    /// The head of a request is coming, since then.
    Head(Instant),
    /// So many requests have come, of which so many are being answered; they know their own time.
    Requests { all: usize, answering: usize },
}

impl Pulse {
    pub(super) fn new(limits: Limits, multiplexed: bool, visit: Visit) -> Self {
        let beat = Beat { activity: Activity::Idle(Instant::now()), stalled: None };
        Self { beat: Arc::new(Mutex::new(beat)), visit: Arc::new(visit), limits, multiplexed }
    }

    /// A request begins; it ends with the value.
    pub(super) fn request(&self) -> InFlight {
        let mut beat = self.beat();
        beat.activity = match beat.activity {
            Activity::Requests { all, answering } => Activity::Requests { all: all + 1, answering },
            Activity::Head(_) => Activity::Requests { all: 1, answering: 0 },
            Activity::Idle(_) => {
                self.visit.asks();
                Activity::Requests { all: 1, answering: 0 }
            }
        };
        drop(beat);
        InFlight(self.clone())
    }

    /// Drives a connection until it ends, its time does, or its place is needed.
    pub(super) async fn watch<C: Future>(&self, connection: Pin<&mut C>) -> Result<C::Output, Expiry> {
        let mut connection = connection;
        let mut timer = pin!(sleep_until(Instant::now()));
        let mut must_go = pin!(self.visit.must_go());
        poll_fn(|context| {
            if let Poll::Ready(output) = connection.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
            }
            if must_go.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(Expiry::Crowded));
            }
            let Some((deadline, expiry)) = self.deadline() else { return Poll::Pending };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(context));
            Poll::Ready(Err(expiry))
        })
        .await
    }

    fn deadline(&self) -> Option<(Instant, Expiry)> {
        let beat = self.beat();
        let activity = match beat.activity {
            Activity::Idle(since) => Some((since + self.limits.idle, Expiry::Idle)),
            Activity::Head(since) => Some((since + self.limits.head, Expiry::Slow)),
            Activity::Requests { .. } => None,
        };
        let write = beat.stalled.map(|since| (since + self.limits.write, Expiry::Slow));
        activity.into_iter().chain(write).min_by_key(|(deadline, _)| *deadline)
    }

    fn bytes_came(&self) {
        let mut beat = self.beat();
        if let (Activity::Idle(_), false) = (beat.activity, self.multiplexed) {
            beat.activity = Activity::Head(Instant::now());
            self.visit.asks();
        }
    }

    fn wrote<T>(&self, poll: Poll<T>) -> Poll<T> {
        let mut beat = self.beat();
        beat.stalled = if poll.is_pending() { beat.stalled.or_else(|| Some(Instant::now())) } else { None };
        poll
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that has come and isn't answered yet.
#[derive(Debug)]
pub(super) struct InFlight(Pulse);

impl InFlight {
    /// For the request to tell how far it is.
    pub(super) fn progress(&self) -> Progress {
        Progress(self.0.clone())
    }

    /// It was answered with success.
    pub(super) fn succeeded(&self) {
        self.0.visit.succeeded();
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut beat = self.0.beat();
        beat.activity = match beat.activity {
            Activity::Requests { all, answering } if all > 1 => Activity::Requests { all: all - 1, answering },
            _ => {
                self.0.visit.rests();
                Activity::Idle(Instant::now())
            }
        };
    }
}

/// Tells the connection how far one of its requests is; an extension of the request.
#[derive(Debug, Clone)]
pub(super) struct Progress(Pulse);

impl Progress {
    /// How its connection stands.
    pub(super) fn standing(&self) -> Standing {
        self.0.visit.standing()
    }

    /// The request is being answered, as long as the value lives: its connection stays meanwhile.
    pub(super) fn answering(&self) -> Answering {
        let mut beat = self.0.beat();
        if let Activity::Requests { answering, .. } = &mut beat.activity {
            *answering += 1;
            self.0.visit.is_answered();
        }
        drop(beat);
        Answering(self.0.clone())
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Pulse);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut beat = self.0.beat();
        if let Activity::Requests { all, answering } = &mut beat.activity {
            *answering = answering.saturating_sub(1);
            if *answering == 0 && *all > 1 {
                self.0.visit.asks();
            }
        }
    }
}

/// A stream that tells a [`Pulse`] what passes through it.
#[derive(Debug)]
pub(super) struct Patient<S> {
    stream: S,
    pulse: Pulse,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, pulse: Pulse) -> Self {
        Self { stream, pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.pulse.bytes_came();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.pulse.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.pulse.wrote(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.pulse.wrote(poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.pulse.wrote(poll)
    }
}
