//! The real pods: labels that somebody gave a pod by hand, no template tells.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::cluster::Inside;
use crate::facts::{LabelSelector, Labels};

/// Budgets of somebody else that select real pods of StatefulSets whose templates don't tell: by the StatefulSet's name.
pub(super) type Overlaps = HashMap<String, Overlap>;

/// One of them, as it was when the pods were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Overlap {
    /// The budget's name.
    pub(super) by: String,
    selector: LabelSelector,
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

/// Looks at the namespace's pods, where there is any budget but ours; of each only its metadata.
pub(super) async fn overlaps(client: Client, inside: &Inside) -> kube::Result<Overlaps> {
    let theirs: Vec<_> = inside.budgets.iter().filter(|budget| !budget.ours && !budget.orphaned).collect();
    if theirs.is_empty() || inside.statefulsets.is_empty() {
        return Ok(Overlaps::new());
    }
    let pods: Api<Pod> = Api::namespaced(client, &inside.namespace.name);
    let pods = pods.list_metadata(&ListParams::default()).await?;
    let labels: Vec<Labels> = pods.items.into_iter().filter_map(|pod| pod.metadata.labels).collect();
    let mut found = Overlaps::new();
    for statefulset in &inside.statefulsets {
        let own: Vec<_> = labels.iter().filter(|labels| statefulset.selector.matches(labels)).collect();
        let overlapping = theirs.iter().find_map(|budget| {
            let selector = budget.selector.as_ref()?;
            let selects = own.iter().any(|labels| selector.matches(labels));
            selects.then(|| Overlap { by: budget.name.clone(), selector: selector.clone() })
        });
        if let Some(overlap) = overlapping {
            found.insert(statefulset.metadata.name.clone(), overlap);
        }
    }
    Ok(found)
}
