//! Reads a request's body, as far as limits let it.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Body as _;
use tokio::time::timeout;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// It is, or says that it is, longer than the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// It didn't come in time.
    #[error("the body did not come in time")]
    TooSlow,
    /// The connection broke, or the body's encoding is wrong.
    #[error("the body could not be read")]
    Broken,
}

impl Error {
    /// The reason under which it is counted, where it is a limit that was met.
    pub(super) fn rejection(self) -> Option<&'static str> {
        match self {
            Self::TooLong(_) => Some("body_size"),
            Self::TooSlow => Some("body_time"),
            Self::Broken => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self {
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        };
        (status, format!("{self}\n")).into_response()
    }
}

/// The whole body, if it has at most `limit` bytes and comes within `time`. Where its length is said beforehand and is too
/// great, nothing is read.
pub(super) async fn read(body: Body, limit: usize, time: Duration) -> Result<Bytes, Error> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Error::TooLong(limit));
    }
    match timeout(time, Limited::new(body, limit).collect()).await {
        Err(_) => Err(Error::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::TooLong(limit)),
        Ok(Err(_)) => Err(Error::Broken),
    }
}
