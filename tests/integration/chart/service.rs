//! What kube-proxy does: connections to the Service go to the Pods that are ready, one after another.
//!
//! There are no pod networks here, so the Service is of type ExternalName and leads to this port: that, and nothing else, differs from
//! what the chart's defaults say.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The Service's address, and where it leads.
#[derive(Clone)]
pub(super) struct Service {
    port: u16,
    ready: Arc<Mutex<Vec<u16>>>,
}

impl Service {
    /// Forwards from a free port from now on. New connections only follow a change of what is ready, as in a cluster.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Self { port: listener.local_addr().unwrap().port(), ready: Arc::default() };
        let (forwarding, turn) = (service.clone(), AtomicUsize::new(0));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let ready = forwarding.ready().clone();
                // Nobody is ready: the connection ends at once, as one that kube-proxy rejects.
                if ready.is_empty() {
                    continue;
                }
                let port = ready[turn.fetch_add(1, Ordering::Relaxed) % ready.len()];
                if let Ok(pod) = TcpStream::connect(("127.0.0.1", port)) {
                    join(client, pod);
                }
            }
        });
        service
    }

    /// The port on this host.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Says which ports are those of ready Pods.
    pub(super) fn lead_to(&self, ports: Vec<u16>) {
        *self.ready() = ports;
    }

    fn ready(&self) -> MutexGuard<'_, Vec<u16>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn join(client: TcpStream, pod: TcpStream) {
    let (Ok(from_client), Ok(from_pod)) = (client.try_clone(), pod.try_clone()) else { return };
    for (mut from, mut to) in [(from_client, pod), (from_pod, client)] {
        let _ = to.set_nodelay(true);
        thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Write);
        });
    }
}
