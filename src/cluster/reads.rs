//! What is read live: what a decision rests on, and no more of it than can matter.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::{apps, autoscaling, core, policy};
use kube::api::{GetParams, ListParams};
use kube::core::Request as Requests;
use kube::{Client, Resource};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout_at;

use super::collection::{collection, get, heads};
use super::live::Cluster;
use super::shared::{Shared, Ticket, Turns};
use super::wire::{self, Allowance};
use super::{Kind, ReadError, nodes, orphans};
use crate::facts::{
    Autoscaler, Budget, ByName, Evidence, LabelSelector, Metadata, Namespace, Node, Operator, Revision, Service,
    Situation, StatefulSet, split_ordinal,
};

/// How many Nodes are asked for at most: what overturns a denial is a few.
const MOST_NODES: u32 = 500;

/// How many Nodes that no cache knows are read one by one.
const MOST_NEW_NODES: usize = 16;

/// How many pods are looked at to see whether one runs that nothing controls.
const MOST_PODS: u32 = 50;

/// How many pods one answer holds where they are all looked at: of each, the API server sends all of the metadata.
const PAGE_OF_PODS: u32 = 100;

/// What has to be read.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The kinds.
    pub kinds: Evidence,
    /// Of Nodes, the topology keys of which they have too few values.
    pub topology_keys: &'a BTreeSet<String>,
}

/// What requests that wait for the same share.
#[derive(Debug, Default)]
pub(super) struct Reads {
    turns: Turns,
    namespaces: Shared<Option<Arc<Namespace>>>,
    services: Shared<Option<Arc<Service>>>,
    autoscalers: Shared<ByName<Autoscaler>>,
    budgets: Shared<ByName<Budget>>,
    claims: Shared<Arc<BTreeMap<String, u32>>>,
    nodes: Shared<ByName<Node>>,
    revisions: Shared<Arc<Vec<Revision>>>,
    parents: Shared<Option<Arc<StatefulSet>>>,
}

type Shareable<T> = Result<T, Arc<ReadError>>;

impl Cluster {
    /// Reads what a decision rests on from the API server, concurrently and under one deadline. `false` where the StatefulSet
    /// itself was asked for and is no more.
    pub(super) async fn read(
        &self,
        question: Question<'_>,
        ticket: &Ticket,
        situation: &mut Situation<'_>,
    ) -> Shareable<bool> {
        if question.kinds == Evidence::NONE {
            return Ok(true);
        }
        // Boxed, as only a denial comes here, and every request would carry its size.
        let reads = Box::pin(self.answer(question, ticket, situation));
        timeout_at(ticket.until(), reads).await.map_err(|_| Arc::new(ReadError::Deadline))?
    }

    async fn answer(
        &self,
        Question { kinds, topology_keys }: Question<'_>,
        ticket: &Ticket,
        situation: &mut Situation<'_>,
    ) -> Shareable<bool> {
        let Situation { statefulset, surroundings } = situation;
        let (namespace, name) = (&statefulset.metadata.namespace, &statefulset.metadata.name);
        let wants = |kind| kinds.contains(kind);
        let service_name = statefulset.service_name.as_ref().filter(|_| wants(Evidence::SERVICE));
        let (namespace_now, service, autoscalers, budgets, nodes, claims, revisions, parent) = futures::try_join!(
            when(wants(Evidence::NAMESPACE), self.namespace_now(ticket, namespace)),
            flip(service_name.map(|service| self.service_now(ticket, namespace, service))),
            when(wants(Evidence::AUTOSCALERS), self.autoscalers_now(ticket, namespace)),
            when(wants(Evidence::BUDGETS), self.budgets_now(ticket, namespace)),
            when(wants(Evidence::NODES), self.nodes_now(ticket, statefulset, topology_keys)),
            when(wants(Evidence::CLAIMS), self.claims_now(ticket, namespace)),
            when(wants(Evidence::REVISIONS), self.revisions_now(ticket, statefulset)),
            when(wants(Evidence::PARENT), self.parent_now(ticket, namespace, name)),
        )?;
        if let Some(now) = namespace_now {
            surroundings.namespace = now.unwrap_or_else(|| Arc::new(Namespace::bare(namespace)));
        }
        if let Some(service) = service {
            surroundings.service = service;
        }
        if let Some(autoscalers) = autoscalers {
            surroundings.autoscalers = autoscalers;
        }
        if let Some(budgets) = budgets {
            surroundings.budgets = budgets;
        }
        if let Some(nodes) = nodes {
            surroundings.nodes = nodes;
        }
        if let Some(claims) = claims {
            surroundings.claims = statefulset.claim_stems().filter_map(|stem| claims.get(&stem).copied()).collect();
        }
        if let Some(revisions) = revisions {
            let has_left_pods = !revisions.is_empty() && !surroundings.has_claims();
            // Where there are too many to tell, some do: whoever keeps pods as they are harms nothing.
            surroundings.has_pods = has_left_pods && self.has_pods(statefulset).await.unwrap_or(true);
            surroundings.orphaned_revisions = Arc::unwrap_or_clone(revisions);
        }
        match parent {
            Some(Some(parent)) => *statefulset = Cow::Owned(Arc::unwrap_or_clone(parent)),
            Some(None) => return Ok(false),
            None => {}
        }
        Ok(true)
    }

