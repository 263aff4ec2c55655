//! A namespace's objects of one kind as they are now: those that a cache holds unchanged are taken from it.
//!
//! The API server is asked for names and versions only. An object is read where it is new or differs; what is not listed is gone.
//! So what was made a moment ago is seen (L35), and the cost hardly depends on what a tenant stores (L132).

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::Request;
use kube::api::{GetParams, ListParams};
use kube::core::{NamespaceResourceScope, Request as Requests};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::ReadError;
use super::index::Index;
use super::shared::Turns;
use super::sieve::Shape;
use super::wire::{self, Allowance, HEADS};
use crate::facts::{Autoscaler, Budget, ByName, Weight};

/// How many objects the API server sends at first. It reads and encodes all of a page, though nobody may want to hear the end.
const FIRST_PAGE: u32 = 50;

/// How many it sends at once where they are short.
const PAGE: usize = 500;

/// How many objects may differ from what the cache holds: it lags by a moment, in which nobody writes more.
const MOST_DIFFERING: usize = 64;

/// How many of them are read at once.
const AT_ONCE: usize = 2;

/// Facts that know which version of the object they are of.
pub(super) trait Versioned {
    /// The object's `resourceVersion`.
    fn version(&self) -> &str;
}

impl Versioned for Autoscaler {
    fn version(&self) -> &str {
        &self.resource_version
    }
}

impl Versioned for Budget {
    fn version(&self) -> &str {
        &self.resource_version
    }
}

/// An object of which nothing is known but what a list of metadata tells.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Head {
    pub(super) metadata: HeadMetadata,
}

/// What is known of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct HeadMetadata {
    pub(super) name: String,
    pub(super) resource_version: String,
    pub(super) owner_references: Vec<serde::de::IgnoredAny>,
    pub(super) deletion_timestamp: Option<serde::de::IgnoredAny>,
}

/// The objects of a namespace as they are now.
pub(super) async fn collection<K, F>(
    client: &Client,
    turns: &Turns,
    namespace: &str,
    cache: &Index<F>,
    list: &'static Shape,
) -> Result<ByName<F>, ReadError>
where
    K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
    F: Versioned + Weight + DeserializeOwned,
{
    let (mut same, mut differing) = (BTreeMap::new(), Vec::new());
    heads::<K>(client, turns, namespace, &ListParams::default(), |head| {
        match cache.get(namespace, &head.name).filter(|facts| facts.version() == head.resource_version) {
            Some(facts) => drop(same.insert(head.name, facts)),
            None if differing.len() < MOST_DIFFERING => differing.push(head.name),
            None => return Err(ReadError::TooMuch),
        }
        Ok(())
    })
    .await?;
    let read = stream::iter(differing.into_iter().map(|name| async move {
        let _turn = turns.turn(namespace).await?;
        let path = K::url_path(&K::DynamicType::default(), Some(namespace));
        let found = wire::listed(client, &path, &name, list).await?;
        Ok::<_, ReadError>((name, found))
    }));
    let read: Vec<(String, Option<F>)> = read.buffer_unordered(AT_ONCE).try_collect().await?;
    same.extend(read.into_iter().filter_map(|(name, facts)| Some((name, Arc::new(facts?)))));
    Ok(Arc::new(same))
}

/// Calls `each` with what the metadata of a namespace's objects tell.
pub(super) async fn heads<K>(
    client: &Client,
    turns: &Turns,
    namespace: &str,
    params: &ListParams,
    mut each: impl FnMut(HeadMetadata) -> Result<(), ReadError>,
) -> Result<(), ReadError>
where
    K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
{
    let requests = Requests::new(K::url_path(&K::DynamicType::default(), Some(namespace)));
    let _turn = turns.turn(namespace).await?;
    let (mut params, mut allowance) = (params.clone(), Allowance::default());
    params.limit = params.limit.or(Some(FIRST_PAGE));
    let mut come = 0;
    loop {
        let request = requests.list_metadata(&params).map_err(ReadError::request)?;
        let count = |head: Head| {
            come += 1;
            each(head.metadata)
        };
        let next = wire::page(client, request, &HEADS, &mut allowance, count).await?;
        if next.is_none() {
            return Ok(());
        }
        params.continue_token = next;
        params.limit = u32::try_from(allowance.items(come).clamp(1, PAGE)).ok();
    }
}

/// The request for one object.
pub(super) fn get<K>(namespace: &str, name: &str) -> Result<Request<Vec<u8>>, ReadError>
where
    K: Resource<DynamicType: Default, Scope = NamespaceResourceScope>,
{
    let requests = Requests::new(K::url_path(&K::DynamicType::default(), Some(namespace)));
    requests.get(name, &GetParams::default()).map_err(ReadError::request)
}
