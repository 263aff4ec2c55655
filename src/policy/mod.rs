//! Policies: their schema, which of them match an object, and how several are merged.
//!
//! The types are the schema of policy files and, later, of the CRD. They can't hold a wrong value: what is impossible
//! is an error while decoding, at its line and column. This module decodes text and never opens a file.

mod effective;
mod index;
mod load;
mod merge;
mod schema;
mod set;
mod values;

pub use effective::{Effective, effective};
pub use load::{LoadError, LoadErrors, Loader, Located, Place, parse, schema, syntax_error};
pub use merge::{Placement, Spreading, budget, placements, spreadings};
pub use schema::{
    AntiAffinity, AntiAffinityMode, Exemptions, Existing, Match, Mutate, OnExisting, OnInternalError, OwnedByOperator,
    PodDisruptionBudget, Policy, Spec, TopologySpread, UnhealthyPodEvictionPolicy, UserTerms, WhenInfeasible,
    WhenUnsatisfiable,
};
pub use set::PolicySet;
pub use values::{AccountPattern, EndOfDay, MaxUnavailable, NamePattern, PolicySelector, TopologyKey, Weight};
