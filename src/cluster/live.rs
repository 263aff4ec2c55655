//! A cluster: what its caches know, and what is read live.

use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use k8s_openapi::api::core::v1;
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index::Index;
use super::reflector::follow;
use crate::facts::{Evidence, Namespace, Service, StatefulSet, Surroundings};
use crate::telemetry::{Health, State};

/// How long all live reads of one request may take together. Half of it would do for a healthy API server; three of it would
/// not fit into the webhook's `timeoutSeconds`.
const READ_DEADLINE: Duration = Duration::from_secs(1);

const NAMESPACES: &str = "cache-namespaces";
const SERVICES: &str = "cache-services";

/// Why something could not be read from the API server.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} s", READ_DEADLINE.as_secs())]
    Deadline,
    /// The API server answered with an error, or not at all.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// What the API server answered can't be decoded.
    #[error("what the API server answered can't be decoded: {0}")]
    Decode(#[from] serde_json::Error),
}

/// A cluster, seen through its API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespaces: Arc<Index<Namespace>>,
    services: Arc<Index<Service>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster whose caches are still empty. [`follow`](Self::follow) fills them.
    #[must_use]
    pub fn new(client: Client, health: &Health) -> Self {
        for part in [NAMESPACES, SERVICES] {
            health.set(part, State::NotReady("not listed yet".to_owned()));
        }
        Self { client, namespaces: Arc::default(), services: Arc::default() }
    }

    /// Keeps the caches in step with the API server, for ever.
    pub async fn follow(self, health: Arc<Health>) {
        let namespaces =
            follow::<v1::Namespace, _>(Api::all(self.client.clone()), self.namespaces, NAMESPACES, health.clone());
        let services = follow::<v1::Service, _>(Api::all(self.client), self.services, SERVICES, health);
        futures::join!(namespaces, services);
    }

    /// What the caches know of a StatefulSet's surroundings, and which kinds of it they don't know.
    pub(super) fn cached(&self, statefulset: &StatefulSet) -> (Surroundings, Evidence) {
        let name = &statefulset.metadata.namespace;
        let namespace = self.namespaces.get("", name);
        let unknown = if namespace.is_some() { Evidence::NONE } else { Evidence::NAMESPACE };
        let service = statefulset.service_name.as_ref().and_then(|service| self.services.get(name, service));
        let surroundings = Surroundings {
            namespace: namespace.map_or_else(|| Namespace::bare(name), |namespace| (*namespace).clone()),
            service: service.map(|service| (*service).clone()),
        };
        (surroundings, unknown)
    }

    /// Reads these kinds of surroundings from the API server, concurrently and under one deadline.
    pub(super) async fn read(
        &self,
        kinds: Evidence,
        statefulset: &StatefulSet,
        surroundings: &mut Surroundings,
    ) -> Result<(), ReadError> {
        if kinds == Evidence::NONE {
            return Ok(());
        }
        let name = &statefulset.metadata.namespace;
        let namespace = kinds
            .contains(Evidence::NAMESPACE)
            .then_some(get::<v1::Namespace, Namespace>(Api::all(self.client.clone()), name));
        let service =
            statefulset.service_name.as_ref().filter(|_| kinds.contains(Evidence::SERVICE)).map(|service| async move {
                get::<v1::Service, Service>(Api::namespaced(self.client.clone(), name), service).await
            });
        let reads = async { futures::try_join!(flip(namespace), flip(service)) };
        let (namespace, service) =
            tokio::time::timeout(READ_DEADLINE, reads).await.map_err(|_| ReadError::Deadline)??;
        if let Some(namespace) = namespace {
            surroundings.namespace = namespace.unwrap_or_else(|| Namespace::bare(name));
        }
        if let Some(service) = service {
            surroundings.service = service;
        }
        Ok(())
    }
}

/// An object as it is now, or that there is none.
async fn get<K, F>(api: Api<K>, name: &str) -> Result<Option<F>, ReadError>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Serialize,
    F: DeserializeOwned,
{
    let Some(object) = api.get_opt(name).await? else { return Ok(None) };
    Ok(Some(serde_json::from_value(serde_json::to_value(object)?)?))
}

/// A read that is only made where it is wanted.
async fn flip<T, E>(read: Option<impl Future<Output = Result<T, E>>>) -> Result<Option<T>, E> {
    OptionFuture::from(read).await.transpose()
}
