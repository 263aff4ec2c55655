//! Whether a cluster can satisfy a hard term: whether the Nodes that a pod template fits have enough domains (L62).

use std::collections::BTreeSet;

use crate::facts::{ByName, Node, NodeFit, StatefulSet, Surroundings};

/// That a cluster has too few domains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooFew {
    /// How many Nodes fit.
    pub(super) nodes: usize,
    /// How many values of the topology key they have.
    pub(super) values: usize,
}

/// How many comparisons are made to find out. A template that asks for more, on a cluster so large, is taken for one that
/// fits somewhere: a request must not wait for it.
const MOST_EFFORT: usize = 10_000_000;

/// Whether the Nodes that fit have fewer than `enough` values of the topology key. `None` where they have enough, and where no
/// Node fits: a pool that is scaled to zero says nothing of how many it can have.
pub(super) fn too_few(nodes: &ByName<Node>, fit: &NodeFit, topology_key: &str, enough: usize) -> Option<TooFew> {
    if fit.effort().saturating_mul(nodes.len()) > MOST_EFFORT {
        return None;
    }
    let mut values = BTreeSet::new();
    let mut fitting = 0;
    for node in nodes.values().filter(|node| fit.fits(node)) {
        fitting += 1;
        values.extend(node.labels.get(topology_key));
        if values.len() >= enough {
            return None;
        }
    }
    (fitting > 0).then_some(TooFew { nodes: fitting, values: values.len() })
}

/// The most pods that a StatefulSet may come to have, and the autoscaler that may ask for so many.
pub(super) fn most_pods(statefulset: &StatefulSet, around: &Surroundings) -> (i32, Option<String>) {
    match around.autoscalers_of(statefulset).max_by_key(|scaler| scaler.max_replicas) {
        Some(scaler) if scaler.max_replicas > statefulset.replicas => (scaler.max_replicas, Some(scaler.name.clone())),
        _ => (statefulset.replicas, None),
    }
}
