//! What a request is about: a StatefulSet itself, or something on which StatefulSets depend.

use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Webhook;
use super::decode::{Incoming, Operation, Written};
use super::failure::Failure;
use crate::budget::{Coverage, MOST_NEAR, Near, coverage, shares_pods};
use crate::cluster::Source;
use crate::facts::{
    self, Autoscaler, Budget, LONGEST_NODE_FIT, LONGEST_OF_A_BUDGET, LONGEST_SELECTOR, Metadata, Old, Service,
    StatefulSet, Surroundings, Way,
};
use crate::mutate::Injected;

/// So many StatefulSets that share labels with a new one are named.
const MOST_NEIGHBOURS: usize = 3;

/// What a request is about, as facts.
pub(super) enum Subject {
    StatefulSet {
        object: Arc<StatefulSet>,
        old: Option<Box<StatefulSet>>,
        spec_changed: bool,
        template_changed: bool,
    },
    Scale {
        name: String,
        replicas: i32,
    },
    Service {
        old: Option<Arc<Service>>,
        new: Option<Arc<Service>>,
    },
    Autoscaler {
        old: Option<Arc<Autoscaler>>,
        new: Option<Arc<Autoscaler>>,
    },
    Budget {
        old: Option<Arc<Budget>>,
        new: Arc<Budget>,
        /// The budgets of the namespace, sorted once for all the StatefulSets that this one selects (L141).
        near: OnceLock<Near>,
    },
}

impl Subject {
    /// What the request is about; `None` where Quorate has no say in it.
    ///
    /// An old object that can't be read frees nothing: the new one is judged as if it were created (L131).
    pub(super) fn of(webhook: Webhook, incoming: &Incoming<'_>) -> Result<Option<Self>, Failure> {
        let unreadable = match Self::read(incoming) {
            Err(failure @ Failure::Unreadable { .. }) => failure,
            other => return other,
        };
        let is_old_unreadable = || Self::unreadable(&incoming.creating(incoming.old_object));
        match incoming.operation {
            Operation::Delete => Ok(None),
            Operation::Update => {
                let (new, old) = (Written::decode(object(incoming)?), Written::decode(old(incoming)?));
                let (new, old) = (new.map_err(undecodable)?, old.map_err(undecodable)?);
                let marks = old.marks();
                let stays = !new.spec_differs(&old) && marks.is_some() && new.marks() == marks;
                let goes = marks.is_some_and(|marks| marks.deletion_timestamp.is_some());
                // Nothing that runs changes: an injection would be an unrequested rollout.
                let is_same_template = || !new.template_differs(&old, &Injected::default());
                if goes || stays && is_old_unreadable() || webhook == Webhook::Mutate && is_same_template() {
                    return Ok(None);
                }
                if is_old_unreadable() { Self::read(&incoming.creating(incoming.object)) } else { Err(unreadable) }
            }
            _ => Err(unreadable),
        }
    }

    fn unreadable(incoming: &Incoming<'_>) -> bool {
        matches!(Self::read(incoming), Err(Failure::Unreadable { .. }))
    }

    fn read(incoming: &Incoming<'_>) -> Result<Option<Self>, Failure> {
        let subresource = incoming.sub_resource.as_deref().unwrap_or_default();
        let kind = (&*incoming.kind.group, &*incoming.kind.kind, subresource);
        let writes = matches!(incoming.operation, Operation::Create | Operation::Update);
        Ok(match kind {
            ("apps", "StatefulSet", "") if writes => Some(Self::statefulset(incoming)?),
            ("autoscaling", "Scale", "scale") if writes && incoming.resource.is("apps", "statefulsets") => {
                Some(Self::scale(incoming)?)
            }
            ("", "Service", "") if incoming.operation == Operation::Delete => {
                Some(Self::Service { old: Some(Arc::new(decode_in(incoming, old(incoming)?)?)), new: None })
            }
            ("", "Service", "") if writes => {
                let (old, new) = decode_both(incoming)?;
                Some(Self::Service { old: old.map(Arc::new), new: Some(Arc::new(new)) })
            }
            ("autoscaling", "HorizontalPodAutoscaler", "") if incoming.operation == Operation::Delete => {
                Some(Self::Autoscaler { old: Some(Arc::new(decode_in(incoming, old(incoming)?)?)), new: None })
            }
            ("autoscaling", "HorizontalPodAutoscaler", "") if writes => {
                let (old, new) = decode_both(incoming)?;
                Some(Self::Autoscaler { old: old.map(Arc::new), new: Some(Arc::new(new)) })
            }
            ("policy", "PodDisruptionBudget", "") if writes => {
                let (old, new): (Option<Budget>, Budget) = decode_both(incoming)?;
                if old.as_ref().is_some_and(|old| old.says_the_same_as(&new)) {
                    return Ok(None);
                }
                Some(Self::Budget { old: old.map(Arc::new), new: Arc::new(new), near: OnceLock::new() })
            }
            _ => None,
        })
    }