    /// Whether the caches of these kinds can be relied on: each is listed, and nothing keeps the API server from being heard.
    pub(super) fn is_current(&self, kinds: Evidence) -> bool {
        let of = [
            (Evidence::NAMESPACE, Kind::Namespaces),
            (Evidence::SERVICE, Kind::Services),
            (Evidence::AUTOSCALERS, Kind::HorizontalPodAutoscalers),
            (Evidence::BUDGETS, Kind::PodDisruptionBudgets),
            (Evidence::PARENT, Kind::StatefulSets),
            (Evidence::NODES, Kind::Nodes),
            (Evidence::CLAIMS, Kind::PersistentVolumeClaims),
            (Evidence::REVISIONS, Kind::ControllerRevisions),
        ];
        of.iter().filter(|(evidence, _)| kinds.contains(*evidence)).all(|(_, kind)| self.is_followed(*kind))
    }

    async fn namespace_now(&self, ticket: &Ticket, name: &str) -> Shareable<Option<Arc<Namespace>>> {
        let read = async {
            let _turn = self.turns().turn(name).await?;
            let requests = Requests::new(core::v1::Namespace::url_path(&(), None));
            let request = requests.get(name, &GetParams::default()).map_err(ReadError::request)?;
            Ok(wire::object(self.client(), request, &wire::OBJECT).await?.map(Arc::new))
        };
        self.reads.namespaces.read(ticket, (name.to_owned(), String::new()), read).await
    }

    async fn service_now(&self, ticket: &Ticket, namespace: &str, name: &str) -> Shareable<Option<Arc<Service>>> {
        let read = async {
            let _turn = self.turns().turn(namespace).await?;
            let request = get::<core::v1::Service>(namespace, name)?;
            let service: Option<Service> = wire::object(self.client(), request, &wire::OBJECT).await?;
            // An older API server takes any text for a serviceName. Behind a question mark it is no part of a path, and yet pods are
            // named after all of it.
            Ok(service.filter(|service| service.name == name).map(Arc::new))
        };
        self.reads.services.read(ticket, (namespace.to_owned(), name.to_owned()), read).await
    }

    async fn parent_now(&self, ticket: &Ticket, namespace: &str, name: &str) -> Shareable<Option<Arc<StatefulSet>>> {
        let read = async {
            let _turn = self.turns().turn(namespace).await?;
            let request = get::<apps::v1::StatefulSet>(namespace, name)?;
            Ok(wire::object(self.client(), request, &wire::OBJECT).await?.map(Arc::new))
        };
        self.reads.parents.read(ticket, (namespace.to_owned(), name.to_owned()), read).await
    }

    async fn autoscalers_now(&self, ticket: &Ticket, namespace: &str) -> Shareable<ByName<Autoscaler>> {
        let cache = &self.caches().autoscalers;
        let read = collection::<autoscaling::v2::HorizontalPodAutoscaler, _>(
            self.client(),
            self.turns(),
            namespace,
            cache,
            &wire::AUTOSCALERS,
        );
        self.reads.autoscalers.read(ticket, (namespace.to_owned(), String::new()), read).await
    }

    async fn budgets_now(&self, ticket: &Ticket, namespace: &str) -> Shareable<ByName<Budget>> {
        let cache = &self.caches().budgets;
        let read = collection::<policy::v1::PodDisruptionBudget, _>(
            self.client(),
            self.turns(),
            namespace,
            cache,
            &wire::OBJECTS,
        );
        self.reads.budgets.read(ticket, (namespace.to_owned(), String::new()), read).await
    }

