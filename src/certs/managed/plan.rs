//! What is next, from what there is. Pure: no client, no clock.

use std::time::SystemTime;

use rustls::pki_types::CertificateDer;

use super::super::bundle::Bundle;
use super::super::pair::Pair;
use super::configurations::Configuration;
use super::secrets::{Leaf, Trust, Unusable};

/// What is known of a thing in the cluster.
pub(super) enum Held<T> {
    /// Nothing, yet or any more.
    Unknown,
    /// That it is not there.
    Missing,
    /// What it is.
    There(T),
}

impl<T> Held<T> {
    pub(super) fn there(&self) -> Option<&T> {
        if let Self::There(value) = self { Some(value) } else { None }
    }
}

/// What there is.
pub(super) struct View<'v> {
    /// Secret `quorate-ca`.
    pub(super) trust: &'v Held<Trust>,
    /// Secret `quorate-tls`.
    pub(super) leaf: &'v Held<Leaf>,
    /// Both webhook configurations.
    pub(super) configurations: [&'v Held<Configuration>; 2],
    /// What this replica serves, and who signed it.
    pub(super) served: Option<(&'v Pair, &'v CertificateDer<'static>)>,
    /// The present CA has been in the configurations, such as are there, for long enough.
    pub(super) settled: bool,
    /// The name that clients verify.
    pub(super) name: &'v str,
    pub(super) now: SystemTime,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a CA, which comes before these in the bundle.
    MakeAuthority(Reason, Bundle),
    /// Write the bundle into Secret `quorate-ca`.
    WriteBundle(Bundle),
    /// Have the present CA sign a serving certificate.
    Issue(Reason),
    /// Write the bundle, as it is in Secret `quorate-ca`, into the configurations.
    Configure,
    /// Nothing.
    Rest,
}

/// Why a certificate is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// There was none.
    First,
    /// It is time.
    Renewal,
    /// The serving certificate is a former CA's.
    NewAuthority,
    /// What was there can't be used.
    Unusable(String),
}

impl From<&Unusable> for Reason {
    fn from(unusable: &Unusable) -> Self {
        match unusable {
            Unusable::Empty => Self::First,
            Unusable::Bad(reason) => Self::Unusable(reason.clone()),
        }
    }
}

/// What to do next. Until the API server trusts the present CA, nothing that this one signed is worth serving; unless nothing
/// else can be.
pub(super) fn next(view: &View<'_>) -> Step {
    let Held::There(trust) = view.trust else { return Step::Rest };
    let bundle = view.bundle();
    let make = |reason| Step::MakeAuthority(reason, bundle.clone());
    let authority = match &trust.authority {
        Ok(authority) if !authority.validity().has_ended(view.now) => authority,
        Ok(_) => return make(Reason::Unusable("it has expired".to_owned())),
        Err(unusable) => return make(unusable.into()),
    };
    let is_trusted = || view.configurations().all(|configuration| configuration.trusts(authority.certificate()));
    let leaf = view.leaf.there().map(|leaf| (leaf, view.signer(leaf, &bundle)));
    if let Some((_, Err(reason))) = &leaf
        && (view.settled || is_trusted() && !view.serves_well(&bundle))
    {
        return Step::Issue(reason.clone());
    }
    if authority.validity().is_due(view.now) {
        return make(Reason::Renewal);
    }
    if bundle.pem().as_bytes() != trust.text {
        return Step::WriteBundle(bundle);
    }
    if !view.configurations().all(|configuration| configuration.says(&trust.text)) {
        return Step::Configure;
    }
    match leaf {
        Some((leaf, Ok(signer))) if view.settled => match &leaf.pair {
            _ if signer != authority.certificate() => Step::Issue(Reason::NewAuthority),
            Ok(pair) if pair.validity().is_due(view.now) => Step::Issue(Reason::Renewal),
            _ => Step::Rest,
        },
        _ => Step::Rest,
    }
}

/// What this replica shall serve instead of what it serves, and who signed that: what Secret `quorate-tls` holds, as soon as
/// clients accept it. What is there doesn't make way for anything worse.
pub(super) fn take_up<'v>(view: &View<'v>) -> Option<(&'v Pair, CertificateDer<'static>)> {
    let leaf = view.leaf.there()?;
    let pair = leaf.pair.as_ref().ok()?;
    let authority = view.trust.there()?.authority.as_ref().ok()?;
    let bundle = view.bundle();
    let signer = view.signer(leaf, &bundle).ok()?;
    let is_known = match view.served {
        Some((served, _)) if served.chain() == pair.chain() => return None,
        Some((_, former)) => former == signer || (view.settled && signer == authority.certificate()),
        None => true,
    };
    (is_known || !view.serves_well(&bundle)).then(|| (pair, signer.clone()))
}

impl<'v> View<'v> {
    /// What clients shall trust: the present CA, what they were told before, and, should the Secret have lost it, who signed
    /// what is served. The order is the same for every replica, so that none undoes what another wrote.
    fn bundle(&self) -> Bundle {
        let Some(trust) = self.trust.there() else { return Bundle::default() };
        let present = trust.authority.as_ref().ok().map(|authority| authority.certificate().clone());
        let told = trust.bundle();
        let of_leaf = self.leaf.there().and_then(|leaf| self.signer(leaf, &leaf.authority).ok());
        let of_served = self.served.filter(|(pair, _)| !pair.validity().has_ended(self.now)).map(|(_, signer)| signer);
        let all: Bundle = present.into_iter().chain(told.iter().chain(of_leaf).chain(of_served).cloned()).collect();
        all.at(self.now)
    }

    /// Which CA of the bundle makes clients accept what Secret `quorate-tls` holds; else, why they don't.
    fn signer<'b>(&self, leaf: &Leaf, bundle: &'b Bundle) -> Result<&'b CertificateDer<'static>, Reason> {
        let pair = leaf.pair.as_ref().map_err(Reason::from)?;
        if !pair.validity().holds(self.now) {
            return Err(Reason::Unusable("it has expired, or is not valid yet".to_owned()));
        }
        let refused = || format!("it is not for {}, or not by a CA of Secret {}", self.name, super::CA_SECRET);
        bundle.signer(pair.chain(), self.name, self.now).ok_or_else(|| Reason::Unusable(refused()))
    }

    /// Whether what this replica serves is good as it is.
    fn serves_well(&self, bundle: &Bundle) -> bool {
        self.served.is_some_and(|(pair, _)| bundle.signer(pair.chain(), self.name, self.now).is_some())
    }

    fn configurations(&self) -> impl Iterator<Item = &'v Configuration> {
        self.configurations.into_iter().filter_map(Held::there)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First => formatter.write_str("there was none"),
            Self::Renewal => formatter.write_str("two thirds of its time have passed"),
            Self::NewAuthority => formatter.write_str("there is a new CA"),
            Self::Unusable(reason) => write!(formatter, "what was there can't be used: {reason}"),
        }
    }
}

#[cfg(test)]
mod tests;
