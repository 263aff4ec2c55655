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

/// How a connection's time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// No request for a long time; nothing is lost by closing.
    Idle,
    /// A request's head, or the reading of an answer, takes too long.
    Slow,
}

/// What a connection is doing, and from when.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    beat: Arc<Mutex<Beat>>,
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
    /// So many requests are being answered; they know their own time.
    Requests(usize),
}

impl Pulse {
    pub(super) fn new(limits: Limits, multiplexed: bool) -> Self {
        let beat = Beat { activity: Activity::Idle(Instant::now()), stalled: None };
        Self { beat: Arc::new(Mutex::new(beat)), limits, multiplexed }
    }

    /// A request begins; it ends with the value.
    pub(super) fn request(&self) -> InFlight {
        let mut beat = self.beat();
        beat.activity = match beat.activity {
            Activity::Requests(count) => Activity::Requests(count + 1),
            Activity::Idle(_) | Activity::Head(_) => Activity::Requests(1),
        };
        drop(beat);
        InFlight(self.clone())
    }

    /// Drives a connection until it ends, or its time does.
    pub(super) async fn watch<C: Future>(&self, connection: Pin<&mut C>) -> Result<C::Output, Expiry> {
        let mut connection = connection;
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|context| {
            if let Poll::Ready(output) = connection.as_mut().poll(context) {
                return Poll::Ready(Ok(output));
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
            Activity::Requests(_) => None,
        };
        let write = beat.stalled.map(|since| (since + self.limits.write, Expiry::Slow));
        activity.into_iter().chain(write).min_by_key(|(deadline, _)| *deadline)
    }

    fn bytes_came(&self) {
        let mut beat = self.beat();
        if let (Activity::Idle(_), false) = (beat.activity, self.multiplexed) {
            beat.activity = Activity::Head(Instant::now());
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

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct InFlight(Pulse);

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut beat = self.0.beat();
        beat.activity = match beat.activity {
            Activity::Requests(count) if count > 1 => Activity::Requests(count - 1),
            _ => Activity::Idle(Instant::now()),
        };
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
