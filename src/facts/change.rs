//! A request that bears on a StatefulSet, as facts.
//!
//! Every way in leads here: the StatefulSet itself is written, it is scaled, or something around it changes. What it is like
//! before and after is then the same two [`Situation`]s for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::{Autoscaler, Budget, ByName, Service, StatefulSet, Surroundings};

/// A StatefulSet and what is around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Situation<'a> {
    /// The StatefulSet.
    pub statefulset: Cow<'a, StatefulSet>,
    /// What is around it.
    pub surroundings: Surroundings,
}

/// By which way a request bears on a StatefulSet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way<'a> {
    /// It is created or updated.
    StatefulSet,
    /// Its `scale` subresource is updated: by `kubectl scale`, by an autoscaler.
    Scale {
        /// The replicas that are asked for.
        replicas: i32,
    },
    /// The Service that it names is created, updated, or (with `new` absent) deleted.
    Service {
        /// As it was.
        old: Option<&'a Arc<Service>>,
        /// As it shall be.
        new: Option<&'a Arc<Service>>,
    },
    /// An autoscaler that targets it, before or afterwards, is created, updated, or (with `new` absent) deleted.
    Autoscaler {
        /// As it was.
        old: Option<&'a Arc<Autoscaler>>,
        /// As it is to be.
        new: Option<&'a Arc<Autoscaler>>,
    },
    /// A budget in its namespace is created or updated.
    Budget {
        /// As it was.
        old: Option<&'a Arc<Budget>>,
        /// As it shall be.
        new: &'a Arc<Budget>,
    },
}

impl Way<'_> {
    /// Whether the request takes away what it is about, and may be the last step of something that was decided before.
    #[must_use]
    pub fn removes(&self) -> bool {
        matches!(self, Self::Service { new: None, .. } | Self::Autoscaler { new: None, .. })
    }

    /// The autoscaler that no longer scales the StatefulSet once the request is granted: it is deleted, or targets something
    /// else from now on (L135).
    #[must_use]
    pub fn released_by(&self, statefulset: &StatefulSet) -> Option<&Autoscaler> {
        let Self::Autoscaler { old: Some(old), new } = self else { return None };
        let stays = new.is_some_and(|new| new.targets(statefulset));
        (old.targets(statefulset) && !stays).then_some(&**old)
    }
}

/// A request that bears on a StatefulSet.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// By which way.
    pub way: Way<'a>,
    /// The StatefulSet as it shall be; where the request is not about it, as it is.
    pub object: &'a StatefulSet,
    /// The StatefulSet as it was, where the request updates it.
    pub old: Option<Old<'a>>,
    /// Whether nothing will be stored. A dry run can't see its siblings (L91).
    pub dry_run: bool,
    /// Who asks; `None` where nobody does, as in an audit or over files.
    pub requester: Option<Requester<'a>>,
}

/// A StatefulSet before an update of it, and what the update changes.
#[derive(Debug, Clone, Copy)]
pub struct Old<'a> {
    /// The StatefulSet.
    pub object: &'a StatefulSet,
    /// Whether `spec` changes; where it doesn't, the update is about metadata only.
    pub spec_changed: bool,
    /// Whether `spec.template` changes in more than what is ours, so that a rollout follows anyway.
    pub template_changed: bool,
}

/// Who sends a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requester<'a> {
    /// The user's name.
    pub username: &'a str,
    /// The user's groups.
    pub groups: &'a [String],
    /// Whether this is a ServiceAccount of another namespace that may update the status of the custom resource that controls
    /// the StatefulSet, and the cluster serves that kind (L133).
    pub runs_owner: bool,
}

