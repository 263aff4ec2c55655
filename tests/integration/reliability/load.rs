//! Clients that create StatefulSets without a pause, and remember what they were told.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{from_value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::record::number;
use crate::admission::{is_injected, service, statefulset, with};
use crate::controlplane::{ControlPlane, wait_for};

/// How many clients there are, each creating one StatefulSet after the other.
const CLIENTS: usize = 4;

/// Between two creates of a client: the tests beside this one want some of the machine too.
const BREATH: Duration = Duration::from_millis(20);

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    created: BTreeSet<String>,
    denied: Vec<String>,
    failed: Vec<String>,
}

/// Clients at work.
pub(super) struct Load {
    runtime: Runtime,
    client: Client,
    namespace: String,
    told: Arc<Mutex<Told>>,
    enough: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

/// What came of it all. None was lost, none was denied, and what is stored is what clients were told.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How many were created.
    pub(super) created: usize,
    /// The requests that failed, and were made again until they did not: why.
    pub(super) failed: Vec<String>,
    /// The names of those without an injection.
    pub(super) unmutated: BTreeSet<String>,
}

impl Load {
    /// Begins in this namespace, which gets the Service first.
    pub(super) fn start(cluster: &ControlPlane, namespace: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let client = runtime.block_on(client(cluster)).unwrap();
        let services: Api<Service> = Api::namespaced(client.clone(), namespace);
        runtime.block_on(services.create(&PostParams::default(), &from_value(service()).unwrap())).unwrap();
        let (told, enough) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let clients = (0..CLIENTS)
            .map(|number| {
                let sets = Api::namespaced(client.clone(), namespace);
                runtime.spawn(create(sets, number, Arc::clone(&told), Arc::clone(&enough)))
            })
            .collect();
        let load = Self { runtime, client, namespace: namespace.to_owned(), told, enough, clients };
        load.go_on();
        load
    }

    /// Returns when some dozens more have been created.
    pub(super) fn go_on(&self) {
        let created = || self.told.lock().unwrap().created.len();
        let before = created();
        wait_for("StatefulSets to be created", || {
            let told = self.told.lock().unwrap();
            ensure!(told.created.len() > before + 10 * CLIENTS, "{:?}, {:?}", told.denied.last(), told.failed.last());
            Ok(())
        })
        .unwrap();
    }

    /// Ends it, and compares what is stored with what clients were told.
    pub(super) fn end(self) -> Outcome {
        self.go_on();
        self.enough.store(true, Ordering::SeqCst);
        for client in self.clients {
            self.runtime.block_on(client).unwrap();
        }
        let sets: Api<StatefulSet> = Api::namespaced(self.client, &self.namespace);
        let stored = self.runtime.block_on(sets.list(&ListParams::default())).unwrap().items;
        let names: BTreeSet<String> = stored.iter().map(kube::ResourceExt::name_any).collect();
        let unmutated = stored.iter().filter(|set| !is_injected(&serde_json::to_value(set).unwrap()));
        let unmutated = unmutated.map(kube::ResourceExt::name_any).collect();
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        assert!(told.denied.is_empty(), "{} were denied: {:#?}", told.denied.len(), told.denied);
        assert_eq!(told.created.difference(&names).collect::<Vec<_>>(), [""; 0], "lost");
        assert_eq!(names.difference(&told.created).collect::<Vec<_>>(), [""; 0], "nobody was told of these");
        Outcome { created: names.len(), failed: told.failed, unmutated }
    }
}

impl Outcome {
    /// Where no request may have failed, and none gone unmutated.
    pub(super) fn flawless(&self) -> String {
        assert!(self.failed.is_empty(), "{} failed: {:#?}", self.failed.len(), self.failed);
        self.complete()
    }

    /// Where requests may have failed as long as they then succeeded, but none may have gone unmutated.
    pub(super) fn complete(&self) -> String {
        assert!(self.unmutated.is_empty(), "{} are unmutated: {:?}", self.unmutated.len(), self.unmutated);
        format!("{} created: 0 lost, 0 unmutated, 0 denied{}", number(self.created), self.retried())
    }

    /// How many requests clients had to make again.
    pub(super) fn retried(&self) -> String {
        match self.failed.len() {
            0 => String::new(),
            failed => format!(", {} of the requests made more than once", number(failed)),
        }
    }
}

/// A client that tells of every failure, where others would try again by themselves.
async fn client(cluster: &ControlPlane) -> Result<Client> {
    let kubeconfig = kube::config::Kubeconfig::read_from(cluster.kubeconfig())?;
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &kube::config::KubeConfigOptions::default()).await?;
    config.default_retry = false;
    // Installs what TLS needs, where it is not there yet.
    cluster.client().await?;
    Ok(Client::try_from(config)?)
}

async fn create(sets: Api<StatefulSet>, client: usize, told: Arc<Mutex<Told>>, enough: Arc<AtomicBool>) {
    for count in 0.. {
        if enough.load(Ordering::SeqCst) {
            return;
        }
        let name = format!("db-{client}-{count}");
        // Zero pods: nothing here is about them.
        let object = from_value(with(statefulset(0), "/metadata/name", json!(name))).unwrap();
        let mut tries = 0;
        loop {
            match sets.create(&PostParams::default(), &object).await {
                Ok(made) => {
                    told.lock().unwrap().created.insert(made.name_any());
                    break;
                }
                // The answer to the request before was lost, not the StatefulSet.
                Err(kube::Error::Api(status)) if tries > 0 && status.is_already_exists() => {
                    told.lock().unwrap().created.insert(name);
                    break;
                }
                Err(kube::Error::Api(status)) if status.message.contains("denied the request") => {
                    told.lock().unwrap().denied.push(format!("{name}: {status}"));
                    break;
                }
                Err(error) => {
                    told.lock().unwrap().failed.push(format!("{name}: {error}"));
                    tries += 1;
                    tokio::time::sleep(BREATH * 5).await;
                }
            }
        }
        tokio::time::sleep(BREATH).await;
    }
}
