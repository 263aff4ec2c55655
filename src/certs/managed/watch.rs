//! The things in the cluster that are watched, and what is said of them.

use std::fmt::Debug;

use futures::stream::{BoxStream, StreamExt as _, select_all};
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::configurations::{Configuration, Webhooks};
use super::{CA_SECRET, CONFIGURATIONS, Managed, TLS_SECRET};
use crate::cluster::watch_one;

/// The things that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    CaSecret,
    TlsSecret,
    Mutating,
    Validating,
}

impl Thing {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::CaSecret | Self::TlsSecret => "Secret",
            Self::Mutating => "MutatingWebhookConfiguration",
            Self::Validating => "ValidatingWebhookConfiguration",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::CaSecret => CA_SECRET,
            Self::TlsSecret => TLS_SECRET,
            Self::Mutating | Self::Validating => CONFIGURATIONS,
        }
    }
}

impl Managed {
    /// What a thing is called in messages.
    pub(super) fn place(&self, thing: Thing) -> String {
        match thing {
            Thing::CaSecret | Thing::TlsSecret => format!("{} {}/{}", thing.kind(), self.namespace, thing.name()),
            Thing::Mutating | Thing::Validating => format!("{} {}", thing.kind(), thing.name()),
        }
    }

    /// What to say where a thing can't be watched.
    pub(super) fn advice(&self, thing: Thing, error: &watcher::Error) -> String {
        let place = self.place(thing);
        match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
                if status.code == 403 =>
            {
                forbidden("watch", &place)
            }
            error => format!("cannot watch {place}: {error}"),
        }
    }

    /// What to say where a thing can't be read or written.
    pub(super) fn refusal(&self, verb: &str, thing: Thing, error: &kube::Error) -> String {
        let place = self.place(thing);
        match error {
            kube::Error::Api(status) if status.code == 403 => forbidden(verb, &place),
            error => format!("cannot {verb} {place}: {error}"),
        }
    }

    /// What to do about a Secret that isn't there.
    pub(super) fn remedy(&self, thing: Thing) -> String {
        let (place, name) = (self.place(thing), thing.name());
        let create = format!("kubectl create secret generic {name} --namespace {}", self.namespace);
        format!("{place} is missing; Quorate fills it, but may not create it: {create}")
    }
}

fn forbidden(verb: &str, place: &str) -> String {
    format!(
        "Quorate may not {verb} {place}; give it its rights again, as it was installed: helm upgrade, or kubectl apply -f deploy/manifests/rbac.yaml"
    )
}

/// What became known of a thing. Not to be printed: Secrets are in it.
pub(super) enum Event {
    Secret(Thing, Option<Box<Secret>>),
    Configuration(Thing, Option<Configuration>),
    Failed(Thing, watcher::Error),
}

/// What becomes known, as it does.
pub(super) fn watch(managed: &Managed) -> impl futures::Stream<Item = Event> + Unpin + use<> {
    let secret = |thing, name| {
        let seen = move |secret: Option<Secret>| Event::Secret(thing, secret.map(Box::new));
        follow(secrets(managed), name, thing, seen)
    };
    select_all([
        secret(Thing::CaSecret, CA_SECRET),
        secret(Thing::TlsSecret, TLS_SECRET),
        configuration::<MutatingWebhookConfiguration>(managed, Thing::Mutating),
        configuration::<ValidatingWebhookConfiguration>(managed, Thing::Validating),
    ])
}

fn configuration<K>(managed: &Managed, thing: Thing) -> BoxStream<'static, Event>
where
    K: Resource<DynamicType = ()> + Webhooks + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let (namespace, service) = (managed.namespace.clone(), managed.service.clone());
    let seen = move |object: Option<K>| {
        Event::Configuration(thing, object.map(|object| Configuration::of(&object, &namespace, &service)))
    };
    follow(Api::all(managed.client.clone()), CONFIGURATIONS, thing, seen)
}

fn follow<K>(
    api: Api<K>,
    name: &str,
    thing: Thing,
    seen: impl Fn(Option<K>) -> Event + Send + 'static,
) -> BoxStream<'static, Event>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let objects = watch_one(api, name).default_backoff();
    objects.map(move |object| object.map_or_else(|error| Event::Failed(thing, error), &seen)).boxed()
}

/// The Secrets of the Namespace.
pub(super) fn secrets(managed: &Managed) -> Api<Secret> {
    Api::namespaced(managed.client.clone(), &managed.namespace)
}
