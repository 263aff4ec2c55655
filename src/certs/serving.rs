//! The pair that new connections get, replaced as a whole.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Pair;

/// The pair that is served now, once there is one.
#[derive(Default)]
pub struct Serving(ArcSwapOption<Pair>);

impl Serving {
    /// Serves `pair` until it is replaced. Until there is one, as in [`Serving::default`], every handshake fails.
    #[must_use]
    pub fn new(pair: Pair) -> Self {
        Self(ArcSwapOption::from_pointee(pair))
    }

    /// Serves `pair` from the next handshake on.
    pub fn replace(&self, pair: Pair) {
        self.0.store(Some(Arc::new(pair)));
    }

    /// The pair that is served now.
    #[must_use]
    pub fn pair(&self) -> Option<Arc<Pair>> {
        self.0.load_full()
    }
}

impl ResolvesServerCert for Serving {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| Arc::clone(pair.key()))
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Serving").finish_non_exhaustive()
    }
}
