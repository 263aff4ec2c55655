//! A cluster: what its caches know, and what is read live.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::future::OptionFuture;
use k8s_openapi::api::{apps, autoscaling, core, policy};
use kube::api::ListParams;
use kube::core::{NamespaceResourceScope, PartialObjectMeta};
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::connect::{ConnectError, Target, config};
use super::heard::Heard;
use super::index::Index;
use super::owners::{Owners, to_be_asked_about};
use super::reflector::{Page, Reflector};
use super::trimmed::{Trimmed, Undecodable};
use super::{Changes, Kind, claims};
use crate::facts::{
    Autoscaler, Budget, ByName, Evidence, LabelSelector, Metadata, Namespace, Node, Requester, Revision, Service,
    Situation, StatefulSet, Surroundings,
};
use crate::telemetry::{Health, State};

/// How long all live reads of one request may take together. Half of it would do for a healthy API server; three of it would
/// not fit into the webhook's `timeoutSeconds`.
const READ_DEADLINE: Duration = Duration::from_secs(1);

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
    Decode(#[from] Undecodable),
}

/// The API server sends nothing of these but their metadata.
type ClaimMetadata = PartialObjectMeta<core::v1::PersistentVolumeClaim>;

/// A PersistentVolumeClaim as it is read live.
#[derive(Debug, Clone, Deserialize)]
struct Claim {
    metadata: Metadata,
}

/// A cluster, seen through its API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Of each kind, a client of its own to follow it with, and when that last heard from the API server.
    watches: Arc<BTreeMap<Kind, (Client, Heard)>>,
    caches: Arc<Caches>,
    owners: Arc<Owners>,
}

/// What a namespace holds that bears on budgets.
#[derive(Debug)]
pub struct Inside {
    /// The Namespace itself.
    pub namespace: Arc<Namespace>,
    /// Its StatefulSets, by name.
    pub statefulsets: Vec<Arc<StatefulSet>>,
    /// Its budgets, by name.
    pub budgets: Vec<Arc<Budget>>,
}

/// What is kept of a cluster's objects.
#[derive(Debug)]
struct Caches {
    changes: Arc<Changes>,
    autoscalers: Index<Autoscaler>,
    budgets: Index<Budget>,
    /// Names are all that is kept of PersistentVolumeClaims; see [`claims::key`].
    claims: Index<IgnoredAny>,
    namespaces: Index<Namespace>,
    nodes: Index<Node>,
    services: Index<Service>,
    statefulsets: Index<StatefulSet>,
}

impl Default for Caches {
    /// Tells of the namespaces where a budget may have to be made or withdrawn.
    fn default() -> Self {
        let changes = Arc::default();
        Self {
            autoscalers: Index::default(),
            budgets: Index::telling(&changes),
            claims: Index::default(),
            namespaces: Index::of_namespaces(&changes),
            nodes: Index::default(),
            services: Index::default(),
            statefulsets: Index::telling(&changes),
            changes,
        }
    }
}

