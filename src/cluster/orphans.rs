//! ControllerRevisions that nothing controls: what a StatefulSet leaves behind when it is deleted with `--cascade=orphan` (L94).
//!
//! Nearly every ControllerRevision has a controller, so nearly nothing is kept. Of those that have none, a StatefulSet's is told
//! from a DaemonSet's by its label (L143).

use serde::Deserialize;

use super::index::Index;
use crate::facts::Weight;

/// The label by which the StatefulSet controller names a revision: `<statefulset>-<hash>`.
pub(super) const HASH: &str = "controller.kubernetes.io/hash";

/// How many revisions of a StatefulSet are looked at. It keeps 10, unless it is told otherwise.
pub(super) const MOST: usize = 12;

/// A ControllerRevision, as its metadata tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Wire")]
pub(super) struct Orphan {
    /// The StatefulSet that left it; `None` for a revision that has a controller, and for one of something else.
    pub(super) of: Option<String>,
    created: String,
}

impl Orphan {
    /// Whether it is one.
    pub(super) fn is_one(&self) -> bool {
        self.of.is_some()
    }
}

impl Weight for Orphan {
    fn heap(&self) -> usize {
        self.of.heap() + self.created.heap()
    }
}

/// The names of the revisions that a StatefulSet of this name left behind, the newest first.
pub(super) fn of(orphans: &Index<Orphan>, namespace: &str, statefulset: &str) -> Vec<String> {
    let all = orphans.by_name(namespace);
    let named = all.iter().filter(|(_, orphan)| orphan.of.as_deref() == Some(statefulset));
    let mut named: Vec<_> = named.map(|(name, orphan)| (&*orphan.created, name)).collect();
    named.sort_unstable_by(|left, right| right.cmp(left));
    named.into_iter().take(MOST).map(|(_, name)| name.clone()).collect()
}

/// The StatefulSet whose revision this is, by its name and the hash that its label says.
pub(super) fn statefulset<'a>(name: &'a str, hash: &str) -> Option<&'a str> {
    name.strip_suffix(hash)?.strip_suffix('-').filter(|statefulset| !statefulset.is_empty() && !hash.is_empty())
}

#[derive(Deserialize)]
struct Wire {
    metadata: WireMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireMetadata {
    name: String,
    creation_timestamp: Option<String>,
    labels: Option<WireLabels>,
    owner_references: Option<Vec<WireOwner>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireLabels {
    #[serde(rename = "controller.kubernetes.io/hash")]
    hash: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireOwner {
    controller: Option<bool>,
}

impl From<Wire> for Orphan {
    fn from(Wire { metadata }: Wire) -> Self {
        let controlled = metadata.owner_references.iter().flatten().any(|owner| owner.controller == Some(true));
        let hash = metadata.labels.unwrap_or_default().hash.filter(|_| !controlled);
        let of = hash.and_then(|hash| statefulset(&metadata.name, &hash).map(str::to_owned));
        Self { of, created: metadata.creation_timestamp.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn orphan(name: &str, labels: &Value, owners: &Value) -> Orphan {
        let metadata = json!({"name": name, "labels": labels, "ownerReferences": owners});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[rstest]
    #[case::orphan("db-7f9", json!({HASH: "7f9"}), json!(null), Some("db"))]
    #[case::owned_but_not_controlled("db-7f9", json!({HASH: "7f9"}), json!([{"kind": "StatefulSet"}]), Some("db"))]
    #[case::controlled("db-7f9", json!({HASH: "7f9"}), json!([{"controller": true}]), None)]
    #[case::of_a_daemonset("db-7f9", json!({"controller-revision-hash": "7f9"}), json!([]), None)]
    #[case::by_another_name("other", json!({HASH: "7f9"}), json!([]), None)]
    #[case::without_labels("db-7f9", json!(null), json!([]), None)]
    #[case::of_nothing("-7f9", json!({HASH: "7f9"}), json!([]), None)]
    fn only_a_statefulsets_revision_without_a_controller_is_kept_l143(
        #[case] name: &str,
        #[case] labels: Value,
        #[case] owners: Value,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(orphan(name, &labels, &owners).of.as_deref(), expected);
    }

    #[test]
    fn those_of_one_statefulset_are_found() {
        let orphans = Index::default();
        for name in ["db-7f9", "db-6c5", "db-2-7f9", "web-7f9"] {
            let hash = name.rsplit('-').next().unwrap();
            orphans.insert("shop".to_owned(), name.to_owned(), orphan(name, &json!({HASH: hash}), &json!([])));
        }
        assert_eq!(of(&orphans, "shop", "db"), ["db-7f9", "db-6c5"]);
        assert!(of(&orphans, "bank", "db").is_empty());
    }
}
