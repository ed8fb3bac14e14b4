//! Why the bytes of one whole frame are refused. The connection lives; the answer is ERROR with [`DecodeError::code`].

use crate::codes::Code;
use crate::limits::VERSION_MAX;
use crate::names::NameError;

/// Why a frame of lawful length is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fixed fields or a variable part are cut short.
    #[error("the frame is cut short")]
    Truncated,
    /// No frame kind has this number.
    #[error("unknown frame kind {0}")]
    UnknownKind(u8),
    /// The kind has a number and is not served by this version.
    #[error("frame kind {0} is not served")]
    KindNotServed(u8),
    /// Only the other side sends this kind.
    #[error("frame kind {0} goes the other way")]
    WrongDirection(u8),
    /// A request has id 0, so nobody could be answered.
    #[error("a request needs an id that is not 0")]
    ZeroId,
    /// A field has a value that no version gives it; its name.
    #[error("unlawful value of {0}")]
    BadValue(&'static str),
    /// A reserved byte is not 0.
    #[error("a reserved field is not 0")]
    Reserved,
    /// A name is no name.
    #[error("{0}")]
    Name(#[from] NameError),
    /// An extension list is malformed, or its tags do not rise.
    #[error("malformed extensions")]
    Extensions,
    /// An extension that must be understood is not known.
    #[error("unknown extension {0}")]
    UnknownExtension(u16),
    /// A header list is malformed, its tags fall, or a value is unlawful.
    #[error("malformed headers")]
    Headers,
    /// A header that must be understood is not known.
    #[error("unknown header {0}")]
    UnknownHeader(u16),
    /// Longer than its limit.
    #[error("{length} bytes are more than {limit}")]
    TooLarge {
        /** Given, in bytes. */
        length: u32,
        /** Allowed, in bytes. */
        limit: u32,
    },
    /// Numbered, not served by this version.
    #[error("{0} is not served")]
    NotSupported(Feature),
    /// No protocol version in common.
    #[error("no common protocol version")]
    Version,
    /// The sum of a record does not match its bytes.
    #[error("record checksum mismatch")]
    Crc,
    /// The lengths of a record do not add up to its frame, or its padding is not zeros.
    #[error("record lengths do not add up")]
    RecordLayout,
}

/// What is numbered and not served by version 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Feature {
    /// An `auth` other than none.
    Auth,
    /// A record kind that is none of a message, a reference to a record, and an application's.
    RecordKind,
    /// `record_flags`.
    RecordFlags,
    /// The header `ttl_ms`, and that of a signal.
    Ttl,
    /// `interest`.
    Interest,
    /// `mode` coalesce.
    Mode,
    /// To remove a cursor.
    CursorRemove,
    /// A signal to a user.
    SignalScope,
}

impl core::fmt::Display for Feature {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(self, f)
    }
}

impl DecodeError {
    /// The code of the answer.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            DecodeError::Truncated
            | DecodeError::ZeroId
            | DecodeError::BadValue(_)
            | DecodeError::Reserved
            | DecodeError::Name(_)
            | DecodeError::Extensions
            | DecodeError::UnknownExtension(_)
            | DecodeError::Headers
            | DecodeError::UnknownHeader(_)
            | DecodeError::Crc
            | DecodeError::RecordLayout => Code::BAD_FRAME,
            DecodeError::UnknownKind(_) => Code::UNKNOWN_KIND,
            DecodeError::WrongDirection(_) => Code::BAD_STATE,
            DecodeError::KindNotServed(_) | DecodeError::NotSupported(_) => Code::NOT_SUPPORTED,
            DecodeError::TooLarge { .. } => Code::TOO_LARGE,
            DecodeError::Version => Code::VERSION,
        }
    }

    /// The hint of the answer, 0 if the code has none.
    #[must_use]
    pub const fn hint(&self) -> u64 {
        match self {
            DecodeError::UnknownKind(kind) | DecodeError::KindNotServed(kind) => *kind as u64,
            DecodeError::TooLarge { limit, .. } => *limit as u64,
            DecodeError::Version => VERSION_MAX as u64,
            _ => 0,
        }
    }
}
