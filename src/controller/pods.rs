//! The real pods: labels that somebody gave a pod by hand, and who owns it, no template tells.

use std::collections::HashMap;
use std::time::Duration;

use crate::budget::BySelector;
use crate::cluster::{Cluster, Inside, ReadError};
use crate::facts::{LabelSelector, Metadata};

/// How long a look may take: other namespaces wait, and pods may be as long and as many as somebody makes them.
const DEADLINE: Duration = Duration::from_secs(10);

/// How many pods of a namespace are looked at.
const MOST: usize = 20_000;

/// What a look at a namespace's pods has shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Budgets of somebody else that select real pods of StatefulSets whose templates don't tell: by the StatefulSet's name.
    pub(super) overlaps: HashMap<String, Overlap>,
    /// Pods that have a StatefulSet's labels and that no StatefulSet owns: by the StatefulSet's name.
    pub(super) strangers: HashMap<String, Strangers>,
}

/// A budget of somebody else, as it was when the pods were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The budget's name.
    pub(super) by: String,
    selector: LabelSelector,
}

/// Pods that no StatefulSet owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strangers {
    /// The first of them, and what owns it.
    pub(super) first: String,
    /// How many there are.
    pub(super) count: usize,
}

impl Overlap {
    /// Whether the budget is still there with that selector.
    pub(super) fn holds(&self, inside: &Inside) -> bool {
        inside
            .budgets
            .iter()
            .any(|budget| budget.name == self.by && !budget.ours && budget.selector.as_ref() == Some(&self.selector))
    }
}

/// Looks at the namespace's pods; of each only its metadata. The cost goes by the number of pods: each is compared with what
/// selects a label that it has.
pub(super) async fn look(cluster: &Cluster, inside: &Inside) -> Result<Seen, ReadError> {
    let mut seen = Seen::default();
    if inside.statefulsets.is_empty() {
        return Ok(seen);
    }
    let uids: HashMap<&str, usize> =
        inside.statefulsets.iter().enumerate().map(|(index, it)| (it.metadata.uid.as_str(), index)).collect();
    let mut selecting = BySelector::default();
    for (index, statefulset) in inside.statefulsets.iter().enumerate() {
        selecting.insert(&statefulset.selector, index);
    }
    let mut theirs = BySelector::default();
    for budget in inside.budgets.iter().filter(|budget| !budget.is_quorates()) {
        if let Some(selector) = &budget.selector {
            theirs.insert(selector, (&budget.name, selector));
        }
    }
    let each = |pod: Metadata| {
        let owner = pod.controller.as_ref().and_then(|owner| uids.get(owner.uid.as_str()));
        if let Some(&index) = owner {
            let name = &inside.statefulsets[index].metadata.name;
            if !seen.overlaps.contains_key(name)
                && let Some((by, selector)) =
                    theirs.for_labels(&pod.labels).find(|(_, selector)| selector.matches(&pod.labels))
            {
                let overlap = Overlap { by: (*by).clone(), selector: (*selector).clone() };
                seen.overlaps.insert(name.clone(), overlap);
            }
            return;
        }
        for statefulset in selecting.for_labels(&pod.labels).map(|index| &inside.statefulsets[*index]) {
            if statefulset.selector.matches(&pod.labels) {
                let strangers = seen.strangers.entry(statefulset.metadata.name.clone());
                strangers.or_insert_with(|| Strangers { first: named(&pod), count: 0 }).count += 1;
            }
        }
    };
    let all = cluster.each_pod(&inside.namespace.name, MOST, each);
    tokio::time::timeout(DEADLINE, all).await.map_err(|_| ReadError::Deadline)??;
    Ok(seen)
}

/// The pod's name, and what controls it.
fn named(pod: &Metadata) -> String {
    match &pod.controller {
        Some(owner) => format!("Pod {} of {} {}", pod.name, owner.kind, owner.name),
        None => format!("Pod {}", pod.name),
    }
}
