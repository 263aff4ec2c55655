//! Ending without losing a request (L30, L31, L33).
//!
//! Endpoints learn late that a replica goes, so first it only *says* that it does: it is unready, and tells clients to leave,
//! but serves everybody as before. Then it stops accepting, answers what is in flight, and ends.

use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::info;

use super::Connections;
use crate::telemetry::{Health, State};

/// The name of this part in `/readyz?verbose`.
const PART: &str = "shutdown";

/// How far the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Not in sight.
    Serving,
    /// Clients are told to leave, and served until they do.
    Draining,
    /// Nobody is let in; what is in flight is answered.
    Stopping,
}

/// The phase, as everybody who needs it shares it.
#[derive(Debug, Clone)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }
}

impl Shutdown {
    /// The phase now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let later = phase > *current;
            if later {
                *current = phase;
            }
            later
        });
    }

    /// Returns once `phase` or a later one is there.
    pub async fn reached(&self, phase: Phase) {
        // The sender lives as long as `self`, so this can't end before the phase is there.
        let _ = self.0.subscribe().wait_for(|current| *current >= phase).await;
    }
}

/// The signals that end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// Which signal came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Terminate,
    Interrupt,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        }
    }
}

impl Signals {
    /// Listens from now on: a signal no longer ends the process by itself.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, then takes `shutdown` through its phases: unready at once, stopping after `drain`; after an
    /// interrupt, which a person sends, as soon as no connection is open. Returns at a second signal.
    pub async fn handle(mut self, shutdown: Shutdown, connections: Connections, health: Arc<Health>, drain: Duration) {
        let kind = self.next().await;
        info!(signal = kind.name(), ?drain, connections = connections.open(), "draining; a second signal ends at once");
        health.set(PART, State::NotReady("draining".to_owned()));
        shutdown.advance(Phase::Draining);
        let left = async {
            match kind {
                Kind::Interrupt => connections.closed().await,
                Kind::Terminate => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = timeout(drain, left) => {}
            _ = self.next() => return,
        }
        info!(connections = connections.open(), "stopping");
        shutdown.advance(Phase::Stopping);
        self.next().await;
    }

    async fn next(&mut self) -> Kind {
        tokio::select! {
            _ = self.terminate.recv() => Kind::Terminate,
            _ = self.interrupt.recv() => Kind::Interrupt,
        }
    }
}
