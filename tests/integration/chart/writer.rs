//! A client that writes StatefulSets without pause, and to whom nothing may ever be denied (L23, L97).

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::controlplane::{ControlPlane, wait_for};

/// Writes until it is told to end.
pub(super) struct Writer {
    over: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Creates, changes and deletes a StatefulSet that keeps every rule, over and over; the Service `headless` is there.
    pub(super) fn start(cluster: &'static ControlPlane, namespace: &str) -> Self {
        let (over, rounds, failures) = <(Arc<AtomicBool>, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>)>::default();
        let (until, counted, failed) = (Arc::clone(&over), Arc::clone(&rounds), Arc::clone(&failures));
        let namespace = namespace.to_owned();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let sets: Api<StatefulSet> = Api::namespaced(cluster.client().await.unwrap(), &namespace);
                while !until.load(Ordering::Relaxed) {
                    let name = format!("written-{}", counted.load(Ordering::Relaxed));
                    if let Err(error) = round(&sets, &name).await {
                        failed.lock().unwrap().push(format!("{name}: {error}"));
                    }
                    counted.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        });
        Self { over, rounds, failures, thread: Some(thread) }
    }

    /// Returns when it has written some more.
    pub(super) fn goes_on(&self) {
        let before = self.rounds.load(Ordering::Relaxed);
        wait_for("the client to go on writing", || {
            anyhow::ensure!(self.rounds.load(Ordering::Relaxed) > before + 3, "it hangs");
            Ok(())
        })
        .unwrap();
    }

    /// Ends it; says how often it wrote, and panics if anything was ever denied.
    pub(super) fn end(mut self) -> usize {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let failures = self.failures.lock().unwrap();
        let rounds = self.rounds.load(Ordering::Relaxed);
        assert!(failures.is_empty(), "{} of {rounds} rounds failed:\n{}", failures.len(), failures.join("\n"));
        rounds
    }
}

async fn round(sets: &Api<StatefulSet>, name: &str) -> kube::Result<()> {
    let set: StatefulSet = serde_json::from_value(statefulset(name, 0)).map_err(kube::Error::SerdeError)?;
    sets.create(&PostParams::default(), &set).await?;
    let change = json!({"spec": {"minReadySeconds": 1}});
    sets.patch(name, &PatchParams::default(), &Patch::Merge(change)).await?;
    sets.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// One that keeps every rule of the shipped policies at 0 and at 3 replicas.
pub(super) fn statefulset(name: &str, replicas: u32) -> Value {
    let volume = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name},
        "spec": {
            "serviceName": "headless",
            "replicas": replicas,
            "selector": {"matchLabels": {"set": name}},
            "template": {
                "metadata": {"labels": {"set": name, "app": "database"}},
                "spec": {"containers": [{"name": "main", "image": "database"}]},
            },
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": volume}],
        },
    })
}
