//! Where surroundings come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::live::{Cluster, ReadError};
use super::{Kind, Question, Ticket};
use crate::facts::{
    Autoscaler, Budget, ByName, Evidence, Namespace, Node, Requester, Service, Situation, StatefulSet, Surroundings,
};

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

    /// The StatefulSet of this name, as far as is known without a live read.
    #[must_use]
    pub fn statefulset(&self, namespace: &str, name: &str) -> Option<Arc<StatefulSet>> {
        match self {
            Self::Cluster(cluster) => cluster.statefulset(namespace, name),
            Self::Objects(objects) => objects.statefulsets.get(namespace)?.get(name).cloned(),
        }
    }

    /// The StatefulSets of a namespace, by name, as far as is known without a live read.
    #[must_use]
    pub fn statefulsets(&self, namespace: &str) -> Vec<Arc<StatefulSet>> {
        match self {
            Self::Cluster(cluster) => cluster.statefulsets(namespace),
            Self::Objects(objects) => {
                objects.statefulsets.get(namespace).into_iter().flat_map(|by_name| by_name.values()).cloned().collect()
            }
        }
    }

    /// Every StatefulSet, as far as is known without a live read; in no order.
    #[must_use]
    pub fn every_statefulset(&self) -> Vec<Arc<StatefulSet>> {
        match self {
            Self::Cluster(cluster) => cluster.every_statefulset(),
            Self::Objects(objects) => {
                objects.statefulsets.values().flat_map(|by_name| by_name.values()).cloned().collect()
            }
        }
    }

    /// For how long nothing was heard from the API server about each kind of which there is a cache.
    #[must_use]
    pub fn silences(&self) -> Vec<(Kind, Duration)> {
        match self {
            Self::Cluster(cluster) => cluster.silences(),
            Self::Objects(_) => Vec::new(),
        }
    }

    /// Whether the requester is a ServiceAccount of another namespace that runs the custom resource which controls the StatefulSet
    /// (L133). Without a cluster, none is known to.
    ///
    /// # Errors
    ///
    /// The API server can't be asked, or doesn't answer in time.
    pub async fn runs_owner(&self, requester: Requester<'_>, statefulset: &StatefulSet) -> Result<bool, ReadError> {
        match self {
            Self::Cluster(cluster) => cluster.runs_owner(requester, statefulset).await,
            Self::Objects(_) => Ok(false),
        }
    }

    /// Brings what a decision rests on up to date. A fixed set of objects always is. `false` where the StatefulSet itself was
    /// asked for and is no more.
    ///
    /// # Errors
    ///
    /// The API server can't be asked, or doesn't answer in time.
    pub async fn read(
        &self,
        question: Question<'_>,
        ticket: &Ticket,
        situation: &mut Situation<'_>,
    ) -> Result<bool, Arc<ReadError>> {
        match self {
            Self::Cluster(cluster) => cluster.read(question, ticket, situation).await,
            Self::Objects(_) => Ok(true),
        }
    }

    /// Whether what is known of these kinds without a live read can be relied on: they are listed, and the API server is heard
    /// about them.
    #[must_use]
    pub fn is_current(&self, kinds: Evidence) -> bool {
        match self {
            Self::Cluster(cluster) => cluster.is_current(kinds),
            Self::Objects(_) => true,
        }
    }

    /// The first kind of which the namespace holds more than is kept, so that nothing in it can be judged (L132).
    #[must_use]
    pub fn short_of(&self, namespace: &str) -> Option<Kind> {
        match self {
            Self::Cluster(cluster) => cluster.short_of(namespace),
            Self::Objects(_) => None,
        }
    }

    /// Whether a StatefulSet that is created may adopt what one of its name left behind (L94).
    #[must_use]
    pub fn may_adopt(&self, statefulset: &StatefulSet) -> bool {
        let metadata = &statefulset.metadata;
        match self {
            Self::Cluster(cluster) => cluster.may_adopt(&metadata.namespace, &metadata.name),
            Self::Objects(_) => false,
        }
    }

    /// Whether a StatefulSet of this name has left revisions behind, as far as is known without a live read.
    #[must_use]
    pub fn has_left_revisions(&self, statefulset: &StatefulSet) -> bool {
        let metadata = &statefulset.metadata;
        match self {
            Self::Cluster(cluster) => cluster.has_left_revisions(&metadata.namespace, &metadata.name),
            Self::Objects(_) => false,
        }
    }
}

/// Facts by the namespace that they are in.
type In<F> = BTreeMap<String, ByName<F>>;

/// A fixed set of objects that stands for a cluster: of manifests, or made by a test.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    autoscalers: In<Autoscaler>,
    budgets: In<Budget>,
    claims: BTreeSet<(String, String)>,
    namespaces: BTreeMap<String, Arc<Namespace>>,
    nodes: ByName<Node>,
    services: In<Service>,
    statefulsets: In<StatefulSet>,
}

impl Objects {
    /// Adds a HorizontalPodAutoscaler.
    pub fn add_autoscaler(&mut self, autoscaler: Autoscaler) {
        put(&mut self.autoscalers, autoscaler.namespace.clone(), autoscaler.name.clone(), autoscaler);
    }

    /// Adds a PodDisruptionBudget.
    pub fn add_budget(&mut self, budget: Budget) {
        put(&mut self.budgets, budget.namespace.clone(), budget.name.clone(), budget);
    }

    /// Adds a PersistentVolumeClaim.
    pub fn add_claim(&mut self, namespace: &str, name: &str) {
        self.claims.insert((namespace.to_owned(), name.to_owned()));
    }

    /// Adds a Node.
    pub fn add_node(&mut self, node: Node) {
        Arc::make_mut(&mut self.nodes).insert(node.name.clone(), Arc::new(node));
    }

    /// Adds a Namespace.
    pub fn add_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), Arc::new(namespace));
    }

    /// Adds a Service.
    pub fn add_service(&mut self, service: Service) {
        put(&mut self.services, service.namespace.clone(), service.name.clone(), service);
    }

    /// Adds a StatefulSet.
    pub fn add_statefulset(&mut self, statefulset: StatefulSet) {
        let metadata = &statefulset.metadata;
        put(&mut self.statefulsets, metadata.namespace.clone(), metadata.name.clone(), statefulset);
    }

    /// Whether the Namespace is among the objects.
    #[must_use]
    pub fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains_key(name)
    }

    /// What is around a StatefulSet. A Namespace that isn't there is one of which nothing but the name is known.
    #[must_use]
    pub fn around(&self, statefulset: &StatefulSet) -> Surroundings {
        let namespace = &statefulset.metadata.namespace;
        let service = statefulset.service_name.as_ref();
        let claims = self.claims.iter().filter(|(other, _)| other == namespace);
        let bare = || Arc::new(Namespace::bare(namespace));
        Surroundings {
            namespace: self.namespaces.get(namespace).cloned().unwrap_or_else(bare),
            service: service.and_then(|name| self.services.get(namespace)?.get(name)).cloned(),
            autoscalers: self.autoscalers.get(namespace).cloned().unwrap_or_default(),
            budgets: self.budgets.get(namespace).cloned().unwrap_or_default(),
            nodes: ByName::clone(&self.nodes),
            claims: claims.filter_map(|(_, name)| statefulset.ordinal_of_claim(name)).collect(),
            has_pods: false,
            orphaned_revisions: Vec::new(),
            neighbours: Vec::new(),
        }
    }
}

fn put<F: Clone>(all: &mut In<F>, namespace: String, name: String, facts: F) {
    Arc::make_mut(all.entry(namespace).or_default()).insert(name, Arc::new(facts));
}
