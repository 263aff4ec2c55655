//! What the controller does, told as Events on the StatefulSet.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::facts::StatefulSet;

/// The controller's name in Events, and the field manager of what it writes.
pub(super) const REPORTER: &str = "quorate";

/// Something to tell about a StatefulSet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// What has happened: the Event's `reason`.
    pub(super) reason: &'static str,
    /// Why: its `action`. Events that differ in neither are counted as one.
    pub(super) action: &'static str,
    /// The whole of it.
    pub(super) note: String,
    /// Whether somebody should look at it.
    pub(super) warns: bool,
}

/// Tells, and remembers what state it told of, so that a state is told of once.
pub(super) struct Events {
    recorder: Recorder,
    states: HashMap<String, Told>,
}

impl Events {
    pub(super) fn new(client: Client, identity: &str) -> Self {
        let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), states: HashMap::new() }
    }

    /// Whether the StatefulSet's state is news, which it then no longer is; no state is never news.
    pub(super) fn is_news(&mut self, statefulset: &StatefulSet, state: Option<&Told>) -> bool {
        let uid = &statefulset.metadata.uid;
        match state {
            None => {
                self.states.remove(uid);
                false
            }
            Some(told) => self.states.insert(uid.clone(), told.clone()).as_ref() != Some(told),
        }
    }

    /// Forgets StatefulSets that are no more.
    pub(super) fn keep_only(&mut self, uids: &HashSet<String>) {
        self.states.retain(|uid, _| uids.contains(uid));
    }

    /// What tells Events; it may be used where this one is being changed.
    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }
}

/// Tells it. An Event that can't be written is only logged: nothing depends on it.
pub(super) async fn tell(recorder: &Recorder, statefulset: &StatefulSet, told: Told) {
    let metadata = &statefulset.metadata;
    let (namespace, name) = (&metadata.namespace, &metadata.name);
    tracing::info!(%namespace, %name, reason = told.reason, "{}", told.note);
    let about = ObjectReference {
        api_version: Some("apps/v1".to_owned()),
        kind: Some("StatefulSet".to_owned()),
        namespace: Some(namespace.clone()),
        name: Some(name.clone()),
        uid: Some(metadata.uid.clone()),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: if told.warns { EventType::Warning } else { EventType::Normal },
        reason: told.reason.to_owned(),
        note: Some(told.note),
        action: told.action.to_owned(),
        secondary: None,
    };
    if let Err(error) = recorder.publish(&event, &about).await {
        tracing::debug!(%namespace, %name, %error, "can't write an Event");
    }
}