    fn statefulset(incoming: &Incoming<'_>) -> Result<Self, Failure> {
        let (before, object): (Option<StatefulSet>, StatefulSet) = decode_both(incoming)?;
        let (mut spec_changed, mut template_changed) = (true, true);
        if let (Some(before), Some(new), Some(old)) = (&before, incoming.object, incoming.old_object) {
            let (new, old) = (Written::decode(new), Written::decode(old));
            let (new, old) = (new.map_err(undecodable)?, old.map_err(undecodable)?);
            let ours = Injected::recorded(&before.metadata);
            (spec_changed, template_changed) = (new.spec_differs(&old), new.template_differs(&old, &ours));
        }
        Ok(Self::StatefulSet { object: Arc::new(object), old: before.map(Box::new), spec_changed, template_changed })
    }

    fn scale(incoming: &Incoming<'_>) -> Result<Self, Failure> {
        let scale: Scale = decode(object(incoming)?)?;
        // Scaling to 0 arrives with an empty spec: absent replicas are 0 here, and 1 in a StatefulSet (L11).
        let replicas = scale.spec.unwrap_or_default().replicas.unwrap_or(0);
        Ok(Self::Scale { name: incoming.name.clone().into_owned(), replicas })
    }

    /// By which way the request bears on StatefulSets.
    pub(super) fn way(&self) -> Way<'_> {
        match self {
            Self::StatefulSet { .. } => Way::StatefulSet,
            Self::Scale { replicas, .. } => Way::Scale { replicas: *replicas },
            Self::Service { old, new } => Way::Service { old: old.as_ref(), new: new.as_ref() },
            Self::Autoscaler { old, new } => Way::Autoscaler { old: old.as_ref(), new: new.as_ref() },
            Self::Budget { old, new, .. } => Way::Budget { old: old.as_ref(), new },
        }
    }

    /// The old StatefulSet, where the request updates one.
    pub(super) fn old(&self) -> Option<Old<'_>> {
        match self {
            Self::StatefulSet { old: Some(old), spec_changed, template_changed, .. } => {
                Some(Old { object: old, spec_changed: *spec_changed, template_changed: *template_changed })
            }
            _ => None,
        }
    }

    /// The StatefulSets that the request bears on, as far as is known, and whether they are all to be read live first.
    pub(super) fn statefulsets(&self, namespace: &str, source: &Source) -> (Vec<Arc<StatefulSet>>, bool) {
        match self {
            Self::StatefulSet { object, .. } => (vec![Arc::clone(object)], false),
            Self::Scale { name, .. } => match source.statefulset(namespace, name) {
                Some(statefulset) => (vec![statefulset], false),
                None => (vec![Arc::new(named(namespace, name))], true),
            },
            Self::Service { .. } | Self::Autoscaler { .. } | Self::Budget { .. } => {
                let all = source.statefulsets(namespace).into_iter();
                (all.filter(|each| self.bears_on(each)).collect(), false)
            }
        }
    }

    /// Whether the request bears on a StatefulSet of its namespace. What is read live may be another one by the same name.
    pub(super) fn bears_on(&self, statefulset: &StatefulSet) -> bool {
        match self {
            Self::StatefulSet { .. } | Self::Scale { .. } => true,
            Self::Service { old, new } => {
                let name = new.as_ref().or(old.as_ref()).map(|service| service.name.as_str());
                statefulset.service_name.as_deref() == name
            }
            // It bears on what it scales and on what it scaled before.
            Self::Autoscaler { old, new } => old.iter().chain(new).any(|each| each.targets(statefulset)),
            Self::Budget { new, .. } => coverage(new.selector.as_ref(), statefulset) != Coverage::Disjoint,
        }
    }

    /// Leaves of a StatefulSet's surroundings the budgets that bear on it, where the request may be judged for many
    /// StatefulSets; adds the StatefulSets that share its labels, where it is created.
    pub(super) fn narrow(&self, surroundings: &mut Surroundings, statefulset: &StatefulSet, source: &Source) {
        match self {
            Self::StatefulSet { object, old: None, .. } => {
                let others = source.statefulsets(&statefulset.metadata.namespace).into_iter();
                let sharing = others.filter(|other| shares_pods(object, other)).take(MOST_NEIGHBOURS);
                surroundings.neighbours = sharing.map(|other| other.metadata.name.clone()).collect();
            }
            Self::Budget { new, near, .. } => {
                // As they were when the first StatefulSet was judged: others may write budgets all the time.
                let near = near.get_or_init(|| Near::of(&surroundings.budgets));
                // One more, for the one that changes is not one of the others.
                surroundings.budgets = near.to(statefulset, MOST_NEAR + 1, Some(&new.name));
            }
            _ => {}
        }
    }
}

