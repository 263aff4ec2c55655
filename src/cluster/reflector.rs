//! Keeps an index in step with the API server.

use std::fmt::Debug;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::index::Index;
use crate::telemetry::{Health, State};

/// Follows the objects of one kind for ever. `part` is what `/readyz?verbose` calls this cache: not ready until the first
/// list is complete, and degraded while the API server can't be watched.
pub(super) async fn follow<K, F>(api: Api<K>, index: &Index<F>, part: &'static str, health: &Health)
where
    K: Resource<DynamicType: Default + Clone> + Clone + Debug + DeserializeOwned + Serialize + Send + 'static,
    F: DeserializeOwned,
{
    let mut events = watcher(api, watcher::Config::default()).default_backoff().boxed();
    let mut listed = Index::default();
    let mut synced = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = Index::default(),
            Ok(Event::InitApply(object)) => keep(&listed, &object, part),
            Ok(Event::InitDone) => {
                index.replace_by(std::mem::take(&mut listed));
                if !synced {
                    tracing::info!(part, "synced");
                }
                synced = true;
                health.set(part, State::Ok);
            }
            Ok(Event::Apply(object)) => {
                keep(index, &object, part);
                health.set(part, State::Ok);
            }
            Ok(Event::Delete(object)) => {
                index.remove(object.namespace().as_deref().unwrap_or_default(), &object.name_any());
            }
            Err(error) => {
                tracing::warn!(part, %error, "can't watch; will try again");
                let why = format!("can't watch: {error}");
                health.set(part, if synced { State::Degraded(why) } else { State::NotReady(why) });
            }
        }
    }
}

/// Trims an object to its facts. The way leads through JSON, so that caches and admission share one decoding.
fn keep<K: Resource + Serialize, F: DeserializeOwned>(index: &Index<F>, object: &K, part: &'static str) {
    let facts = serde_json::to_value(object).and_then(serde_json::from_value);
    match facts {
        Ok(facts) => index.insert(object.namespace().unwrap_or_default(), object.name_any(), facts),
        Err(error) => tracing::error!(part, name = object.name_any(), %error, "can't be decoded and is left out"),
    }
}
