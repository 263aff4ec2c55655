//! Readiness, and what the admin port shows.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use hyper::{Request, StatusCode};
use quorate::admission::Admission;
use quorate::certs::Serving;
use quorate::cluster::{Objects, Source};
use quorate::server::{Connections, Limits, Port, Probe, Shutdown, admin, dial_self, listen, tls};
use quorate::telemetry::{Health, Metrics, State};
use tower::ServiceExt as _;

use super::{Gate, certificates, text, until};

async fn get(health: &Arc<Health>, path: &str) -> (StatusCode, String) {
    let connections = Connections::new(1);
    let admission = Arc::new(Admission::new(Arc::default(), Source::Objects(Objects::default()), Arc::default()));
    let context = admin::Context { health: Arc::clone(health), metrics: Arc::default(), connections, admission };
    let router = admin::router(context);
    let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
    (response.status(), text(response).await)
}

#[tokio::test]
async fn lists_every_part_as_the_api_server_does() {
    let health = Arc::new(Health::default());
    health.set("tls", State::Ok);
    health.set("policies", State::Degraded("a.yaml: 1 is wrong\n  b.yaml: 2 is wrong".to_owned()));
    assert_eq!(get(&health, "/readyz").await, (StatusCode::OK, "ok".to_owned()));
    let listed = "[!]policies degraded: a.yaml: 1 is wrong; b.yaml: 2 is wrong\n[+]tls ok\nreadyz check passed\n";
    assert_eq!(get(&health, "/readyz?verbose").await, (StatusCode::OK, listed.to_owned()));
    health.set("caches", State::NotReady("not listed yet".to_owned()));
    let (status, listed) = get(&health, "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(listed.starts_with("[-]caches not ready: not listed yet\n") && listed.ends_with("readyz check failed\n"));
    assert_eq!(get(&health, "/livez").await, (StatusCode::OK, "ok".to_owned()));
    assert!(get(&health, "/metrics").await.1.ends_with("# EOF\n"));
}

/// L30
#[tokio::test]
async fn is_ready_only_once_its_own_port_answers_a_handshake() {
    let directory = tempfile::tempdir().unwrap();
    let serving = Arc::new(Serving::new(certificates(directory.path()).serving.load().unwrap()));
    let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let health = Arc::new(Health::default());
    health.set("tls", State::NotReady("not dialled yet".to_owned()));
    let limits = Limits::default();
    let (connections, shutdown) = (Connections::new(limits.connections), Shutdown::default());
    let probe = Probe {
        address: listener.local_addr().unwrap(),
        serving: Arc::clone(&serving),
        connections: connections.clone(),
        shutdown: shutdown.clone(),
    };

    // Another's certificate on that port is not ours.
    let other = tempfile::tempdir().unwrap();
    let other = Arc::new(Serving::new(certificates(other.path()).serving.load().unwrap()));
    let port = Port {
        listener,
        tls: Some(tls::config(Arc::clone(&other) as _, None).unwrap()),
        nodelay: true,
        router: Gate::new().router(),
        limits,
        connections,
        shutdown,
        metrics: Arc::new(Metrics::default()),
    };
    tokio::spawn(dial_self(probe, Arc::clone(&health)));
    tokio::spawn(port.serve());
    until("a dial failed", async || health.states()["tls"] != State::NotReady("not dialled yet".to_owned())).await;
    assert_eq!(get(&health, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    other.replace(quorate::certs::Pair::clone(&serving.pair().unwrap()));
    until("it is ready", async || get(&health, "/readyz").await.0 == StatusCode::OK).await;
}
