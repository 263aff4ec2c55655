//! What the controller does, told as Events on the StatefulSet.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::time::timeout;

use crate::facts::StatefulSet;

/// The controller's name in Events, and the field manager of what it writes.
pub(super) const REPORTER: &str = "quorate";

/// How long telling may take.
const DEADLINE: Duration = Duration::from_secs(10);

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

/// What tells Events.
pub(super) fn recorder(client: Client, identity: &str) -> Recorder {
    let reporter = Reporter { controller: REPORTER.to_owned(), instance: Some(identity.to_owned()) };
    Recorder::new(client, reporter)
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
    match timeout(DEADLINE, recorder.publish(&event, &about)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%namespace, %name, %error, "can't write an Event"),
        Err(error) => tracing::debug!(%namespace, %name, %error, "can't write an Event in time"),
    }
}
