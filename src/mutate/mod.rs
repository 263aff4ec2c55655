//! What is injected into a pod template, and the verified JSON patch that does it.
//!
//! What the user has is never replaced: terms are appended, and a topology key on which the user already spreads these pods
//! as strongly is left alone (L66). Terms select by the immutable `spec.selector` (L60) and never depend on the replica count
//! (L64). What was injected is recorded in an annotation of the StatefulSet, never of its template, so that an update which
//! loses it gets the same bytes back (L26), and a later policy knows ours from theirs.

mod edit;
mod feasibility;
mod injection;
mod mark;
mod patch;
mod reach;
mod record;
mod touched;
mod wanted;

pub use edit::{Edits, Item};
pub use injection::{Injection, Plan, infeasible, is_pending, plan};
pub use mark::Mark;
pub use patch::{PatchError, is_same_template, patch};
pub use reach::{Beyond, beyond};
pub use record::{Injected, RECORD};
pub use wanted::Infeasible;
