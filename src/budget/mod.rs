//! Which pods a PodDisruptionBudget is about, how many of them it lets go, and which budget each StatefulSet of a namespace
//! shall have. This module knows neither policies nor who writes budgets.

mod coverage;
mod desired;
mod near;
mod quorum;

pub use coverage::{Coverage, coverage};
pub use desired::{Apart, Candidate, Kept, Reason, Terms, Wanted, desired, is_apart, shares_pods};
pub use near::{BySelector, MOST_NEAR, Near};
pub use quorum::quorum;
