//! What rules need to know of the objects of a cluster, and nothing else of them.
//!
//! Every type here is decoded from the JSON of a Kubernetes object, leniently: what is absent or null has the value that
//! the API server would default it to, unknown fields are passed over. The same decoding serves admission, the caches and
//! manifests in files, so that they can't disagree. This module knows neither policies nor where objects come from.

mod autoscaler;
mod bounded;
mod budget;
mod change;
mod lenient;
mod metadata;
mod namespace;
mod node;
mod revision;
mod selector;
mod service;
mod spreading;
mod statefulset;
mod surroundings;
mod weight;

pub use autoscaler::Autoscaler;
pub use bounded::{MOST_VALUES, Unread, decode, decode_seed};
pub use budget::{Amount, Budget, BudgetStatus, Limit, MANAGED_BY, UnhealthyPodEvictionPolicy, Written, budget_name};
pub use change::{Change, Old, Requester, Situation, Way};
pub use metadata::{MOST_ANNOTATED, Marks, Metadata, Owner, UNVERIFIED_OWNER};
pub use namespace::Namespace;
pub use node::{LONGEST_NODE_FIT, Node, NodeFit, NodeOperator, NodeRequirement, NodeSelectorTerm, Taint, Toleration};
pub use revision::Revision;
pub use selector::{LONGEST_OF_A_BUDGET, LONGEST_SELECTOR, LabelSelector, Operator, POD_NAME, Requirement};
pub use service::Service;
pub use spreading::{PodAffinityTerm, PodAntiAffinity, TopologySpreadConstraint, WeightedPodAffinityTerm};
pub use statefulset::{Container, PodTemplate, RetentionPolicy, StatefulSet, UpdateStrategy, split_ordinal};
pub use surroundings::{Claims, Evidence, Surroundings};
pub use weight::Weight;

use std::collections::BTreeMap;
use std::sync::Arc;

/// Labels or annotations, in the order of their keys.
pub type Labels = BTreeMap<String, String>;

/// Objects of one kind by name, shared: a request neither copies them nor waits for them.
pub type ByName<F> = Arc<BTreeMap<String, Arc<F>>>;
