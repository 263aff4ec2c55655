//! A cluster: what its caches know, and what is read live.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use k8s_openapi::api::{apps, autoscaling, core, policy};
use kube::Client;
use kube::core::PartialObjectMeta;
use serde::de::IgnoredAny;

use super::connect::{ConnectError, Target, config};
use super::heard::Heard;
use super::index::Index;
use super::orphans::{self, Orphan};
use super::owners::{Owners, to_be_asked_about};
use super::reads::Reads;
use super::reflector::{Listing, Reflector};
use super::room::Room;
use super::sieve::SieveError;
use super::trimmed::Undecodable;
use super::{Changes, Kind, claims};
use crate::facts::{Autoscaler, Budget, Evidence, Namespace, Node, Requester, Service, StatefulSet, Surroundings};
use crate::telemetry::{Health, State};

/// Why something could not be read from the API server.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The API server did not answer in time.
    #[error("the API server did not answer in time")]
    Deadline,
    /// The API server can't be asked.
    #[error(transparent)]
    Api(#[from] kube::Error),
    /// The API server answered with an error.
    #[error("the API server answered {0}")]
    Status(StatusCode),
    /// There is more of it than is read.
    #[error("there is more of it than Quorate reads at once")]
    TooMuch,
    /// What the API server answered is not what was asked for.
    #[error("what the API server answered can't be read: {0}")]
    Sieve(#[from] SieveError),
    /// What the API server answered can't be decoded.
    #[error("what the API server answered can't be decoded: {0}")]
    Decode(#[from] Undecodable),
}

impl ReadError {
    /// What can't be asked for.
    pub(super) fn request(error: kube::core::request::Error) -> Self {
        Self::Api(kube::Error::BuildRequest(error))
    }
}

/// The API server sends nothing of these but their metadata.
type ClaimMetadata = PartialObjectMeta<core::v1::PersistentVolumeClaim>;

/// Nor of these.
type RevisionMetadata = PartialObjectMeta<apps::v1::ControllerRevision>;

/// A cluster, seen through its API server.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    /// Of each kind, a client of its own to follow it with, and when that last heard from the API server.
    watches: Arc<BTreeMap<Kind, (Client, Heard)>>,
    caches: Arc<Caches>,
    owners: Arc<Owners>,
    pub(super) reads: Arc<Reads>,
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
pub(super) struct Caches {
    changes: Arc<Changes>,
    pub(super) autoscalers: Index<Autoscaler>,
    pub(super) budgets: Index<Budget>,
    /// Names are all that is kept of PersistentVolumeClaims; see [`claims::key`].
    claims: Index<IgnoredAny>,
    namespaces: Index<Namespace>,
    pub(super) nodes: Index<Node>,
    /// Of ControllerRevisions, those that nothing controls.
    pub(super) orphans: Index<Orphan>,
    services: Index<Service>,
    statefulsets: Index<StatefulSet>,
}

impl Caches {
    /// Empty ones, that may take so many bytes together. They tell of the namespaces where a budget may have to be made or
    /// withdrawn.
    fn within(most: usize) -> Self {
        let (changes, room) = (Arc::default(), Arc::new(Room::of(most)));
        Self {
            autoscalers: Index::default().within(&room),
            budgets: Index::telling(&changes).within(&room),
            claims: Index::default().within(&room),
            namespaces: Index::of_namespaces(&changes),
            nodes: Index::default(),
            orphans: Index::default().within(&room),
            services: Index::default().within(&room),
            statefulsets: Index::telling(&changes).remembering().within(&room),
            changes,
        }
    }

    /// The first kind of which something in the namespace is left out, as there is no room for it.
    fn short_of(&self, namespace: &str) -> Option<Kind> {
        let whole = [
            (Kind::StatefulSets, self.statefulsets.is_whole(namespace)),
            (Kind::Services, self.services.is_whole(namespace)),
            (Kind::HorizontalPodAutoscalers, self.autoscalers.is_whole(namespace)),
            (Kind::PodDisruptionBudgets, self.budgets.is_whole(namespace)),
            (Kind::PersistentVolumeClaims, self.claims.is_whole(namespace)),
            (Kind::ControllerRevisions, self.orphans.is_whole(namespace)),
        ];
        whole.into_iter().find(|(_, is_whole)| !is_whole).map(|(kind, _)| kind)
    }
}

impl Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cluster").finish_non_exhaustive()
    }
}

