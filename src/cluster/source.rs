//! Where surroundings come from.

use std::collections::HashMap;

use super::live::{Cluster, ReadError};
use crate::facts::{Evidence, Namespace, Service, StatefulSet, Surroundings};

/// Where surroundings come from.
#[derive(Debug)]
pub enum Source {
    /// A cluster's API server and caches of it.
    Cluster(Cluster),
    /// A fixed set of objects, taken for all there are.
    Objects(Objects),
}

impl Source {
    /// The surroundings of a StatefulSet, and which kinds of them are not known without a live read.
    #[must_use]
    pub fn surroundings(&self, statefulset: &StatefulSet) -> (Surroundings, Evidence) {
        match self {
            Self::Cluster(cluster) => cluster.cached(statefulset),
            Self::Objects(objects) => (objects.around(statefulset), Evidence::NONE),
        }
    }

    /// Brings these kinds of surroundings up to date. A fixed set of objects always is.
    ///
    /// # Errors
    ///
    /// The API server can't be asked, or doesn't answer in time.
    pub async fn read(
        &self,
        kinds: Evidence,
        statefulset: &StatefulSet,
        surroundings: &mut Surroundings,
    ) -> Result<(), ReadError> {
        match self {
            Self::Cluster(cluster) => cluster.read(kinds, statefulset, surroundings).await,
            Self::Objects(_) => Ok(()),
        }
    }
}

/// A fixed set of objects that stands for a cluster: of manifests, or made by a test.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    namespaces: HashMap<String, Namespace>,
    services: HashMap<(String, String), Service>,
}

impl Objects {
    /// Adds a Namespace.
    pub fn add_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    /// Whether the Namespace is among the objects.
    #[must_use]
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// Adds a Service.
    pub fn add_service(&mut self, service: Service) {
        self.services.insert((service.namespace.clone(), service.name.clone()), service);
    }

    /// What is around a StatefulSet. A Namespace that isn't there is one of which nothing but the name is known.
    #[must_use]
    pub fn around(&self, statefulset: &StatefulSet) -> Surroundings {
        let namespace = &statefulset.metadata.namespace;
        let service = statefulset.service_name.as_ref();
        Surroundings {
            namespace: self.namespaces.get(namespace).cloned().unwrap_or_else(|| Namespace::bare(namespace)),
            service: service.and_then(|name| self.services.get(&(namespace.clone(), name.clone()))).cloned(),
        }
    }
}
