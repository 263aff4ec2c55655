//! Watches one object by its name.

use std::fmt::Debug;
use std::future::ready;

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::reflector::WATCH;

/// The object of this name as it changes; `None` while there is none. As [`watcher::watch_object`], but renewed before the client
/// takes the API server's silence for the connection's end: an object that nobody changes is no failure.
pub(crate) fn watch_one<K>(api: Api<K>, name: &str) -> impl Stream<Item = watcher::Result<Option<K>>> + Send + use<K>
where
    K: Resource<DynamicType: Clone> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let timeout = u32::try_from(WATCH.as_secs()).ok();
    let config = watcher::Config { timeout, ..watcher::Config::default().fields(&format!("metadata.name={name}")) };
    let known = |found: &mut bool, event| {
        ready(Some(match event {
            Ok(Event::Init) => {
                *found = false;
                None
            }
            Ok(Event::InitApply(object)) => {
                *found = true;
                Some(Ok(Some(object)))
            }
            // The list was empty.
            Ok(Event::InitDone) => (!*found).then_some(Ok(None)),
            Ok(Event::Apply(object)) => Some(Ok(Some(object))),
            Ok(Event::Delete(_)) => Some(Ok(None)),
            Err(error) => Some(Err(error)),
        }))
    };
    watcher(api, config).scan(false, known).filter_map(ready)
}
