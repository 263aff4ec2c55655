//! Why Quorate could not decide. What is answered then is for `onInternalError` to say, where the failure is Quorate's own.

use std::sync::Arc;

use super::subject::Effort;
use crate::cluster::{Kind, ReadError};
use crate::facts::{MOST_ANNOTATED, MOST_VALUES, UNVERIFIED_OWNER, Unread};
use crate::mutate::PatchError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the request can't be decoded: {0}")]
    Undecodable(String),
    /// The requester made it so: this is denied, and `onInternalError` has no say in it (L131).
    #[error("{field}: {problem}; {fix}")]
    Unreadable { field: String, problem: String, fix: String },
    /// More is asked about the namespace than is its share: whoever asks has to ask again (L141).
    #[error("too many requests about namespace {0} wait to be judged")]
    Busy(String),
    /// There is no room for what all ask together.
    #[error("more requests wait to be judged than there is room for")]
    Full,
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
    /// An object that was not decoded.
    pub(super) fn of_decoding(unread: Unread) -> Self {
        match unread {
            Unread::Shape(error) => Self::Undecodable(error.to_string()),
            Unread::TooMuch { field, values } => Self::Unreadable {
                problem: format!(
                    "{values} values are too many to be judged: the fields that rules read may have {MOST_VALUES} together"
                ),
                fix: format!("remove values from {field}"),
                field,
            },
        }
    }

    /// An object of which so much would have to be compared with all StatefulSets of the namespace, or with all Nodes.
    pub(super) fn effort(effort: &Effort) -> Self {
        let Effort { field, holder, fix, length, most } = effort;
        Self::Unreadable {
            field: (*field).to_owned(),
            problem: format!(
                "{length} requirements and values are too many to be judged: {holder} may have {most} together"
            ),
            fix: (*fix).to_owned(),
        }
    }

    /// A namespace of which not every object of the kind is kept (L132).
    pub(super) fn short_of(namespace: &str, kind: Kind) -> Self {
        Self::Unreadable {
            field: "metadata.namespace".to_owned(),
            problem: format!("{namespace} holds more {} than Quorate has memory for", kind.plural()),
            fix: "delete some of them and try again after five minutes, or have Quorate be given more memory"
                .to_owned(),
        }
    }

    /// An object of which only the beginning of its review was read.
    pub(super) fn too_long(bytes: usize, most: usize) -> Self {
        Self::Unreadable {
            field: "object".to_owned(),
            problem: format!(
                "its review has more than {most} bytes ({bytes} were counted), which is the most that is read"
            ),
            fix: "make the object smaller".to_owned(),
        }
    }

    /// An object whose annotations leave no room for the one that keeps an owner from counting as an operator's (L133).
    pub(super) fn no_room_for_mark(bytes: usize) -> Self {
        Self::Unreadable {
            field: "metadata.annotations".to_owned(),
            problem: format!(
                "with {UNVERIFIED_OWNER} they would have {bytes} bytes, and may have {MOST_ANNOTATED} together"
            ),
            fix: "remove annotations, or the ownerReference with controller: true".to_owned(),
        }
    }

    /// The name used in metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Undecodable(_) => "undecodable",
            Self::Unreadable { .. } => "unreadable",
            Self::Busy(_) | Self::Full => "busy",
            Self::LiveRead(_) => "live_read",
            Self::Patch(_) => "patch",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
        }
    }
}
