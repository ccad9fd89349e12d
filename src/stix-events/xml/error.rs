//! Why a document cannot be read, and whether what follows still can.

use std::io;
use std::sync::Arc;

use super::XmlLimits;
use super::source::SourceError;

/// The document cannot be read, or not here.
#[derive(Debug, Clone, thiserror::Error)]
pub enum XmlError {
    /// The bytes stopped coming.
    #[error("{0}")]
    Read(Arc<io::Error>),
    /// What is recorded cannot be kept.
    #[error("{0}")]
    Record(Arc<io::Error>),
    /// It is not well-formed XML.
    #[error("not well-formed XML at byte {offset}: {message}")]
    Malformed {
        /// Where, from the start of the document.
        offset: u64,
        /// What is wrong.
        message: String,
    },
    /// It ends inside an element.
    #[error("the document ends at byte {offset}, inside an element: it is cut off")]
    Truncated {
        /// Its length.
        offset: u64,
    },
    /// It has a DOCTYPE, which could define entities without bound.
    #[error("a DOCTYPE is not allowed")]
    Doctype {
        /// Whether it is that of an HTML page.
        html: bool,
    },
    /// It declares another encoding than UTF-8.
    #[error("the encoding {0:?} is not supported, only UTF-8 is")]
    Encoding(String),
    /// It is too large.
    #[error("the document is larger than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Elements nest too deep.
    #[error("elements are nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: u32,
        /// Whether what follows can still be read.
        recoverable: bool,
    },
    /// One text or tag is too long.
    #[error("a text or tag is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: u64,
        /// Whether what follows can still be read.
        recoverable: bool,
    },
}

impl XmlError {
    /// Whether the reader can go on after the element in which this happened.
    #[must_use]
    pub fn is_recoverable(&self) -> bool {
        matches!(
            self,
            Self::TooDeep {
                recoverable: true,
                ..
            } | Self::TooLong {
                recoverable: true,
                ..
            }
        )
    }
}

pub(super) fn too_long(limits: XmlLimits) -> XmlError {
    XmlError::TooLong {
        limit: limits.max_text_bytes,
        recoverable: true,
    }
}

pub(super) fn malformed(offset: u64, message: &dyn ToString) -> XmlError {
    XmlError::Malformed {
        offset,
        message: shortened(&message.to_string()),
    }
}

pub(super) fn unsupported_encoding(name: &str) -> XmlError {
    XmlError::Encoding(shortened(name))
}

/// What a document says is repeated in a message as far as it fits the line of a log.
fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 300;
    text.chars().take(MAX_CHARACTERS).collect()
}

pub(super) fn refuse(offset: u64, error: io::Error) -> XmlError {
    let source = error.get_ref().and_then(|error| error.downcast_ref());
    match source {
        Some(SourceError::Document { limit }) => XmlError::TooLarge { limit: *limit },
        Some(SourceError::Recording(_)) => XmlError::Record(Arc::new(error)),
        Some(SourceError::NoText { offset }) => malformed(*offset, &error),
        None if error.kind() == io::ErrorKind::InvalidData => malformed(offset, &error),
        None => XmlError::Read(Arc::new(error)),
    }
}
