//! Fills the cluster with real objects, through the API server.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::StatusCode;

use crate::client::Client;
use crate::contestants;
use crate::world;

/// How many Namespaces the objects are spread over.
pub(crate) const NAMESPACES: usize = 100;

/// How many are created at once.
const CONNECTIONS: usize = 16;

/// Creates the objects of a kind from one number up to another; how long that took.
pub(crate) async fn fill(client: &Client, kind: &'static str, from: usize, to: usize) -> Duration {
    let started = Instant::now();
    let next = Arc::new(AtomicUsize::new(from));
    let creating: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (client, next) = (client.clone(), Arc::clone(&next));
            tokio::spawn(async move {
                let mut connection = client.connect().await;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= to {
                        return;
                    }
                    let (path, body) = request(kind, number);
                    let answer = connection.post(&path, body.into()).await;
                    let text = String::from_utf8_lossy(&answer.body);
                    assert_eq!(answer.status, StatusCode::CREATED, "{kind} {number}: {text}");
                }
            })
        })
        .collect();
    for created in creating {
        created.await.unwrap();
    }
    started.elapsed()
}

/// Where to send an object, and the object.
fn request(kind: &'static str, number: usize) -> (String, String) {
    let mut object = world::object(kind, number, NAMESPACES);
    let group = match kind {
        "statefulsets" => "/apis/apps/v1",
        "poddisruptionbudgets" => "/apis/policy/v1",
        _ => "/api/v1",
    };
    if kind == "statefulsets" {
        contestants::as_written(&mut object);
    }
    let path = match object["metadata"]["namespace"].as_str() {
        Some(namespace) => format!("{group}/namespaces/{namespace}/{kind}"),
        None => format!("{group}/{kind}"),
    };
    (path, object.to_string())
}
