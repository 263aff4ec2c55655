//! One of two replicas restarts while StatefulSets are being created.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::{from_value, json};

use super::{PLAIN, is_injected, service, statefulset};
use crate::controlplane::{Quorate, shared, wait_for};

/// How many clients create StatefulSets, one after the other each.
const CLIENTS: usize = 4;

/// What the clients have seen so far.
#[derive(Debug, Default)]
struct Seen {
    enough: AtomicBool,
    created: AtomicUsize,
    failed: std::sync::Mutex<Vec<String>>,
}

/// L30: SIGTERM comes first, then the endpoints change, as it is when a Deployment rolls; the replica drains in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_fails_or_goes_unmutated_while_replicas_restart_l30() {
    let cluster = shared();
    let start = || Quorate::builder(cluster).policy(PLAIN).argument("--drain").argument("20s");
    let (mut first, mut second) = (start().start().unwrap(), start().unregistered().start().unwrap());
    let namespace = first.namespace("l30", &[]).unwrap();
    super::apply(&namespace, &service());

    let seen = Arc::new(Seen::default());
    let client = cluster.client().await.unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(create_without_pause(client.clone(), namespace.clone(), number, Arc::clone(&seen))))
        .collect();
    let progress = |seen: &Seen| {
        let before = seen.created.load(Ordering::SeqCst);
        wait_for("StatefulSets to be created", || {
            anyhow::ensure!(seen.created.load(Ordering::SeqCst) > before + 20, "none");
            Ok(())
        })
        .unwrap();
    };
    tokio::task::block_in_place(|| {
        progress(&seen);
        first.process().signal("TERM").unwrap();
        progress(&seen);
        first.switch_to(&second).unwrap();
        assert!(first.process().exit_status().unwrap().is_none(), "the drain was too short for this machine");
        assert!(first.process().wait().unwrap().success());
        progress(&seen);
        first.start_again().unwrap();

        second.process().signal("TERM").unwrap();
        progress(&seen);
        first.register().unwrap();
        assert!(second.process().exit_status().unwrap().is_none(), "the drain was too short for this machine");
        assert!(second.process().wait().unwrap().success());
        progress(&seen);
        second.start_again().unwrap();
    });
    seen.enough.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let failed = seen.failed.lock().unwrap();
    let created = seen.created.load(Ordering::SeqCst);
    assert!(failed.is_empty(), "{} failed beside {created}: {failed:#?}", failed.len());
}

async fn create_without_pause(client: Client, namespace: String, number: usize, seen: Arc<Seen>) {
    let statefulsets: Api<StatefulSet> = Api::namespaced(client, &namespace);
    for count in 0.. {
        if seen.enough.load(Ordering::SeqCst) {
            return;
        }
        let name = json!(format!("db-{number}-{count}"));
        let object = from_value(super::with(statefulset(0), "/metadata/name", name.clone())).unwrap();
        let problem = match statefulsets.create(&PostParams::default(), &object).await {
            Ok(made) if is_injected(&serde_json::to_value(&made).unwrap()) => None,
            Ok(_) => Some(format!("{name} is unmutated")),
            Err(error) => Some(format!("{name}: {error}")),
        };
        seen.failed.lock().unwrap().extend(problem);
        seen.created.fetch_add(1, Ordering::SeqCst);
    }
}
