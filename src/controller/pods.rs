//! The real pods: labels that somebody gave a pod by hand, and who owns it, no template tells.

use std::collections::HashMap;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ListParams;
use kube::{Api, Client};

use crate::budget::BySelector;
use crate::cluster::Inside;
use crate::facts::{LabelSelector, Labels};

/// How many pods one answer holds: of each, the metadata may be as large as somebody makes it.
const PAGE: u32 = 100;

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
pub(super) async fn look(client: Client, inside: &Inside) -> kube::Result<Seen> {
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
    for pod in list(client, &inside.namespace.name).await? {
        if let Some(&index) = uids.get(pod.owner_uid.as_str()) {
            let name = &inside.statefulsets[index].metadata.name;
            if !seen.overlaps.contains_key(name)
                && let Some((by, selector)) =
                    theirs.for_labels(&pod.labels).find(|(_, selector)| selector.matches(&pod.labels))
            {
                let overlap = Overlap { by: (*by).clone(), selector: (*selector).clone() };
                seen.overlaps.insert(name.clone(), overlap);
            }
            continue;
        }
        for statefulset in selecting.for_labels(&pod.labels).map(|index| &inside.statefulsets[*index]) {
            if statefulset.selector.matches(&pod.labels) {
                let strangers = seen.strangers.entry(statefulset.metadata.name.clone());
                strangers.or_insert_with(|| Strangers { first: pod.named(), count: 0 }).count += 1;
            }
        }
    }
    Ok(seen)
}

/// What is kept of a pod.
struct Found {
    name: String,
    labels: Labels,
    owner_uid: String,
    /// Kind and name of what controls it.
    owner: Option<String>,
}

impl Found {
    fn named(&self) -> String {
        match &self.owner {
            Some(owner) => format!("Pod {} of {owner}", self.name),
            None => format!("Pod {}", self.name),
        }
    }
}

impl From<ObjectMeta> for Found {
    fn from(metadata: ObjectMeta) -> Self {
        let owners = metadata.owner_references.unwrap_or_default();
        let controller = owners.into_iter().find(|owner| owner.controller == Some(true));
        let owner = controller.as_ref().map(|owner| format!("{} {}", owner.kind, owner.name));
        Self {
            name: metadata.name.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            owner_uid: controller.map(|owner| owner.uid).unwrap_or_default(),
            owner,
        }
    }
}

/// The pods of a namespace, in the order of their names, page by page.
async fn list(client: Client, namespace: &str) -> kube::Result<Vec<Found>> {
    let pods: Api<Pod> = Api::namespaced(client, namespace);
    let mut page = ListParams::default().limit(PAGE);
    let mut found = Vec::new();
    loop {
        let listed = pods.list_metadata(&page).await?;
        found.extend(listed.items.into_iter().map(|pod| Found::from(pod.metadata)));
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) if found.len() < MOST => page = page.continue_token(&token),
            _ => return Ok(found),
        }
    }
}