impl Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// The target's cluster, whether or not its API server answers now. Its caches are still empty; [`follow`](Self::follow)
    /// fills them.
    ///
    /// # Errors
    ///
    /// There is no such cluster.
    pub async fn new(target: &Target, health: &Health) -> Result<Self, ConnectError> {
        let mut config = config(target).await?;
        let client = Client::try_from(config.clone()).map_err(ConnectError::Client)?;
        // A reflector tries again by itself, and says so; retries further down would only hide that.
        config.default_retry = false;
        let watch = |kind: &Kind| {
            let heard = Heard::default();
            Ok((*kind, (heard.client(config.clone())?, heard)))
        };
        let watches = Kind::ALL.iter().map(watch).collect::<Result<_, _>>().map_err(ConnectError::Client)?;
        for kind in Kind::ALL {
            health.set(kind.part(), State::NotReady("not listed yet".to_owned()));
        }
        Ok(Self { client, watches: Arc::new(watches), caches: Arc::default(), owners: Arc::default() })
    }

    /// Keeps the cache of one kind in step with the API server, for ever.
    pub async fn follow(self, kind: Kind, health: Arc<Health>) {
        let Some((client, heard)) = self.watches.get(&kind) else { return };
        let key = if kind == Kind::PersistentVolumeClaims { claims::key } else { Some };
        let page = if kind == Kind::StatefulSets { Page::Few } else { Page::Many };
        let (reflector, client) = (Reflector { part: kind.part(), heard, health: &health, page, key }, client.clone());
        let caches = &*self.caches;
        match kind {
            Kind::HorizontalPodAutoscalers => {
                reflector.follow::<autoscaling::v2::HorizontalPodAutoscaler, _>(client, &caches.autoscalers).await;
            }
            Kind::PodDisruptionBudgets => {
                reflector.follow::<policy::v1::PodDisruptionBudget, _>(client, &caches.budgets).await;
            }
            Kind::PersistentVolumeClaims => {
                reflector.follow::<ClaimMetadata, _>(client, &caches.claims).await;
            }
            Kind::Namespaces => reflector.follow::<core::v1::Namespace, _>(client, &caches.namespaces).await,
            Kind::Nodes => reflector.follow::<core::v1::Node, _>(client, &caches.nodes).await,
            Kind::Services => reflector.follow::<core::v1::Service, _>(client, &caches.services).await,
            Kind::StatefulSets => reflector.follow::<apps::v1::StatefulSet, _>(client, &caches.statefulsets).await,
        }
    }

    /// For how long nothing was heard from the API server about each kind.
    pub(super) fn silences(&self) -> Vec<(Kind, Duration)> {
        self.watches.iter().map(|(kind, (_, heard))| (*kind, heard.silence())).collect()
    }

    /// The client that the caches are filled with.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Where StatefulSets, budgets or the Namespace itself have changed; one reader may wait for them.
    #[must_use]
    pub fn changes(&self) -> &Changes {
        &self.caches.changes
    }

    /// Whether StatefulSets, budgets and Namespaces have been listed, so that what isn't in [`inside`](Self::inside) isn't there.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        let caches = &self.caches;
        caches.statefulsets.is_listed() && caches.budgets.is_listed() && caches.namespaces.is_listed()
    }

    /// The namespaces that hold StatefulSets or budgets.
    #[must_use]
    pub fn namespaces(&self) -> BTreeSet<String> {
        let caches = &self.caches;
        caches.statefulsets.namespaces().into_iter().chain(caches.budgets.namespaces()).collect()
    }

    /// How many budgets the caches know that Quorate made.
    #[must_use]
    pub fn budgets_of_ours(&self) -> usize {
        self.caches.budgets.count(|budget| budget.ours)
    }

    /// What a namespace holds, as far as the caches know; `None` where there is no such Namespace.
    #[must_use]
    pub fn inside(&self, namespace: &str) -> Option<Inside> {
        let caches = &self.caches;
        Some(Inside {
            namespace: caches.namespaces.get("", namespace)?,
            statefulsets: caches.statefulsets.all_in(namespace),
            budgets: caches.budgets.all_in(namespace),
        })
    }

    /// The same, where an owner of a kind that the cluster doesn't serve is nobody's (L133). One of which that can't be told stays
    /// what it is.
    pub async fn with_served_owners(&self, mut inside: Inside) -> Inside {
        for statefulset in &mut inside.statefulsets {
            let Some(owner) = statefulset.metadata.controller.as_ref().filter(|_| statefulset.metadata.is_operators())
            else {
                continue;
            };
            match self.owners.serves(&self.client, owner).await {
                Ok(true) => {}
                Ok(false) => Arc::make_mut(statefulset).metadata.unverified_owner = true,
                Err(error) => {
                    tracing::warn!(namespace = inside.namespace.name, %error, "can't tell which owners are served");
                    break;
                }
            }
        }
        inside
    }

    /// A StatefulSet that the caches know.
    pub(super) fn statefulset(&self, namespace: &str, name: &str) -> Option<Arc<StatefulSet>> {
        self.caches.statefulsets.get(namespace, name)
    }

    /// The StatefulSets of a namespace that the caches know.
    pub(super) fn statefulsets(&self, namespace: &str) -> Vec<Arc<StatefulSet>> {
        self.caches.statefulsets.all_in(namespace)
    }

    /// Every StatefulSet that the caches know, in no order.
    pub(super) fn every_statefulset(&self) -> Vec<Arc<StatefulSet>> {
        self.caches.statefulsets.all()
    }

    /// What the caches know of a StatefulSet's surroundings, and which kinds of it they don't know.
    pub(super) fn cached(&self, statefulset: &StatefulSet) -> (Surroundings, Evidence) {
        let name = &statefulset.metadata.namespace;
        let caches = &self.caches;
        let namespace = caches.namespaces.get("", name);
        let unknown = if namespace.is_some() { Evidence::NONE } else { Evidence::NAMESPACE };
        let surroundings = Surroundings {
            namespace: namespace.unwrap_or_else(|| Arc::new(Namespace::bare(name))),
            service: statefulset.service_name.as_ref().and_then(|service| caches.services.get(name, service)),
            autoscalers: caches.autoscalers.by_name(name),
            budgets: caches.budgets.by_name(name),
            nodes: caches.nodes.by_name(""),
            claims: statefulset.claim_stems().filter_map(|stem| claims::highest(&caches.claims, name, &stem)).collect(),
            has_pods: false,
            orphaned_revisions: Vec::new(),
            neighbours: Vec::new(),
        };
        (surroundings, unknown)
    }

    /// Whether the requester runs the custom resource that controls the StatefulSet (L133).
    pub(super) async fn runs_owner(
        &self,
        requester: Requester<'_>,
        statefulset: &StatefulSet,
    ) -> Result<bool, ReadError> {
        match to_be_asked_about(requester, statefulset) {
            Some(owner) => {
                let namespace = &statefulset.metadata.namespace;
                // Boxed, as only an operator comes here.
                Box::pin(self.owners.runs(&self.client, requester, owner, namespace)).await
            }
            None => Ok(false),
        }
    }

    /// Reads what a decision rests on from the API server, concurrently and under one deadline. `false` where the StatefulSet
    /// itself was asked for and is no more.
    pub(super) async fn read(&self, kinds: Evidence, situation: &mut Situation<'_>) -> Result<bool, ReadError> {
        if kinds == Evidence::NONE {
            return Ok(true);
        }
        let Situation { statefulset, surroundings } = situation;
        let namespace = &statefulset.metadata.namespace;
        // Boxed, as only a denial comes here, and every request would carry its size.
        let reads = Box::pin(async {
            let wants = |kind| kinds.contains(kind);
            let service_name = statefulset.service_name.as_ref().filter(|_| wants(Evidence::SERVICE));
            futures::try_join!(
                when(wants(Evidence::NAMESPACE), get::<core::v1::Namespace, _>(self.all(), namespace)),
                flip(service_name.map(|name| get::<core::v1::Service, _>(self.of(namespace), name))),
                when(
                    wants(Evidence::AUTOSCALERS),
                    list::<autoscaling::v2::HorizontalPodAutoscaler, _>(self.of(namespace))
                ),
                when(wants(Evidence::BUDGETS), list::<policy::v1::PodDisruptionBudget, _>(self.of(namespace))),
                when(wants(Evidence::NODES), list::<core::v1::Node, Node>(self.all())),
                when(wants(Evidence::CLAIMS), list::<ClaimMetadata, Claim>(self.of(namespace))),
                when(wants(Evidence::REVISIONS), self.orphaned_revisions(statefulset)),
                when(
                    wants(Evidence::PARENT),
                    get::<apps::v1::StatefulSet, StatefulSet>(self.of(namespace), &statefulset.metadata.name)
                ),
            )
        });
        let read = tokio::time::timeout(READ_DEADLINE, reads).await.map_err(|_| ReadError::Deadline)?;
        let (namespace_now, service, autoscalers, budgets, nodes, claims, revisions, parent) = read?;
        if let Some(now) = namespace_now {
            surroundings.namespace = Arc::new(now.unwrap_or_else(|| Namespace::bare(namespace)));
        }
        if let Some(service) = service {
            surroundings.service = service.map(Arc::new);
        }
        if let Some(autoscalers) = autoscalers {
            surroundings.autoscalers = by_name(autoscalers, |each| &each.name);
        }
        if let Some(budgets) = budgets {
            surroundings.budgets = by_name(budgets, |each| &each.name);
        }
        if let Some(nodes) = nodes {
            surroundings.nodes = by_name(nodes, |node| &node.name);
        }
        if let Some(claims) = claims {
            let names = claims.iter().map(|claim| &*claim.metadata.name);
            surroundings.claims = names.filter_map(|name| statefulset.ordinal_of_claim(name)).collect();
        }
        if let Some(revisions) = revisions {
            surroundings.orphaned_revisions = revisions;
        }
        match parent {
            Some(Some(parent)) => *statefulset = Cow::Owned(parent),
            Some(None) => return Ok(false),
            None => {}
        }
        Ok(true)
    }

    /// The ControllerRevisions that a StatefulSet selects and that nobody controls. Asked for only where its claims exist, which
    /// is rare on creation; so they are not kept.
    async fn orphaned_revisions(&self, statefulset: &StatefulSet) -> Result<Vec<Revision>, ReadError> {
        let selector = &statefulset.selector;
        let revisions =
            list::<apps::v1::ControllerRevision, Revision>(self.of(&statefulset.metadata.namespace)).await?;
        let is_orphan = |revision: &Revision| {
            revision.metadata.controller.is_none()
                && *selector != LabelSelector::default()
                && selector.matches(&revision.metadata.labels)
        };
        Ok(revisions.into_iter().filter(is_orphan).collect())
    }

    fn all<K: Resource<DynamicType: Default>, F>(&self) -> Api<Trimmed<K, F>> {
        Api::all(self.client.clone())
    }

    fn of<K, F>(&self, namespace: &str) -> Api<Trimmed<K, F>>
    where
        K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