    /// The highest ordinal of each stem of claims.
    async fn claims_now(&self, ticket: &Ticket, namespace: &str) -> Shareable<Arc<BTreeMap<String, u32>>> {
        let read = async {
            let mut highest = BTreeMap::new();
            let params = ListParams::default();
            heads::<core::v1::PersistentVolumeClaim>(self.client(), self.turns(), namespace, &params, |head| {
                if let Some((stem, ordinal)) = split_ordinal(&head.name) {
                    match highest.get_mut(stem) {
                        Some(so_far) => *so_far = ordinal.max(*so_far),
                        None => drop(highest.insert(stem.to_owned(), ordinal)),
                    }
                }
                Ok(())
            })
            .await?;
            Ok(Arc::new(highest))
        };
        self.reads.claims.read(ticket, (namespace.to_owned(), String::new()), read).await
    }

    /// The Nodes that the cache knows, and of the others and of those that changed all that could overturn a denial.
    async fn nodes_now(
        &self,
        ticket: &Ticket,
        statefulset: &StatefulSet,
        topology_keys: &BTreeSet<String>,
    ) -> Shareable<ByName<Node>> {
        let namespace = &statefulset.metadata.namespace;
        let mut further = BTreeMap::new();
        for topology_key in topology_keys {
            let known = self.caches().nodes.by_name("");
            let selector = nodes::selector(&statefulset.template.node_fit, topology_key, &known);
            let key = (namespace.clone(), selector.clone().unwrap_or_default());
            let read = async {
                let _turn = self.turns().turn(namespace).await?;
                match &selector {
                    Some(selector) => selected_nodes(self.client(), selector).await,
                    None => new_nodes(self.client(), &known).await,
                }
            };
            let read = self.reads.nodes.read(ticket, key, read).await?;
            further.extend(read.iter().map(|(name, node)| (name.clone(), Arc::clone(node))));
        }
        // Only now: who else read for this one may have known of a Node that was not known here before.
        let mut known = self.caches().nodes.by_name("");
        if !further.is_empty() {
            Arc::make_mut(&mut known).append(&mut further);
        }
        Ok(known)
    }

    /// The revisions that a StatefulSet of this name left behind, and that this one selects.
    async fn revisions_now(&self, ticket: &Ticket, statefulset: &StatefulSet) -> Shareable<Arc<Vec<Revision>>> {
        let (namespace, name) = (&statefulset.metadata.namespace, &statefulset.metadata.name);
        let labels = selector(&statefulset.selector);
        let read = async {
            let mut names: BTreeSet<String> =
                orphans::of(&self.caches().orphans, namespace, name).into_iter().collect();
            if self.is_or_was_a_moment_ago(namespace, name) {
                let live = self.orphans_now(namespace, name, &labels, &mut names).await;
                // What the cache knows has to do where there are too many to be told apart.
                if !self.is_current(Evidence::REVISIONS) {
                    live?;
                }
            }
            let read = stream::iter(names.into_iter().take(orphans::MOST).map(|name| async move {
                let _turn = self.turns().turn(namespace).await?;
                let path = apps::v1::ControllerRevision::url_path(&(), Some(namespace));
                wire::listed::<Revision>(self.client(), &path, &name, &wire::OBJECTS).await
            }));
            let revisions: Vec<Option<Revision>> = read.buffer_unordered(2).try_collect().await?;
            Ok(Arc::new(revisions.into_iter().flatten().filter(|each| is_left_by(each, statefulset)).collect()))
        };
        self.reads.revisions.read(ticket, (namespace.clone(), format!("{name} {labels}")), read).await
    }

    async fn orphans_now(
        &self,
        namespace: &str,
        name: &str,
        labels: &str,
        names: &mut BTreeSet<String>,
    ) -> Result<(), ReadError> {
        let comma = if labels.is_empty() { "" } else { "," };
        let params = ListParams::default().labels(&format!("{}{comma}{labels}", orphans::HASH));
        heads::<apps::v1::ControllerRevision>(self.client(), self.turns(), namespace, &params, |head| {
            let is_named = head.name.rsplit_once('-').is_some_and(|(statefulset, _)| statefulset == name);
            if is_named && head.owner_references.is_empty() && names.len() < orphans::MOST {
                names.insert(head.name);
            }
            Ok(())
        })
        .await
    }

