//! Reads a request's body, as far as limits let it.

use std::pin::{Pin, pin};
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

/// How much is kept of a body that is not read: in that much an AdmissionReview says who asks about what.
pub(super) const BEGINNING: usize = 16 << 10;

/// For more of a body that is not kept to come.
const PATIENCE: Duration = Duration::from_millis(500);

/// Why a request was not read, or not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    /// The body is, or says that it is, longer than the limit.
    #[error("the body is longer than {most} bytes")]
    TooLong {
        /// How many came.
        bytes: usize,
        /// How many may come.
        most: usize,
    },
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
    /// Too much is being answered about its namespace.
    #[error("too many requests about one namespace at once")]
    NoShare,
    /// The connection broke, or the body's encoding is wrong.
    #[error("the body could not be read")]
    Broken,
}

impl Error {
    /// The reason under which it is counted, where it is a limit that was met.
    pub(super) fn rejection(self) -> Option<&'static str> {
        match self {
            Self::TooLong { .. } => Some("body_size"),
            Self::TooMuch => Some("body_values"),
            Self::TooSlow => Some("body_time"),
            Self::NoRoom => Some("body_memory"),
            Self::TooMany => Some("requests"),
            Self::NoShare => Some("share"),
            Self::Broken => None,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::TooLong { .. } | Self::TooMuch => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NoRoom | Self::TooMany | Self::NoShare => StatusCode::SERVICE_UNAVAILABLE,
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

/// A body that was not read, and how it begins: as far as it was needed to answer it.
#[derive(Debug)]
pub(super) struct Unread {
    pub(super) error: Error,
    pub(super) beginning: Vec<u8>,
}

impl From<Error> for Unread {
    fn from(error: Error) -> Self {
        Self { error, beginning: Vec::new() }
    }
}

/// The whole body and the room that it takes, if it has at most `limit` bytes and comes within `time`.
///
/// Of one that is too long, or has no room, only the beginning is kept, and the rest passes by: a client that is still sending
/// would not hear the answer. Where the client waits to be told to send (`expects`), nothing is read of one that is too long.
pub(super) async fn read(
    body: Body,
    limit: usize,
    time: Duration,
    room: Coming,
    expects: bool,
) -> Result<(Bytes, Room), Unread> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > limit && expects {
        return Err(Error::TooLong { bytes: announced, most: limit }.into());
    }
    let late = if announced > limit { Error::TooLong { bytes: announced, most: limit } } else { Error::TooSlow };
    timeout(time, collect(body, announced, limit, room)).await.unwrap_or(Err(late.into()))
}

async fn collect(body: Body, announced: usize, limit: usize, mut room: Coming) -> Result<(Bytes, Room), Unread> {
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    let error = match fill(&mut bytes, body.as_mut(), announced, limit, &mut room).await {
        Ok(()) => match room.arrived() {
            Ok(room) => return Ok((bytes.into(), room)),
            Err(full) => full.into(),
        },
        Err(error) => {
            drop(room);
            error
        }
    };
    let came = bytes.len();
    bytes.truncate(BEGINNING);
    bytes.shrink_to_fit();
    Err(match error {
        Error::TooLong { .. } | Error::NoRoom => pass_by(body, bytes, came, error).await,
        other => other.into(),
    })
}

/// Reads a body into `bytes`, as far as it may go.
async fn fill(
    bytes: &mut Vec<u8>,
    mut body: Pin<&mut Body>,
    announced: usize,
    limit: usize,
    room: &mut Coming,
) -> Result<(), Error> {
    let first = announced.min(STEP);
    room.grow(REQUEST + first).await?;
    bytes.reserve_exact(first);
    if announced > limit {
        return Err(Error::TooLong { bytes: 0, most: limit });
    }
    while let Some(frame) = room.next(body.frame()).await? {
        // What isn't data is a trailer, which says nothing here.
        let Ok(chunk) = frame.map_err(|_| Error::Broken)?.into_data() else { continue };
        let length = bytes.len() + chunk.len();
        if length > limit {
            keep_beginning(bytes, &chunk);
            return Err(Error::TooLong { bytes: length, most: limit });
        }
        if length > bytes.capacity() {
            let capacity = length.max(bytes.capacity() * 2).max(announced.min(STEP)).min(limit);
            if let Err(full) = room.grow(capacity - bytes.capacity()).await {
                keep_beginning(bytes, &chunk);
                return Err(full.into());
            }
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(())
}

fn keep_beginning(bytes: &mut Vec<u8>, chunk: &[u8]) {
    let wanted = BEGINNING.saturating_sub(bytes.len()).min(chunk.len());
    bytes.extend_from_slice(&chunk[..wanted]);
}

/// Lets the rest of a body pass by, as long as it comes.
async fn pass_by(mut body: Pin<&mut Body>, mut beginning: Vec<u8>, came: usize, error: Error) -> Unread {
    let mut bytes = came;
    while let Ok(Some(Ok(frame))) = timeout(PATIENCE, body.frame()).await {
        let Ok(chunk) = frame.into_data() else { continue };
        keep_beginning(&mut beginning, &chunk);
        bytes += chunk.len();
    }
    let error = match error {
        Error::TooLong { bytes: so_far, most } => Error::TooLong { bytes: bytes.max(so_far), most },
        other => other,
    };
    Unread { error, beginning }
}
