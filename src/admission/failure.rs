//! Why Quorate could not decide. What is answered then is for `onInternalError` to say.

use std::sync::Arc;

use crate::cluster::ReadError;
use crate::mutate::PatchError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the request can't be decoded: {0}")]
    Undecodable(String),
    #[error("what the decision rests on can't be read: {0}")]
    LiveRead(#[from] Arc<ReadError>),
    #[error("the patch is not fit to be sent: {0}")]
    Patch(PatchError),
    #[error("the deadline passed")]
    Deadline,
    #[error("a fault in Quorate")]
    Panic,
}

impl Failure {
    /// The name used in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(_) => "undecodable",
            Self::LiveRead(_) => "live_read",
            Self::Patch(_) => "patch",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
        }
    }
}
