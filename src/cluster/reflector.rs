//! Keeps an index in step with the API server.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::heard::Heard;
use super::index::Index;
use super::trimmed::Trimmed;
use crate::facts::Weight;
use crate::telemetry::{Health, State};

/// After so long the API server ends a watch, and it begins anew: so it is heard at least that often, also of what never changes.
pub(super) const WATCH: Duration = Duration::from_secs(20);

/// A silence that is longer has a reason.
const SILENT: Duration = Duration::from_secs(30);

/// How often to see whether there is one.
const LOOK: Duration = Duration::from_secs(1);

/// How all objects of a kind are listed at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listing {
    /// Page by page, as many as the API server likes to send.
    Pages,
    /// One by one, as events of a watch. Tenants write them, each may have 1.5 MB, and a page is kept whole until it is decoded:
    /// 500 of them would be more than all the memory there is (L132).
    Events,
}

/// How many objects a page has.
const PAGE: u32 = 500;

/// How many it has of those that may be long, where the API server has no events for it: before Kubernetes 1.32, or where its
/// feature `WatchList` is off.
const SHORT_PAGE: u32 = 20;

/// For how long events may list a kind. A watch ends sooner, and then begins at the first object once more.
const LISTING: Duration = Duration::from_mins(1);

/// How long until all are listed once more where there was no room for some: they may be deleted by then, and no event says that there is room.
const AGAIN: Duration = Duration::from_mins(5);

/// What follows the objects of one kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reflector<'a> {
    /// What `/readyz?verbose` calls this cache: not ready until the first list is complete, and from then on at worst degraded,
    /// while the API server can't be watched or says nothing.
    pub(super) part: &'static str,
    /// When the API server was last heard over the client that follows.
    pub(super) heard: &'a Heard,
    /// Where it says how it is.
    pub(super) health: &'a Health,
    /// How it lists.
    pub(super) listing: Listing,
    /// By what an object of this name is found in the index; `None` where it is not kept.
    pub(super) key: fn(String) -> Option<String>,
}

/// Why the API server could not be watched, and since when.
#[derive(Debug)]
struct Failure {
    at: Instant,
    why: String,
}

impl Reflector<'_> {
    /// Follows the objects of the kind `K`, of which some are kept.
    pub(super) async fn follow<K, F>(&self, client: Client, index: &Index<F>, keeps: impl Fn(&F) -> bool)
    where
        K: Resource<DynamicType: Default + Clone> + Clone + Debug + 'static,
        F: DeserializeOwned + Weight + Clone + Debug + Send + 'static,
    {
        let api = Api::<Trimmed<K, F>>::all(client);
        let pages = if self.listing == Listing::Pages { PAGE } else { SHORT_PAGE };
        let watch = |listing| watcher(api.clone(), config(listing, pages)).default_backoff().boxed();
        let mut listing = self.listing;
        let mut events = watch(listing);
        let mut begun = Instant::now();
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut listed = index.successor();
        let mut failure = None;
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event, index, &mut listed, &keeps),
                    Some(Err(error)) => {
                        tracing::warn!(part = self.part, %error, "can't watch; will try again");
                        if listing == Listing::Events && is_refused(&error) {
                            (listing, events) = (Listing::Pages, watch(Listing::Pages));
                        }
                        failure = Some(Failure { at: Instant::now(), why: error.to_string() });
                    }
                    None => return,
                },
                _ = look.tick() => {
                    if listing == Listing::Events && !index.is_listed() && begun.elapsed() > LISTING {
                        (listing, events, begun) = (Listing::Pages, watch(Listing::Pages), Instant::now());
                    }
                    if index.is_short() && begun.elapsed() > AGAIN {
                        (events, begun) = (watch(listing), Instant::now());
                    }
                }
            }
            failure = failure.filter(|failure| failure.at >= self.heard.at());
            let state = state(index.is_listed(), failure.as_ref(), self.heard.silence());
            self.heard.set_well(state == State::Ok);
            self.health.set(self.part, state);
        }
    }

    fn take<K: Resource, F: Weight>(
        &self,
        event: Event<Trimmed<K, F>>,
        index: &Index<F>,
        listed: &mut Index<F>,
        keeps: impl Fn(&F) -> bool,
    ) {
        match event {
            Event::Init => *listed = index.successor(),
            Event::InitApply(object) => self.keep(listed, object, keeps),
            Event::InitDone => {
                if !index.is_listed() {
                    tracing::info!(part = self.part, "synced");
                }
                index.replace_by(std::mem::take(listed));
            }
            Event::Apply(object) => self.keep(index, object, keeps),
            Event::Delete(object) => {
                if let Some(key) = (self.key)(object.name_any()) {
                    index.remove(object.namespace().as_deref().unwrap_or_default(), &key);
                }
            }
        }
    }

    fn keep<K: Resource, F: Weight>(&self, index: &Index<F>, object: Trimmed<K, F>, keeps: impl Fn(&F) -> bool) {
        let namespace = object.namespace().unwrap_or_default();
        let Some(name) = (self.key)(object.name_any()) else { return };
        match object.facts() {
            Ok(facts) if keeps(&facts) => {
                let was_whole = index.is_whole(&namespace);
                if !index.insert(namespace.clone(), name, facts) && was_whole {
                    tracing::warn!(
                        part = self.part,
                        namespace,
                        "holds more than there is room for: some of it is left out"
                    );
                }
            }
            Ok(_) => index.remove(&namespace, &name),
            Err(error) => tracing::error!(part = self.part, name, %error, "can't be decoded and is left out"),
        }
    }
}

/// How to watch. Short pages are what `Events` falls back to, too.
fn config(listing: Listing, pages: u32) -> watcher::Config {
    let config = watcher::Config {
        timeout: u32::try_from(WATCH.as_secs()).ok(),
        page_size: Some(pages),
        ..watcher::Config::default()
    };
    if listing == Listing::Events { config.streaming_lists() } else { config }
}

/// Whether the API server knows no such list.
fn is_refused(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else { return false };
    matches!(status.code, 400 | 422)
}

/// How a cache is that has been listed or not, after a failure since which nothing was heard, or a silence.
fn state(listed: bool, failure: Option<&Failure>, silence: Duration) -> State {
    let why = match failure {
        Some(failure) => format!("can't watch: {}", failure.why),
        None if silence > SILENT => format!("nothing heard from the API server for {} s", silence.as_secs()),
        None if listed => return State::Ok,
        None => "not listed yet".to_owned(),
    };
    if listed { State::Degraded(why) } else { State::NotReady(why) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(true, None, 3, State::Ok)]
    #[case(true, None, 31, State::Degraded("nothing heard from the API server for 31 s".to_owned()))]
    #[case(true, Some("refused"), 3, State::Degraded("can't watch: refused".to_owned()))]
    #[case(false, None, 3, State::NotReady("not listed yet".to_owned()))]
    #[case(false, None, 31, State::NotReady("nothing heard from the API server for 31 s".to_owned()))]
    #[case(false, Some("refused"), 3, State::NotReady("can't watch: refused".to_owned()))]
    fn once_listed_a_cache_is_never_unready_again(
        #[case] listed: bool,
        #[case] failure: Option<&str>,
        #[case] seconds: u64,
        #[case] expected: State,
    ) {
        let failure = failure.map(|why| Failure { at: Instant::now(), why: why.to_owned() });
        assert_eq!(state(listed, failure.as_ref(), Duration::from_secs(seconds)), expected);
    }
}
