//! Where Quorate should be, something takes connections and says nothing.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::record::{Row, record};
use super::replicas::ignore_failures;
use super::{Ground, admin};
use crate::admission::{service, statefulset};
use crate::controlplane::wait_for;
use crate::controlplane::webhooks::manifests;

/// L21: by the API server's own account of where the time went, so that nothing rests on how fast this machine is.
#[test]
fn a_black_hole_costs_a_create_no_more_than_the_timeouts_l21() {
    let ground = Ground::take();
    let quorate = ground.quorate("hole").start().unwrap();
    let timeout = timeout_seconds();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = Deaf::listen().unwrap();
    let mut worst: f64 = 0.0;
    for (name, port) in [("silent", silent.local_addr().unwrap().port()), ("deaf", deaf.address.port())] {
        quorate.register_behind(port).unwrap();
        let namespace = Ground::namespace(&quorate, "hole");
        // As shipped, mutating is Ignore and validating is Fail.
        let refused = admin(&ground, &["create"], &namespace, &statefulset(2));
        assert!(!refused.success(), "{name}: {refused}");
        assert!(refused.stderr.contains(&format!("timeout={timeout}s")), "{name}: {refused}");
        assert!(refused.stderr.contains("failed calling webhook"), "{name}: {refused}");
        ignore_failures(ground.cluster, &quorate);
        // Two webhooks, for the Service comes by one of them.
        assert!(admin(&ground, &["create"], &namespace, &service()).success(), "{name}");
        let admitted = admin(&ground, &["create"], &namespace, &statefulset(2));
        assert!(admitted.success(), "{name}: {admitted}");
        let spent = wait_for("the audit log", || {
            let events = ground.cluster.audit("statefulsets", &namespace, "db")?;
            let last = events.iter().rfind(|event| event["responseStatus"]["code"] == 201).context("not there yet")?;
            ["mutating", "validating"].map(|webhook| spent(last, webhook)).into_iter().collect::<Result<Vec<_>>>()
        })
        .unwrap();
        for seconds in spent {
            assert!(seconds < 2.0 * timeout, "{name}: {seconds} s where a webhook may take {timeout} s");
            worst = worst.max(seconds);
        }
    }
    record(
        "reliability::black_hole::a_black_hole_costs_a_create_no_more_than_the_timeouts_l21",
        &Row {
            tried: "Quorate is a black hole: connections are accepted and nothing is answered; SYNs are dropped",
            amount: "`Fail` and `Ignore`, each".to_owned(),
            result: format!(
                "with `Fail` refused, with `Ignore` admitted; at most {worst:.1} s per webhook by the API server's audit log, of \
                 `timeoutSeconds: {timeout}`"
            ),
        },
    );
}

/// What the audit log says that was spent on webhooks of a kind.
fn spent(event: &Value, webhook: &str) -> Result<f64> {
    let annotation = format!("apiserver.latency.k8s.io/{webhook}-webhook");
    let text = event["annotations"][&annotation].as_str().with_context(|| format!("no {annotation} in {event}"))?;
    Ok(quorate::server::duration(text).with_context(|| format!("{text} is no duration"))?.as_secs_f64())
}

/// The longest `timeoutSeconds` that is shipped.
fn timeout_seconds() -> f64 {
    let manifests = manifests().unwrap();
    let webhooks = manifests.iter().filter_map(|object| object["webhooks"].as_array()).flatten();
    webhooks.filter_map(|webhook| webhook["timeoutSeconds"].as_f64()).fold(0.0, f64::max)
}

/// A socket that listens, and whose queue is full: the kernel drops every further SYN.
struct Deaf {
    address: SocketAddr,
    _socket: Socket,
    _queue: Vec<TcpStream>,
}

impl Deaf {
    fn listen() -> Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
        socket.listen(0)?;
        let address = socket.local_addr()?.as_socket().context("no address")?;
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
        let queue = std::iter::from_fn(|| connect().ok()).take(64).collect();
        Ok(Self { address, _socket: socket, _queue: queue })
    }
}
