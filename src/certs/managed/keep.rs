//! Watches the Secrets and the webhook configurations, and does what [`plan`](super::plan) says.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::StreamExt as _;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Resource};
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use super::super::authority::{Authority, server_name, service_names};
use super::super::bundle::Bundle;
use super::super::follow::utc;
use super::super::{Pair, Serving};
use super::configurations::{Configuration, Webhooks};
use super::plan::{Held, Reason, Step, View, next, take_up};
use super::report::{CONFIGURED, Problem, certificate};
use super::secrets::{Leaf, Trust, with_authority, with_bundle, with_leaf};
use super::watch::{Event, Thing, secrets, watch};
use super::{CONFIGURATIONS, Managed};
use crate::telemetry::{Health, Metrics};

/// Who the API server says wrote `caBundle`.
const FIELD_MANAGER: &str = "quorate";

/// A watch that fails is tried again at least this often; when it works again nothing may be heard of it, so a failure that isn't
/// repeated is over.
pub(super) const FORGET: Duration = Duration::from_mins(2);

/// So many steps at once at most, before the clock is looked at again: whatever goes on here, it must not go round for ever.
const STEPS: usize = 10;

/// Keeps Secrets, webhook configurations and `serving` as they should be, for ever.
pub async fn keep(managed: Managed, serving: Arc<Serving>, metrics: Arc<Metrics>, health: Arc<Health>) {
    let mut events = watch(&managed);
    let mut clock = interval(managed.pace());
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keeper = Keeper::new(managed, serving, metrics, health);
    loop {
        tokio::select! {
            Some(event) = events.next() => keeper.see(event),
            _ = clock.tick() => {}
        }
        keeper.act().await;
    }
}

/// Whether an error means that what was written had changed, or gone, meanwhile.
fn is_outrun(code: u16) -> bool {
    matches!(code, 404 | 409)
}

/// A Secret as it is stored, and what it means.
pub(super) struct Kept<T> {
    secret: Option<Box<Secret>>,
    pub(super) held: Held<T>,
}

impl<T> Kept<T> {
    fn unknown() -> Self {
        Self { secret: None, held: Held::Unknown }
    }

    fn of(secret: Option<Box<Secret>>, read: fn(&Secret) -> T) -> Self {
        let held = secret.as_deref().map_or(Held::Missing, |secret| Held::There(read(secret)));
        Self { secret, held }
    }

    fn version(&self) -> Option<&str> {
        self.secret.as_deref()?.metadata.resource_version.as_deref()
    }
}

pub(super) struct Keeper {
    pub(super) managed: Managed,
    name: String,
    pub(super) trust: Kept<Trust>,
    pub(super) leaf: Kept<Leaf>,
    mutating: Held<Configuration>,
    validating: Held<Configuration>,
    /// What is wrong with each thing's watch, if anything.
    pub(super) failures: [Option<(String, Instant)>; 4],
    pub(super) serving: Arc<Serving>,
    /// Who signed what is served.
    signer: Option<CertificateDer<'static>>,
    /// Since when the configurations trust this CA.
    trusted: Option<(CertificateDer<'static>, Instant)>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) health: Arc<Health>,
    /// What was last said to be wrong, so that each is said once.
    pub(super) said: Option<String>,
}

impl Keeper {
    fn new(managed: Managed, serving: Arc<Serving>, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        let name = server_name(&managed.service, &managed.namespace);
        Self {
            managed,
            name,
            trust: Kept::unknown(),
            leaf: Kept::unknown(),
            mutating: Held::Unknown,
            validating: Held::Unknown,
            failures: Default::default(),
            serving,
            signer: None,
            trusted: None,
            metrics,
            health,
            said: None,
        }
    }

    fn see(&mut self, event: Event) {
        let held = |configuration: Option<Configuration>| configuration.map_or(Held::Missing, Held::There);
        let thing = match event {
            Event::Failed(thing, error) => {
                self.failures[thing as usize] = Some((self.managed.advice(thing, &error), Instant::now()));
                return;
            }
            Event::Secret(thing, secret) => {
                self.hold(thing, secret);
                thing
            }
            Event::Configuration(Thing::Mutating, configuration) => {
                self.mutating = held(configuration);
                Thing::Mutating
            }
            Event::Configuration(thing, configuration) => {
                self.validating = held(configuration);
                thing
            }
        };
        self.failures[thing as usize] = None;
    }

