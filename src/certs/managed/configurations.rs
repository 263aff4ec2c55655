//! What the webhook configurations say of Quorate's CA, and how to make them say what they should.

use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use kube::api::ObjectMeta;
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

use super::super::bundle::Bundle;

/// What one webhook configuration says of one Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// So that a write is of this version and no other.
    version: Option<String>,
    /// The webhooks that lead to the Service, by name, with their `caBundle`.
    webhooks: Vec<(String, Vec<u8>)>,
}

/// Both kinds of webhook configurations.
pub(super) trait Webhooks {
    /// Its metadata, and each webhook's name and client.
    fn parts(&self) -> (&ObjectMeta, Vec<(&str, &WebhookClientConfig)>);
}

impl Webhooks for MutatingWebhookConfiguration {
    fn parts(&self) -> (&ObjectMeta, Vec<(&str, &WebhookClientConfig)>) {
        let webhooks = self.webhooks.iter().flatten();
        (&self.metadata, webhooks.map(|it| (it.name.as_str(), &it.client_config)).collect())
    }
}

impl Webhooks for ValidatingWebhookConfiguration {
    fn parts(&self) -> (&ObjectMeta, Vec<(&str, &WebhookClientConfig)>) {
        let webhooks = self.webhooks.iter().flatten();
        (&self.metadata, webhooks.map(|it| (it.name.as_str(), &it.client_config)).collect())
    }
}

impl Configuration {
    /// What a configuration says of the Service `name` in `namespace`.
    pub(super) fn of(configuration: &impl Webhooks, namespace: &str, name: &str) -> Self {
        let (metadata, webhooks) = configuration.parts();
        let ours = |client: &WebhookClientConfig| {
            client.service.as_ref().is_some_and(|service| service.name == name && service.namespace == namespace)
        };
        let bundle = |client: &WebhookClientConfig| client.ca_bundle.clone().unwrap_or_default().0;
        let webhooks = webhooks.into_iter().filter(|(_, client)| ours(client));
        Self {
            version: metadata.resource_version.clone(),
            webhooks: webhooks.map(|(name, client)| (name.to_owned(), bundle(client))).collect(),
        }
    }

    /// Whether every webhook that is ours has this very `caBundle`.
    pub(super) fn says(&self, text: &[u8]) -> bool {
        self.webhooks.iter().all(|(_, bundle)| bundle == text)
    }

    /// Whether every webhook that is ours trusts this CA.
    pub(super) fn trusts(&self, authority: &CertificateDer<'_>) -> bool {
        self.webhooks.iter().all(|(_, bundle)| Bundle::parse(bundle).contains(authority))
    }

    /// A strategic merge patch after which [`Configuration::says`] `text`, and which touches nothing else: fields that we don't know
    /// survive (L7), and who compares with manifests sees a change of `caBundle` alone (L26).
    pub(super) fn patch(&self, text: &[u8]) -> Value {
        let others = self.webhooks.iter().filter(|(_, bundle)| bundle != text);
        let bundle = ByteString(text.to_vec());
        let webhooks: Vec<_> =
            others.map(|(name, _)| json!({"name": name, "clientConfig": {"caBundle": bundle}})).collect();
        json!({"metadata": {"resourceVersion": self.version}, "webhooks": webhooks})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> ValidatingWebhookConfiguration {
        serde_json::from_value(json!({
            "metadata": {"name": "quorate", "resourceVersion": "7"},
            "webhooks": [
                webhook("a", &json!({"service": {"name": "quorate", "namespace": "here"}, "caBundle": "b2xk"})),
                webhook("b", &json!({"service": {"name": "quorate", "namespace": "here"}, "caBundle": "bmV3"})),
                webhook("c", &json!({"service": {"name": "quorate", "namespace": "here"}})),
                webhook("d", &json!({"service": {"name": "quorate", "namespace": "there"}})),
                webhook("e", &json!({"service": {"name": "other", "namespace": "here"}})),
                webhook("f", &json!({"url": "https://quorate.here.svc/"})),
            ],
        }))
        .unwrap()
    }

    fn webhook(name: &str, client: &Value) -> Value {
        json!({"name": name, "clientConfig": client, "sideEffects": "None", "admissionReviewVersions": ["v1"]})
    }

    #[test]
    fn changes_the_bundles_of_our_service_that_differ_and_nothing_else() {
        let ours = Configuration::of(&configuration(), "here", "quorate");
        assert!(!ours.says(b"new"));
        assert_eq!(
            ours.patch(b"new"),
            json!({
                "metadata": {"resourceVersion": "7"},
                "webhooks": [
                    {"name": "a", "clientConfig": {"caBundle": "bmV3"}},
                    {"name": "c", "clientConfig": {"caBundle": "bmV3"}},
                ],
            })
        );
    }

    #[test]
    fn leaves_alone_what_says_so_already_and_what_is_not_ours() {
        assert!(Configuration::of(&configuration(), "there", "quorate").says(b""));
        assert!(Configuration::of(&configuration(), "nowhere", "quorate").says(b"new"));
    }
}
