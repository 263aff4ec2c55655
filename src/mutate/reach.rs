//! How far a StatefulSet can grow under the hard terms that we gave it.

use super::Injected;
use super::feasibility::{TooFew, most_pods, too_few};
use crate::facts::{StatefulSet, Surroundings};

/// That a StatefulSet may come to have more pods than a hard term of ours lets run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beyond {
    /// The topology key.
    pub topology_key: String,
    /// The most pods there may be.
    pub pods: i32,
    /// The autoscaler that may ask for so many; absent where `spec.replicas` does.
    pub autoscaler: Option<String>,
    /// How many Nodes fit.
    pub nodes: usize,
    /// How many values of the topology key those have.
    pub values: usize,
}

/// The hard terms of ours that hold fewer pods than there may be.
#[must_use]
pub fn beyond(statefulset: &StatefulSet, around: &Surroundings) -> Vec<Beyond> {
    let ours = Injected::recorded(&statefulset.metadata).present_in(&statefulset.template);
    let (pods, autoscaler) = most_pods(statefulset, around);
    let enough = usize::try_from(pods).unwrap_or(0);
    let of = |topology_key: &String| {
        let few = too_few(&around.nodes, &statefulset.template.node_fit, topology_key, enough);
        few.map(|TooFew { nodes, values }| {
            let (topology_key, autoscaler) = (topology_key.clone(), autoscaler.clone());
            Beyond { topology_key, pods, autoscaler, nodes, values }
        })
    };
    ours.required.iter().filter_map(|term| of(&term.topology_key)).collect()
}