    /// Whether a pod of the StatefulSet's name runs that nothing controls.
    async fn has_pods(&self, statefulset: &StatefulSet) -> Shareable<bool> {
        let (namespace, name) = (&statefulset.metadata.namespace, &statefulset.metadata.name);
        let params = ListParams::default()
            .labels(&selector(&statefulset.selector))
            .fields("status.phase=Running")
            .limit(MOST_PODS);
        let mut found = false;
        heads::<core::v1::Pod>(self.client(), self.turns(), namespace, &params, |head| {
            let is_named = split_ordinal(&head.name).is_some_and(|(stem, _)| stem == name);
            found |= is_named && head.owner_references.is_empty() && head.deletion_timestamp.is_none();
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Calls `each` with what the metadata of a namespace's pods tell, of `most` of them or a few more. What they are made as large
    /// as somebody likes with is passed over, and none is kept.
    ///
    /// # Errors
    ///
    /// The API server can't be asked.
    pub async fn each_pod(
        &self,
        namespace: &str,
        most: usize,
        mut each: impl FnMut(Metadata),
    ) -> Result<(), ReadError> {
        let requests = Requests::new(core::v1::Pod::url_path(&(), Some(namespace)));
        let mut params = ListParams::default().limit(PAGE_OF_PODS);
        let mut come = 0;
        loop {
            let request = requests.list_metadata(&params).map_err(ReadError::request)?;
            let pod = |PodHead { metadata }| {
                come += 1;
                each(metadata);
                Ok(())
            };
            params.continue_token = wire::page_of_objects(self.client(), request, &wire::PODS, pod).await?;
            if params.continue_token.is_none() || come >= most {
                return Ok(());
            }
        }
    }

    fn turns(&self) -> &Turns {
        &self.reads.turns
    }
}

/// Whether nothing controls the revision, and it is one of a StatefulSet of this name that this one selects.
fn is_left_by(revision: &Revision, statefulset: &StatefulSet) -> bool {
    let Revision { metadata, .. } = revision;
    let hash = metadata.labels.get(orphans::HASH);
    metadata.controller.is_none()
        && hash.and_then(|hash| orphans::statefulset(&metadata.name, hash)) == Some(&*statefulset.metadata.name)
        && statefulset.selector != LabelSelector::default()
        && statefulset.selector.matches(&metadata.labels)
}

/// A selector as the API server takes it, without what it has no words for.
fn selector(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().map(|(key, value)| format!("{key}={value}"));
    let expressions = selector.match_expressions.iter().filter_map(|each| match each.operator {
        Operator::Exists => Some(each.key.clone()),
        _ => None,
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

async fn selected_nodes(client: &Client, selector: &str) -> Result<ByName<Node>, ReadError> {
    let params = ListParams::default().labels(selector).limit(MOST_NODES);
    let request = Requests::new(core::v1::Node::url_path(&(), None)).list(&params).map_err(ReadError::request)?;
    let mut found = BTreeMap::new();
    let add = |node: Node| {
        found.insert(node.name.clone(), Arc::new(node));
        Ok(())
    };
    wire::page(client, request, &wire::NODES, &mut Allowance::default(), add).await?;
    Ok(Arc::new(found))
}

/// A pod of which nothing is known but its metadata.
#[derive(Deserialize)]
struct PodHead {
    metadata: Metadata,
}

/// One row of a Table.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Row {
    cells: Vec<Value>,
}

/// The Nodes that are not known, found by their names: of a Table without objects little more comes.
async fn new_nodes(client: &Client, known: &ByName<Node>) -> Result<ByName<Node>, ReadError> {
    let path = core::v1::Node::url_path(&(), None);
    let (mut new, mut allowance) = (Vec::new(), Allowance::default());
    let request = http::Request::get(format!("{path}?includeObject=None"))
        .header(http::header::ACCEPT, "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Vec::new())
        .map_err(|error| ReadError::request(kube::core::request::Error::BuildRequest(error)))?;
    let add = |row: Row| {
        if let Some(Value::String(name)) = row.cells.into_iter().next()
            && !known.contains_key(&name)
            && new.len() < MOST_NEW_NODES
        {
            new.push(name);
        }
        Ok(())
    };
    wire::page(client, request, &wire::ROWS, &mut allowance, add).await?;
    let mut found = BTreeMap::new();
    for name in new {
        if let Some(node) = wire::listed::<Node>(client, &path, &name, &wire::NODES).await? {
            found.insert(name, Arc::new(node));
        }
    }
    Ok(Arc::new(found))
}

/// A read that is only made where it is wanted.
async fn when<T, E>(wanted: bool, read: impl Future<Output = Result<T, E>>) -> Result<Option<T>, E> {
    flip(wanted.then_some(read)).await
}

async fn flip<T, E>(read: Option<impl Future<Output = Result<T, E>>>) -> Result<Option<T>, E> {
    futures::future::OptionFuture::from(read).await.transpose()
}