fn by_name<F>(facts: Vec<F>, name: impl Fn(&F) -> &String) -> ByName<F> {
    Arc::new(facts.into_iter().map(|facts| (name(&facts).clone(), Arc::new(facts))).collect())
}

/// An object as it is now, or that there is none.
async fn get<K, F>(api: Api<Trimmed<K, F>>, name: &str) -> Result<Option<F>, ReadError>
where
    K: Clone + Debug,
    F: DeserializeOwned + Clone + Debug,
{
    Ok(api.get_opt(name).await?.map(Trimmed::facts).transpose()?)
}

/// All objects of a namespace as they are now.
async fn list<K, F>(api: Api<Trimmed<K, F>>) -> Result<Vec<F>, ReadError>
where
    K: Clone + Debug,
    F: DeserializeOwned + Clone + Debug,
{
    let objects = api.list(&ListParams::default()).await?;
    Ok(objects.items.into_iter().map(Trimmed::facts).collect::<Result<_, _>>()?)
}

/// A read that is only made where it is wanted.
async fn when<T, E>(wanted: bool, read: impl Future<Output = Result<T, E>>) -> Result<Option<T>, E> {
    flip(wanted.then_some(read)).await
}

async fn flip<T, E>(read: Option<impl Future<Output = Result<T, E>>>) -> Result<Option<T>, E> {
    OptionFuture::from(read).await.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_is_read_live_has_its_name() {
        let claim = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"data-db-0","namespace":"shop"}}"#;
        let claim: Trimmed<ClaimMetadata, Claim> = serde_json::from_str(claim).unwrap();
        assert_eq!(claim.facts().unwrap().metadata.name, "data-db-0");
    }
}