impl Cluster {
    /// The target's cluster, whether or not its API server answers now. Its caches are still empty; [`follow`](Self::follow)
    /// fills them, with `most_memory` bytes at most, and no less than its share of each namespace.
    ///
    /// # Errors
    ///
    /// There is no such cluster.
    pub async fn new(target: &Target, health: &Health, most_memory: usize) -> Result<Self, ConnectError> {
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
        let (watches, caches) = (Arc::new(watches), Arc::new(Caches::within(most_memory)));
        Ok(Self { client, watches, caches, owners: Arc::default(), reads: Arc::default() })
    }

    /// Keeps the cache of one kind in step with the API server, for ever.
    pub async fn follow(self, kind: Kind, health: Arc<Health>) {
        let Some((client, heard)) = self.watches.get(&kind) else { return };
        let key = if kind == Kind::PersistentVolumeClaims { claims::key } else { Some };
        let listing = match kind {
            Kind::Namespaces | Kind::Nodes => Listing::Pages,
            _ => Listing::Events,
        };
        let (reflector, client) =
            (Reflector { part: kind.part(), heard, health: &health, listing, key }, client.clone());
        let caches = &*self.caches;
        match kind {
            Kind::HorizontalPodAutoscalers => {
                reflector
                    .follow::<autoscaling::v2::HorizontalPodAutoscaler, _>(client, &caches.autoscalers, |_| true)
                    .await;
            }
            Kind::PodDisruptionBudgets => {
                reflector.follow::<policy::v1::PodDisruptionBudget, _>(client, &caches.budgets, |_| true).await;
            }
            Kind::PersistentVolumeClaims => {
                reflector.follow::<ClaimMetadata, _>(client, &caches.claims, |_| true).await;
            }
            Kind::ControllerRevisions => {
                reflector.follow::<RevisionMetadata, _>(client, &caches.orphans, Orphan::is_one).await;
            }
            Kind::Namespaces => reflector.follow::<core::v1::Namespace, _>(client, &caches.namespaces, |_| true).await,
            Kind::Nodes => reflector.follow::<core::v1::Node, _>(client, &caches.nodes, |_| true).await,
            Kind::Services => reflector.follow::<core::v1::Service, _>(client, &caches.services, |_| true).await,
            Kind::StatefulSets => {
                reflector.follow::<apps::v1::StatefulSet, _>(client, &caches.statefulsets, |_| true).await;
            }
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

    /// What a namespace holds, as far as the caches know; `None` where there is no such Namespace, or it holds more than they keep.
    #[must_use]
    pub fn inside(&self, namespace: &str) -> Option<Inside> {
        let caches = &self.caches;
        if !caches.statefulsets.is_whole(namespace) || !caches.budgets.is_whole(namespace) {
            return None;
        }
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

    /// The first kind of which the caches left something in the namespace out, as it holds more than its share.
    #[must_use]
    pub fn short_of(&self, namespace: &str) -> Option<Kind> {
        self.caches.short_of(namespace)
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

    /// Whether a StatefulSet of this name may have left revisions behind. Where there is one, or was one a moment ago, the cache
    /// may not know them yet.
    pub(super) fn may_adopt(&self, namespace: &str, name: &str) -> bool {
        !self.caches.orphans.is_listed()
            || self.has_left_revisions(namespace, name)
            || self.is_or_was_a_moment_ago(namespace, name)
    }

    /// Whether the cache knows revisions that a StatefulSet of this name left behind.
    pub(super) fn has_left_revisions(&self, namespace: &str, name: &str) -> bool {
        !orphans::of(&self.caches.orphans, namespace, name).is_empty()
    }

    pub(super) fn is_or_was_a_moment_ago(&self, namespace: &str, name: &str) -> bool {
        let statefulsets = &self.caches.statefulsets;
        statefulsets.get(namespace, name).is_some() || statefulsets.may_have_had(namespace, name)
    }

    /// Whether the kind is listed, and nothing keeps the API server from being heard about it.
    pub(super) fn is_followed(&self, kind: Kind) -> bool {
        self.watches.get(&kind).is_some_and(|(_, heard)| heard.is_well())
    }

    pub(super) fn caches(&self) -> &Caches {
        &self.caches
    }
}

#[cfg(test)]
mod tests {
    use kube::Resource as _;

    use super::*;
    use crate::cluster::trimmed::Trimmed;

    #[test]
    fn a_claim_that_is_listed_has_its_name() {
        let claim = r#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"data-db-0","namespace":"shop"}}"#;
        let claim: Trimmed<ClaimMetadata, IgnoredAny> = serde_json::from_str(claim).unwrap();
        assert_eq!(claim.meta().name.as_deref(), Some("data-db-0"));
    }
}
