//! Which pods a PodDisruptionBudget is about, how many of them it lets go, and which budget each StatefulSet of a namespace
//! shall have. This module knows neither policies nor who writes budgets.

mod coverage;
mod desired;
mod quorum;

pub use coverage::{Coverage, coverage};
pub use desired::{Candidate, Kept, Reason, Terms, Wanted, desired};
pub use quorum::quorum;
