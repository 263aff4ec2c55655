//! When the API server was last heard.
//!
//! A connection can be dead without anybody having said so: a server that is stopped, or a firewall that forgot about it, sends
//! nothing at all. Nor does a watch of what never changes, so what counts is every byte of an answer, bookmarks included.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Response;
use http_body_util::BodyExt as _;
use kube::client::{ClientBuilder, DynBody};
use kube::{Client, Config};
use tokio::time::Instant;
use tower::util::MapResponseLayer;

/// When something was last heard from the API server over one client; when there was nothing yet, when that was made.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    at: Arc<Mutex<Instant>>,
    well: Arc<AtomicBool>,
}

impl Default for Heard {
    fn default() -> Self {
        Self { at: Arc::new(Mutex::new(Instant::now())), well: Arc::default() }
    }
}

impl Heard {
    /// A client that tells whenever it hears from the API server. An answer that is an error is none.
    pub(super) fn client(&self, config: Config) -> kube::Result<Client> {
        let heard = self.clone();
        let listen = MapResponseLayer::new(move |response: Response<_>| {
            let heard = response.status().is_success().then(|| heard.clone());
            heard.iter().for_each(Heard::now);
            response.map(|body: Box<DynBody>| {
                body.map_frame(move |frame| {
                    heard.iter().for_each(Heard::now);
                    frame
                })
            })
        });
        Ok(ClientBuilder::try_from(config)?.with_layer(&listen).build())
    }

    /// Something was heard.
    pub(super) fn now(&self) {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// When that was.
    pub(super) fn at(&self) -> Instant {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long nothing has been heard.
    pub(super) fn silence(&self) -> Duration {
        self.at().elapsed()
    }

    /// Whether what follows over this client has listed all there is, and nothing keeps it from hearing more.
    pub(super) fn is_well(&self) -> bool {
        self.well.load(Ordering::Acquire)
    }

    /// What [`is_well`](Self::is_well) says.
    pub(super) fn set_well(&self, well: bool) {
        self.well.store(well, Ordering::Release);
    }
}
