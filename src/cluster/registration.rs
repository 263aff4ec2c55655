//! Has the API server ask, once this process can answer.
//!
//! Quorate's webhook configurations are installed without rules, and a webhook without rules is sent nothing: so nobody is held up
//! while Quorate starts, not even with `failurePolicy: Fail` (L97), whoever installs it and in whatever order. The rules stand in
//! an annotation. Here they are put in force, webhook by webhook, as soon as there is a `caBundle` to trust the answers by.
//!
//! Whoever installs leaves `rules` out, so that it is this module's field alone: neither an upgrade nor who keeps a cluster as Git says
//! takes it away. If somebody does, it is back at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::watch_one;
use crate::telemetry::Health;

/// What both webhook configurations are called.
const NAME: &str = "quorate";

/// The annotation that says, as JSON, which rules each webhook is to have.
const ANNOTATION: &str = "quorate.dev/rules";

/// Who owns `rules` to the API server.
const FIELD_MANAGER: &str = "quorate-rules";

/// How long this process is known to be ready before the API server is told: as long as Endpoints and nodes may take to learn of it.
const SETTLED: Duration = Duration::from_secs(10);

/// Keeps the rules in force for ever, from when a kubelet has known for a while that this process is ready.
pub async fn register(client: Client, health: Arc<Health>) {
    settle(&health).await;
    tokio::join!(
        follow(&client, ApiResource::erase::<MutatingWebhookConfiguration>(&())),
        follow(&client, ApiResource::erase::<ValidatingWebhookConfiguration>(&())),
    );
}

/// Returns when this process has been known to be ready for [`SETTLED`]: its own opinion alone brings it no requests.
async fn settle(health: &Health) {
    const STEP: Duration = Duration::from_secs(1);
    let mut ready = Duration::ZERO;
    while ready < SETTLED {
        tokio::time::sleep(STEP).await;
        ready = if health.is_known_to_be_ready() { ready + STEP } else { Duration::ZERO };
    }
}

async fn follow(client: &Client, resource: ApiResource) {
    const PAUSE: Duration = Duration::from_secs(5);
    let kind = &resource.kind;
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    loop {
        let mut changes = watch_one(api.clone(), NAME).default_backoff().boxed();
        while let Some(change) = changes.next().await {
            let configuration = match change {
                Ok(Some(configuration)) => configuration,
                Ok(None) => continue,
                Err(error) => {
                    warn!(kind, name = NAME, %error, "can't watch; will try again");
                    continue;
                }
            };
            match write(&api, &resource, &configuration).await {
                Ok(true) => info!(kind, name = NAME, "rules written, which say what the API server sends"),
                Ok(false) => {}
                // The new watch begins with the object as it is then.
                Err(error) => {
                    warn!(kind, name = NAME, %error, "can't write the rules; will try again");
                    break;
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether there was something to write.
async fn write(api: &Api<DynamicObject>, resource: &ApiResource, seen: &DynamicObject) -> Result<bool, kube::Error> {
    let Some(text) = seen.annotations().get(ANNOTATION) else { return Ok(false) };
    let rules = match serde_json::from_str(text) {
        Ok(rules) => rules,
        Err(error) => {
            warn!(kind = resource.kind, name = NAME, %error, "the annotation {ANNOTATION} can't be read");
            return Ok(false);
        }
    };
    let Some(webhooks) = due(&rules, &seen.data["webhooks"]) else { return Ok(false) };
    let patch = json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        // Of this object only: apply would make one where there is none.
        "metadata": {"name": NAME, "uid": seen.meta().uid},
        "webhooks": webhooks,
    });
    api.patch(NAME, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(patch)).await?;
    Ok(true)
}

/// What to apply, or `None` where everything is as it shall be: each webhook that has a `caBundle` gets its rules, the others none.
fn due(rules: &BTreeMap<String, Value>, webhooks: &Value) -> Option<Vec<Value>> {
    let none = json!([]);
    let (mut wanted, mut differs) = (Vec::new(), false);
    for webhook in webhooks.as_array().into_iter().flatten() {
        let Some((name, rules)) = webhook["name"].as_str().and_then(|name| rules.get_key_value(name)) else { continue };
        let trusted = webhook["clientConfig"]["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty());
        let shall = if trusted { rules } else { &none };
        let present = webhook.get("rules").unwrap_or(&none);
        differs |= present != shall;
        if trusted {
            wanted.push(json!({"name": name, "rules": rules}));
        }
    }
    differs.then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> BTreeMap<String, Value> {
        BTreeMap::from([("a".to_owned(), json!([{"scope": "Namespaced"}])), ("b".to_owned(), json!([]))])
    }

    #[test]
    fn a_webhook_gets_its_rules_when_it_is_trusted_l97() {
        let trusted = json!({"name": "a", "clientConfig": {"caBundle": "AAAA"}});
        let expected = json!([{"name": "a", "rules": [{"scope": "Namespaced"}]}]);
        assert_eq!(due(&rules(), &json!([trusted])), expected.as_array().cloned());
        for client in [json!({}), json!({"caBundle": ""})] {
            assert_eq!(due(&rules(), &json!([{"name": "a", "clientConfig": client}])), None);
        }
    }

    #[test]
    fn nothing_is_written_twice() {
        let done = json!({"name": "a", "clientConfig": {"caBundle": "AAAA"}, "rules": [{"scope": "Namespaced"}]});
        assert_eq!(due(&rules(), &json!([done])), None);
    }

    #[test]
    fn a_webhook_that_lost_its_authority_loses_its_rules() {
        let lost = json!({"name": "a", "clientConfig": {}, "rules": [{"scope": "Namespaced"}]});
        assert_eq!(due(&rules(), &json!([lost])), Some(Vec::new()));
    }

    #[test]
    fn webhooks_that_the_annotation_does_not_name_are_left_alone() {
        let other = json!({"name": "other", "clientConfig": {"caBundle": "AAAA"}, "rules": [{"scope": "*"}]});
        assert_eq!(due(&rules(), &json!([other])), None);
        assert_eq!(due(&rules(), &Value::Null), None);
    }
}
