//! Reads a request's body, as far as limits let it.

use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use tokio::time::timeout;

use super::memory::{Coming, Full, REQUEST, Room};

/// Room is taken in steps, so that a sender holds no more than twice what it sent, however much it announced: of the first
/// step, most bodies need no more.
const STEP: usize = 32 << 10;

/// Why a request was not read, or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The body is, or says that it is, longer than the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(usize),
    /// It would take more memory than all requests together may.
    #[error("the body has too many values to be decoded within the memory for requests")]
    TooMuch,
    /// It didn't come in time.
    #[error("the body did not come in time")]
    TooSlow,
    /// There is no memory for it now.
    #[error("too much is being read and answered at once")]
    NoRoom,
    /// Too many requests are being answered.
    #[error("too many requests at once")]
    TooMany,
    /// The connection broke, or the body's encoding is wrong.
    #[error("the body could not be read")]
    Broken,
}

impl Error {
    /// The reason under which it is counted, where it is a limit that was met.
    pub(super) fn rejection(self) -> Option<&'static str> {
        match self {
            Self::TooLong(_) => Some("body_size"),
            Self::TooMuch => Some("body_values"),
            Self::TooSlow => Some("body_time"),
            Self::NoRoom => Some("body_memory"),
            Self::TooMany => Some("requests"),
            Self::Broken => None,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::TooLong(_) | Self::TooMuch => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom | Self::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<Full> for Error {
    fn from(_: Full) -> Self {
        Self::NoRoom
    }
}

/// Of a 503, the API server applies `failurePolicy`, and whoever asked tries again.
impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let mut response = (self.status(), format!("{self}\n")).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The whole body and the room that it takes, if it has at most `limit` bytes and comes within `time`. Where its length is
/// said beforehand and is too great, nothing is read.
pub(super) async fn read(body: Body, limit: usize, time: Duration, room: Coming) -> Result<(Bytes, Room), Error> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(Error::TooLong(limit));
    }
    timeout(time, collect(body, announced, limit, room)).await.unwrap_or(Err(Error::TooSlow))
}

async fn collect(body: Body, announced: usize, limit: usize, mut room: Coming) -> Result<(Bytes, Room), Error> {
    let mut body = pin!(body);
    let first = announced.min(STEP);
    room.grow(REQUEST + first).await?;
    let mut bytes = Vec::with_capacity(first);
    while let Some(frame) = room.next(body.frame()).await? {
        // What isn't data is a trailer, which says nothing here.
        let Ok(chunk) = frame.map_err(|_| Error::Broken)?.into_data() else { continue };
        let length = bytes.len() + chunk.len();
        if length > limit {
            return Err(Error::TooLong(limit));
        }
        if length > bytes.capacity() {
            let capacity = length.max(bytes.capacity() * 2).max(announced.min(STEP)).min(limit);
            room.grow(capacity - bytes.capacity()).await?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes.into(), room.arrived()?))
}