/// A StatefulSet of which nothing is known but its name.
fn named(namespace: &str, name: &str) -> StatefulSet {
    let metadata = Metadata { namespace: namespace.to_owned(), name: name.to_owned(), ..Metadata::default() };
    StatefulSet { metadata, ..StatefulSet::default() }
}

#[derive(Deserialize)]
struct Scale {
    spec: Option<ScaleSpec>,
}

#[derive(Default, Deserialize)]
struct ScaleSpec {
    replicas: Option<i32>,
}

/// How much of something there is to be compared.
pub(super) struct Effort {
    pub(super) field: &'static str,
    /// What holds the requirements.
    pub(super) holder: &'static str,
    pub(super) fix: &'static str,
    /// How many requirements and values there are.
    pub(super) length: usize,
    /// How many there may be.
    pub(super) most: usize,
}

impl Effort {
    fn is_too_much(&self) -> bool {
        self.length > self.most
    }

    fn of_selector(length: usize, most: usize) -> Self {
        Self { field: "spec.selector", holder: "a selector", fix: "select the pods by fewer labels", length, most }
    }
}

/// Facts that know which namespace they are of, and whether their object is being deleted.
trait Stored {
    fn namespace(&mut self) -> &mut String;
    fn terminating(&mut self) -> &mut bool;
    /// What of it is too much to be compared again and again: with all StatefulSets of the namespace, or with all Nodes.
    fn excess(&self) -> Option<Effort>;
}

impl Stored for StatefulSet {
    fn namespace(&mut self) -> &mut String {
        &mut self.metadata.namespace
    }

    fn terminating(&mut self) -> &mut bool {
        &mut self.metadata.terminating
    }

    fn excess(&self) -> Option<Effort> {
        let efforts = [
            Effort::of_selector(self.selector.length(), LONGEST_SELECTOR),
            Effort {
                field: "spec.template.spec",
                holder: "nodeSelector, required node affinity and tolerations",
                fix: "select the Nodes by fewer labels",
                length: self.template.node_fit.effort(),
                most: LONGEST_NODE_FIT,
            },
        ];
        efforts.into_iter().find(Effort::is_too_much)
    }
}

macro_rules! stored {
    ($($facts:ty: |$it:ident| $selector:expr),*) => {
        $(impl Stored for $facts {
            fn namespace(&mut self) -> &mut String {
                &mut self.namespace
            }

            fn terminating(&mut self) -> &mut bool {
                &mut self.terminating
            }

            fn excess(&self) -> Option<Effort> {
                let $it = self;
                $selector.map(|(length, most)| Effort::of_selector(length, most)).filter(Effort::is_too_much)
            }
        })*
    };
}

stored! {
    Service: |it| Some((it.selector.len(), LONGEST_SELECTOR)),
    Autoscaler: |_it| None::<(usize, usize)>,
    Budget: |it| it.selector.as_ref().map(|selector| (selector.length(), LONGEST_OF_A_BUDGET))
}

/// The facts of an object; in the namespace of the request, where it names none itself.
fn decode_in<F: Stored + DeserializeOwned>(incoming: &Incoming<'_>, written: &RawValue) -> Result<F, Failure> {
    let mut facts: F = decode(written)?;
    if let Some(effort) = facts.excess() {
        return Err(Failure::effort(&effort));
    }
    if facts.namespace().is_empty() {
        *facts.namespace() = incoming.namespace.clone().into_owned();
    }
    Ok(facts)
}

/// The old object, where there is one, and the new one. What the requester writes as `deletionTimestamp` says nothing: the API
/// server drops it from an object that is created, though only after mutation, and lets nobody set it on an update (L143).
fn decode_both<F: Stored + DeserializeOwned>(incoming: &Incoming<'_>) -> Result<(Option<F>, F), Failure> {
    let mut before: Option<F> = match incoming.operation {
        Operation::Update => Some(decode_in(incoming, old(incoming)?)?),
        _ => None,
    };
    let mut after: F = decode_in(incoming, object(incoming)?)?;
    *after.terminating() = before.as_mut().is_some_and(|before| *before.terminating());
    Ok((before, after))
}

fn decode<F: DeserializeOwned>(written: &RawValue) -> Result<F, Failure> {
    facts::decode(written.get()).map_err(Failure::of_decoding)
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands it over")]
fn undecodable(error: serde_json::Error) -> Failure {
    Failure::Undecodable(error.to_string())
}

fn object<'a>(incoming: &Incoming<'a>) -> Result<&'a RawValue, Failure> {
    incoming.object.ok_or_else(|| Failure::Undecodable("there is no object".to_owned()))
}

fn old<'a>(incoming: &Incoming<'a>) -> Result<&'a RawValue, Failure> {
    incoming.old_object.ok_or_else(|| Failure::Undecodable("there is no oldObject".to_owned()))
}
