//! Bodies, well-behaved and not.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// How the bytes of an answer go out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    #[default]
    Whole,
    /// The first half, then the connection is closed.
    Cut,
    /// The first half, then nothing more.
    Stalled,
    /// All, and then more, for ever.
    Endless,
    /// In pieces with a pause before each.
    Slow {
        /// Bytes a piece.
        piece_bytes: usize,
        /// The pause.
        pause: Duration,
    },
}

impl Pace {
    /// Whether the length of the answer can be stated.
    pub(crate) fn has_length(self) -> bool {
        self != Self::Endless
    }

    /// The body that sends `bytes` in this way.
    pub(crate) fn body(self, bytes: impl Into<Bytes>) -> Body {
        let bytes = bytes.into();
        match self {
            Self::Whole => whole(bytes),
            Self::Cut => streamed(first_half(&bytes).chain(stream::once(async {
                // Gives the connection its turn to send what it has.
                tokio::task::yield_now().await;
                Err(io::Error::other("the answer is cut here"))
            }))),
            Self::Stalled => streamed(first_half(&bytes).chain(stream::pending())),
            Self::Endless => {
                let more = Bytes::from_static(&[b' '; 16 * 1024]);
                streamed(one(bytes).chain(stream::repeat_with(move || Ok(more.clone()))))
            }
            Self::Slow { piece_bytes, pause } => streamed(slow(bytes, piece_bytes.max(1), pause)),
        }
    }
}

/// A body that behaves.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// A request's body could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadBodyError {
    #[error("the request is longer than {limit_bytes} bytes")]
    TooLong { limit_bytes: usize },
    #[error("the request broke off")]
    BrokeOff,
}

/// Reads the body of a request.
pub(crate) async fn read(body: Incoming, limit_bytes: usize) -> Result<Bytes, ReadBodyError> {
    match Limited::new(body, limit_bytes).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ReadBodyError::TooLong { limit_bytes }),
        Err(_) => Err(ReadBodyError::BrokeOff),
    }
}

fn streamed(pieces: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    StreamBody::new(pieces.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

fn one(bytes: Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::once(std::future::ready(Ok(bytes)))
}

fn first_half(bytes: &Bytes) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    one(bytes.slice(..bytes.len() / 2))
}

fn slow(
    bytes: Bytes,
    piece_bytes: usize,
    pause: Duration,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::unfold(bytes, move |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(pause).await;
        let piece = rest.split_to(piece_bytes.min(rest.len()));
        Some((Ok(piece), rest))
    })
}