    fn hold(&mut self, thing: Thing, secret: Option<Box<Secret>>) {
        match thing {
            Thing::CaSecret => self.trust = Kept::of(secret, Trust::of),
            _ => self.leaf = Kept::of(secret, Leaf::of),
        }
    }

    /// Does what is to be done now.
    async fn act(&mut self) {
        let mut failure = None;
        for _ in 0..STEPS {
            if !self.has_looked() {
                break;
            }
            self.note_trust();
            self.take_up();
            match self.step().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        self.report(failure.as_ref());
    }

    /// Whether everything has been looked at once, so that nothing is taken for absent that isn't.
    fn has_looked(&self) -> bool {
        let known = [
            !matches!(self.trust.held, Held::Unknown),
            !matches!(self.leaf.held, Held::Unknown),
            !matches!(self.mutating, Held::Unknown),
            !matches!(self.validating, Held::Unknown),
        ];
        known.iter().zip(&self.failures).all(|(known, failure)| *known || failure.is_some())
    }

    /// Starts, or stops, to count for how long the API server has been told of the present CA.
    fn note_trust(&mut self) {
        let present =
            self.trust.held.there().and_then(|trust| trust.authority.as_ref().ok()).map(Authority::certificate);
        let trusts = |held: &Held<Configuration>, authority| match held {
            Held::Unknown => false,
            Held::Missing => true,
            Held::There(configuration) => configuration.trusts(authority),
        };
        let trusted = present.filter(|it| trusts(&self.mutating, it) && trusts(&self.validating, it));
        self.trusted = match (trusted, self.trusted.take()) {
            (None, _) => None,
            (Some(present), Some((before, since))) if *present == before => Some((before, since)),
            (Some(present), _) => Some((present.clone(), Instant::now())),
        };
    }

    fn with_view<T>(&self, look: impl FnOnce(&View<'_>) -> T) -> T {
        let pair = self.serving.pair();
        look(&View {
            trust: &self.trust.held,
            leaf: &self.leaf.held,
            configurations: [&self.mutating, &self.validating],
            served: pair.as_deref().zip(self.signer.as_ref()),
            settled: self.trusted.as_ref().is_some_and(|(_, since)| since.elapsed() >= self.managed.settling()),
            name: &self.name,
            now: SystemTime::now(),
        })
    }

    fn take_up(&mut self) {
        let taken = self.with_view(|view| take_up(view).map(|(pair, signer)| (Pair::clone(pair), signer)));
        if let Some((pair, signer)) = taken {
            info!(expires = %utc(pair.ends()), "serving a new certificate");
            self.metrics.certificate_reloaded(true);
            self.serving.replace(pair);
            self.signer = Some(signer);
        }
    }

    /// Takes the next step; whether there may be another one.
    async fn step(&mut self) -> Result<bool, Problem> {
        match self.with_view(next) {
            Step::Rest => Ok(false),
            Step::MakeAuthority(reason, former) => self.make_authority(&reason, &former).await,
            Step::WriteBundle(bundle) => {
                let written = self.trust.secret.as_deref().map(|secret| with_bundle(secret, &bundle));
                self.write(Thing::CaSecret, written, "the CAs that clients shall trust", None).await
            }
            Step::Issue(reason) => self.issue(&reason).await,
            Step::Configure => self.configure().await,
        }
    }

    async fn make_authority(&mut self, reason: &Reason, former: &Bundle) -> Result<bool, Problem> {
        let now = SystemTime::now();
        let authority = Authority::make(&format!("Quorate CA {}", utc(now)), self.managed.ca_validity, now);
        let authority = authority.map_err(|error| certificate(format!("cannot make a CA: {error}")))?;
        let all: Bundle = std::iter::once(authority.certificate()).chain(former.iter()).cloned().collect();
        let written = self.trust.secret.as_deref().map(|secret| with_authority(secret, &authority, &all.at(now)));
        self.write(Thing::CaSecret, written, "a new CA", Some(reason)).await
    }

    async fn issue(&mut self, reason: &Reason) -> Result<bool, Problem> {
        let Some(Ok(authority)) = self.trust.held.there().map(|trust| &trust.authority) else { return Ok(false) };
        let names = service_names(&self.managed.service, &self.managed.namespace);
        let issued = authority.issue(&names, self.managed.certificate_validity, SystemTime::now());
        let issued = issued.map_err(|error| certificate(format!("cannot make a certificate: {error}")))?;
        let written = self.leaf.secret.as_deref().map(|secret| with_leaf(secret, &issued, authority));
        self.write(Thing::TlsSecret, written, "a new serving certificate", Some(reason)).await
    }

    /// Writes a Secret unless it has changed; then goes on with what it holds now.
    async fn write(
        &mut self,
        thing: Thing,
        secret: Option<Secret>,
        what: &str,
        reason: Option<&Reason>,
    ) -> Result<bool, Problem> {
        let Some(secret) = secret else { return Ok(false) };
        let place = self.managed.place(thing);
        match secrets(&self.managed).replace(thing.name(), &PostParams::default(), &secret).await {
            Ok(stored) => {
                match reason {
                    Some(Reason::Unusable(reason)) => warn!(reason, "put {what} into {place}, whose own can't be used"),
                    Some(reason) => info!(%reason, "put {what} into {place}"),
                    None => info!("put {what} into {place}"),
                }
                self.hold(thing, Some(Box::new(stored)));
            }
            Err(kube::Error::Api(status)) if is_outrun(status.code) => {
                debug!("another replica was faster to write {place}");
                self.read(thing).await?;
            }
            Err(error) => return Err(certificate(self.managed.refusal("update", thing, &error))),
        }
        Ok(true)
    }

    async fn read(&mut self, thing: Thing) -> Result<(), Problem> {
        let read = secrets(&self.managed).get_opt(thing.name()).await;
        let secret = read.map_err(|error| certificate(self.managed.refusal("get", thing, &error)))?;
        self.hold(thing, secret.map(Box::new));
        Ok(())
    }

    /// Writes the bundle into both configurations, unless the Secret has changed: a replica that lags must not take back what
    /// another one wrote.
    async fn configure(&mut self) -> Result<bool, Problem> {
        let version = self.trust.version().map(str::to_owned);
        self.read(Thing::CaSecret).await?;
        if self.trust.version() != version.as_deref() {
            return Ok(true);
        }
        let Some(text) = self.trust.held.there().map(|trust| trust.text.clone()) else { return Ok(false) };
        let mutating = self.configure_one::<MutatingWebhookConfiguration>(Thing::Mutating, &self.mutating, &text).await;
        let validating =
            self.configure_one::<ValidatingWebhookConfiguration>(Thing::Validating, &self.validating, &text).await;
        let mut problem = None;
        for (held, written) in [(&mut self.mutating, mutating), (&mut self.validating, validating)] {
            match written {
                Ok(Some(written)) => *held = written,
                Ok(None) => {}
                Err(failure) => problem = Some(failure),
            }
        }
        problem.map_or(Ok(true), Err)
    }

    async fn configure_one<K>(
        &self,
        thing: Thing,
        held: &Held<Configuration>,
        text: &[u8],
    ) -> Result<Option<Held<Configuration>>, Problem>
    where
        K: Resource<DynamicType = ()> + Webhooks + Clone + Debug + DeserializeOwned,
    {
        let Some(before) = held.there().filter(|configuration| !configuration.says(text)) else { return Ok(None) };
        let api: Api<K> = Api::all(self.managed.client.clone());
        let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match api.patch(CONFIGURATIONS, &parameters, &Patch::Strategic(before.patch(text))).await {
            Ok(written) => {
                info!("wrote the CAs into the caBundle of {}", self.managed.place(thing));
                let Managed { namespace, service, .. } = &self.managed;
                Ok(Some(Held::There(Configuration::of(&written, namespace, service))))
            }
            // It has changed, and the watch will say how.
            Err(kube::Error::Api(status)) if is_outrun(status.code) => Ok(Some(Held::Unknown)),
            Err(error) => Err(Problem { part: CONFIGURED, text: self.managed.refusal("patch", thing, &error) }),
        }
    }
}
