//! A TCP proxy: what is in front of several replicas as a Service is, or between Quorate and the API server as a network is
//! that drops connections, or falls silent.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A running proxy; it runs until the process ends.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstreams: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
    silent: AtomicBool,
    open: Mutex<HashMap<usize, [TcpStream; 2]>>,
}

impl Proxy {
    /// Forwards connections to these addresses in turn.
    pub(crate) fn start(upstreams: &[SocketAddr]) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstreams: Mutex::new(upstreams.to_vec()),
            next: AtomicUsize::new(0),
            silent: AtomicBool::new(false),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A client that can't be forwarded sees its connection closed.
                let _ = accepting.enter(client);
            }
        });
        Ok(Self { address, shared })
    }

    /// In front of the server at this URL, `https://` and a loopback address.
    pub(crate) fn before(server: &str) -> Result<Self> {
        Self::start(&[server.strip_prefix("https://").context("not https")?.parse()?])
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where new connections go from now on; those that are open stay.
    pub(crate) fn point_at(&self, upstreams: &[SocketAddr]) {
        *lock(&self.shared.upstreams) = upstreams.to_vec();
    }

    /// Holds back every byte, of new connections too, or lets them go on.
    pub(crate) fn silence(&self, silent: bool) {
        self.shared.silent.store(silent, Ordering::SeqCst);
    }

    /// Ends every connection that is open; returns how many there were.
    pub(crate) fn cut(&self) -> usize {
        let open = lock(&self.shared.open);
        for stream in open.values().flatten() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        open.len()
    }
}

impl Shared {
    fn enter(self: &Arc<Self>, client: TcpStream) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let upstream = {
            let upstreams = lock(&self.upstreams);
            *upstreams.get(number % upstreams.len().max(1)).context("nobody to forward to")?
        };
        let server = TcpStream::connect(upstream)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
        }
        lock(&self.open).insert(number, [client.try_clone()?, server.try_clone()?]);
        for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.forward(from, to);
                lock(&shared.open).remove(&number);
            });
        }
        Ok(())
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            while self.silent.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(10));
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        // Whoever waits on the other side learns that nothing more comes.
        let _ = to.shutdown(Shutdown::Both);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