impl Requester<'_> {
    /// The namespace of the ServiceAccount that this is: a program in the cluster rather than a person.
    #[must_use]
    pub fn account_namespace(&self) -> Option<&str> {
        self.username.strip_prefix("system:serviceaccount:")?.split_once(':').map(|(namespace, _)| namespace)
    }

    /// Whether this is the namespace controller or the garbage collector, which finish what was decided before (L98).
    #[must_use]
    pub fn cleans_up(&self) -> bool {
        self.is_controller(&["namespace-controller", "generic-garbage-collector"])
    }

    /// Whether this is an autoscaler: the controller of every HorizontalPodAutoscaler, or KEDA's operator, which wakes from zero.
    #[must_use]
    pub fn scales(&self) -> bool {
        self.is_controller(&["horizontal-pod-autoscaler"])
            || self.username == "system:serviceaccount:keda:keda-operator"
    }

    /// Whether this is one of these controllers of Kubernetes. They share one user where each has no account of its own.
    fn is_controller(&self, names: &[&str]) -> bool {
        let account = self.username.strip_prefix("system:serviceaccount:kube-system:");
        account.is_some_and(|name| names.contains(&name)) || self.username == "system:kube-controller-manager"
    }
}

impl<'a> Change<'a> {
    /// Whether the request is about something that is being deleted already, which nothing may keep from its end (L22).
    #[must_use]
    pub fn is_about_the_terminating(&self) -> bool {
        let way = match self.way {
            Way::Service { old: Some(old), .. } => old.terminating,
            // It scales until it is gone, which a finalizer may prevent.
            Way::Autoscaler { old: Some(old), new } => old.terminating && new.is_none_or(|new| old.scales_as(new)),
            _ => false,
        };
        way || self.object.metadata.terminating
    }

    /// The StatefulSet and its surroundings once the request is granted, where `around` is what surrounds it now.
    #[must_use]
    pub fn after(&self, around: &Surroundings) -> Situation<'a> {
        let mut statefulset = Cow::Borrowed(self.object);
        let mut surroundings = around.clone();
        match self.way {
            Way::StatefulSet => {}
            Way::Scale { replicas } => {
                statefulset.to_mut().replicas = replicas;
                // Under an autoscaler, a scale request is judged by the number it asks for.
                surroundings.autoscalers = Arc::default();
            }
            Way::Service { new, .. } => surroundings.service = new.cloned(),
            Way::Autoscaler { old, new } => {
                if let Some(name) = name_of(old, new) {
                    put(&mut surroundings.autoscalers, name, new);
                }
            }
            Way::Budget { new, .. } => put(&mut surroundings.budgets, &new.name, Some(new)),
        }
        Situation { statefulset, surroundings }
    }

    /// The StatefulSet and its surroundings as they are; `None` where the request creates the StatefulSet.
    #[must_use]
    pub fn before(&self, around: &Surroundings) -> Option<Situation<'a>> {
        let statefulset = match (self.way, self.old) {
            (Way::StatefulSet, None) => return None,
            (Way::StatefulSet, Some(old)) => old.object,
            _ => self.object,
        };
        let mut surroundings = around.clone();
        match self.way {
            Way::StatefulSet => {}
            Way::Scale { .. } => surroundings.autoscalers = Arc::default(),
            Way::Service { old, .. } => surroundings.service = old.cloned(),
            Way::Autoscaler { old, new } => {
                if let Some(name) = name_of(old, new) {
                    put(&mut surroundings.autoscalers, name, old);
                }
            }
            Way::Budget { old, new } => put(&mut surroundings.budgets, &new.name, old),
        }
        Some(Situation { statefulset: Cow::Borrowed(statefulset), surroundings })
    }
}

fn name_of<'a>(old: Option<&'a Arc<Autoscaler>>, new: Option<&'a Arc<Autoscaler>>) -> Option<&'a str> {
    new.or(old).map(|autoscaler| autoscaler.name.as_str())
}

/// Puts an object, or none, in the place of the one of this name.
fn put<F>(all: &mut ByName<F>, name: &str, object: Option<&Arc<F>>) {
    match object {
        Some(object) => drop(Arc::make_mut(all).insert(name.to_owned(), Arc::clone(object))),
        None => drop(Arc::make_mut(all).remove(name)),
    }
}
