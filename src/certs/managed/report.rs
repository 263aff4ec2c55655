//! Says how things are, in `/readyz?verbose`, the metrics and the log.

use std::time::SystemTime;

use tracing::warn;

use super::keep::{FORGET, Keeper};
use super::plan::Held;
use super::watch::Thing;
use crate::telemetry::State;

/// The part of `/readyz?verbose` that is about the Secrets and what is served.
pub(super) const CERTIFICATE: &str = "certificate";

/// The part that is about `caBundle`.
pub(super) const CONFIGURED: &str = "webhook-configurations";

/// What is wrong, and with which part of `/readyz?verbose`.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) part: &'static str,
    pub(super) text: String,
}

/// Something is wrong with the Secrets.
pub(super) fn certificate(text: String) -> Problem {
    Problem { part: CERTIFICATE, text }
}

impl Keeper {
    /// Says how things are: each problem once in the log, and all the time in `/readyz?verbose`.
    pub(super) fn report(&mut self, failure: Option<&Problem>) {
        for failure in &mut self.failures {
            failure.take_if(|(_, since)| since.elapsed() > FORGET);
        }
        let problem = |part: &'static str, things: [(Thing, bool); 2]| {
            let of_step = failure.filter(|it| it.part == part).map(|it| it.text.clone());
            let of_thing = |(thing, missing): (Thing, bool)| {
                let failed = self.failures[thing as usize].as_ref().map(|(text, _)| text.clone());
                failed.or_else(|| missing.then(|| self.managed.remedy(thing)))
            };
            things.into_iter().find_map(of_thing).or(of_step)
        };
        let (trust_missing, leaf_missing) =
            (matches!(self.trust.held, Held::Missing), matches!(self.leaf.held, Held::Missing));
        let of_secrets = problem(CERTIFICATE, [(Thing::CaSecret, trust_missing), (Thing::TlsSecret, leaf_missing)]);
        // Webhook configurations come last in an installation: that they are missing is no problem.
        let of_configurations = problem(CONFIGURED, [(Thing::Mutating, false), (Thing::Validating, false)]);

        let pair = self.serving.pair();
        let objection = pair.as_ref().and_then(|pair| pair.objection(SystemTime::now())).map(str::to_owned);
        let state = match (of_secrets.clone().or(objection), &pair) {
            (problem, None) => State::NotReady(problem.unwrap_or_else(|| "there is none yet".to_owned())),
            (Some(problem), Some(_)) => State::Degraded(problem),
            (None, Some(_)) => State::Ok,
        };
        self.health.set(CERTIFICATE, state);
        self.health.set(CONFIGURED, of_configurations.clone().map_or(State::Ok, State::Degraded));
        if let Some(pair) = pair {
            self.metrics.certificate_expires(pair.ends());
        }
        if let Some(Ok(authority)) = self.trust.held.there().map(|trust| &trust.authority) {
            self.metrics.authority_expires(authority.validity().ends);
        }
        let wrong = of_secrets.or(of_configurations);
        if let Some(wrong) = wrong.as_ref().filter(|wrong| self.said.as_ref() != Some(wrong)) {
            warn!("{wrong}");
        }
        self.said = wrong;
    }
}
