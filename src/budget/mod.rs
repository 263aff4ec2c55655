//! Which pods a PodDisruptionBudget is about, and how many of them it lets go.

mod coverage;

pub use coverage::{Coverage, coverage};
