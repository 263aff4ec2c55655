//! AdmissionReview in, AdmissionResponse out.

use std::time::Duration;

use bytes::Bytes;

/// Which of the two webhooks is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Webhook {
    /// `POST /validate`
    Validate,
    /// `POST /mutate`
    Mutate,
}

/// A body that is no AdmissionReview with a uid, so that nothing can be answered but HTTP 400.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadRequest(pub String);

/// Answers admission reviews.
#[derive(Debug, Default)]
pub struct Admission {}

impl Admission {
    /// The bytes of the AdmissionReview that answers `body`, within `time`: what isn't decided by then is answered as the
    /// policies' `onInternalError` says, and so is a panic.
    ///
    /// # Errors
    ///
    /// The body is not an AdmissionReview, or has no uid.
    pub async fn answer(&self, _webhook: Webhook, _body: Bytes, _time: Duration) -> Result<Vec<u8>, BadRequest> {
        Err(BadRequest("not built yet".to_owned()))
    }
}
