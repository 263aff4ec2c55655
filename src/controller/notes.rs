//! What Events say.

use std::sync::Arc;

use super::events::Told;
use super::plan::Spec;
use super::pods::Seen;
use crate::budget::{Kept, Reason, Wanted};
use crate::cluster::Inside;
use crate::facts::{Budget, Limit, StatefulSet};
use crate::plain::plain;

/// An Event's `reason`: a state that may pass by itself.
pub(super) const STUCK: &str = "BudgetStuck";

/// An Event's `reason`: a state that may pass by itself.
pub(super) const HELD: &str = "BudgetHeld";

pub(super) fn written(reason: &'static str, action: &'static str, kept: &Kept) -> Told {
    let Kept { name, terms, .. } = kept;
    let note = match kept.limit {
        Limit::MinAvailable(amount) => format!(
            "PodDisruptionBudget {name} now has minAvailable {amount} over the StatefulSet's own pods, by their names, as other \
             pods have the same labels; that is maxUnavailable {}, as policy {} asks",
            terms.max_unavailable, terms.policy
        ),
        _ => format!(
            "PodDisruptionBudget {name} now has maxUnavailable {}, as policy {} asks",
            terms.max_unavailable, terms.policy
        ),
    };
    Told { reason, action, note, warns: false }
}

pub(super) fn corrected(budget: &Budget, spec: &Spec) -> Told {
    let name = &budget.name;
    let mut note = match (spec, budget.terminating) {
        (Spec::Same, _) => String::new(),
        (Spec::Kept(_), true) => {
            format!(
                "PodDisruptionBudget {name} is being deleted and says what it must say again; {}",
                finalizers(budget)
            )
        }
        (Spec::Empty, true) => {
            format!("PodDisruptionBudget {name} is being deleted and now selects no pods; {}", finalizers(budget))
        }
        (Spec::Kept(_), false) => format!("PodDisruptionBudget {name} says what it must say again"),
        (Spec::Empty, false) => format!("PodDisruptionBudget {name} now selects no pods"),
    };
    if budget.is_overloaded() {
        let divider = if note.is_empty() { "" } else { "; " };
        note = format!(
            "{note}{divider}PodDisruptionBudget {name} had {} bytes of labels, annotations, ownerReferences, finalizers and \
             managedFields, with which evictions can fail; Quorate removed them",
            budget.written.all()
        );
    }
    Told { reason: "BudgetCorrected", action: "Correct", note, warns: true }
}

/// What keeps a budget that is being deleted.
pub(super) fn held(budget: &Budget) -> Told {
    let note = format!(
        "PodDisruptionBudget {} can't be deleted: {}; Quorate makes a new one when it is gone",
        budget.name,
        finalizers(budget)
    );
    Told { reason: HELD, action: "Wait", note, warns: true }
}

fn finalizers(budget: &Budget) -> String {
    const MOST: usize = 3;
    let names: Vec<_> = budget.finalizers.iter().take(MOST).map(|name| plain(name).to_string()).collect();
    match (names.as_slice(), budget.finalizers.len().saturating_sub(MOST)) {
        ([], _) => "no finalizer holds it".to_owned(),
        (names, 0) => format!("metadata.finalizers hold it: {}", names.join(", ")),
        (names, more) => format!("metadata.finalizers hold it: {} and {more} more", names.join(", ")),
    }
}

/// The StatefulSets whose labels pods have that no StatefulSet owns.
pub(super) fn strangers(
    inside: &Inside,
    known: Option<&Seen>,
    wanted: &[Wanted],
) -> Vec<(Arc<StatefulSet>, Option<Told>)> {
    let Some(known) = known else { return Vec::new() };
    let told = |(statefulset, wanted): (&Arc<StatefulSet>, &Wanted)| {
        let Wanted::Budget(kept) = wanted else { return None };
        let strangers = known.strangers.get(&statefulset.metadata.name)?;
        let more = match strangers.count - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let note = format!(
            "StatefulSet {} selects pods that it does not own: {}{more}; PodDisruptionBudget {} names the StatefulSet's own \
             pods; change the labels of the others",
            statefulset.metadata.name,
            plain(&strangers.first),
            kept.name
        );
        let told = Told { reason: "PodsNotOwned", action: "Name", note, warns: true };
        Some((Arc::clone(statefulset), Some(told)))
    };
    inside.statefulsets.iter().zip(wanted).filter_map(told).collect()
}

pub(super) fn shared(reason: &Reason) -> Told {
    let warns = matches!(reason, Reason::TooMany { .. });
    let said = if warns { "BudgetImpossible" } else { "BudgetShared" };
    Told { reason: said, action: "Share", note: capitalised(reason), warns }
}

pub(super) fn withdrawn(name: &str, reason: &Reason) -> Told {
    let note = format!("Deleted PodDisruptionBudget {name}: {reason}");
    Told { reason: "BudgetWithdrawn", action: reason.name(), note, warns: false }
}

pub(super) fn taken(name: &str) -> Told {
    let note = format!(
        "There is a PodDisruptionBudget {name} that isn't Quorate's, so that the pods have no budget of Quorate's; \
         rename or delete it"
    );
    Told { reason: "BudgetNameTaken", action: "Create", note, warns: true }
}

pub(super) fn stuck(statefulset: &StatefulSet, by: &str) -> Told {
    let note = format!(
        "PodDisruptionBudget {by} says disruptionsAllowed: 0 though all {} pods are ready; Kubernetes counts anew when \
         the budget or one of its pods changes: kubectl annotate poddisruptionbudget {by} -n {} counted=again --overwrite",
        statefulset.replicas, statefulset.metadata.namespace
    );
    Told { reason: STUCK, action: "Wait", note, warns: true }
}

fn capitalised(reason: &Reason) -> String {
    let text = reason.to_string();
    format!("{}{}", text[..1].to_uppercase(), &text[1..])
}
