//! The 16 bytes that start every frame, and the numbers of the kinds.

use crate::error::DecodeError;
use crate::ids::RequestId;

/// Bytes of the header of every frame.
pub const FRAME_HEADER_BYTES: usize = 16;

/// Header of a frame.
///
/// ```text
///  0        4    5     6        8                16
///  +--------+----+-----+--------+----------------+
///  | len    |kind|flags|reserved| id             |
///  | u32    | u8 | u8  | u16 = 0| u64            |
///  +--------+----+-----+--------+----------------+
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FrameHeader {
    /// Bytes after the header.
    pub len: u32,
    /// Number of the kind, known or not; see [`Kind`].
    pub kind: u8,
    /// Bits named per kind; the others are 0 and ignored.
    pub flags: u8,
    /// Id of the request; 0 on pushes.
    pub id: RequestId,
}

impl FrameHeader {
    /// The header as it travels.
    #[must_use]
    pub fn to_bytes(self) -> [u8; FRAME_HEADER_BYTES] {
        let low =
            u64::from(self.len) | (u64::from(self.kind) << 32) | (u64::from(self.flags) << 40);
        (u128::from(low) | (u128::from(self.id.0) << 64)).to_le_bytes()
    }

    /// Reads a header and, apart from it, the reserved field.
    #[inline]
    pub(crate) fn from_bytes(bytes: &[u8; FRAME_HEADER_BYTES]) -> (FrameHeader, u16) {
        let all = u128::from_le_bytes(*bytes);
        let header = FrameHeader {
            len: all as u32,
            kind: (all >> 32) as u8,
            flags: (all >> 40) as u8,
            id: RequestId((all >> 64) as u64),
        };
        (header, (all >> 48) as u16)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Every kind that has a number. Whether it is served: docs/protocol.md, section 2.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum Kind {
            $($(#[$doc])* $name = $number,)*
        }

        impl Kind {
            /// All of them, ascending.
            pub const ALL: &'static [Kind] = &[$(Kind::$name),*];

            /// The kind with this number.
            ///
            /// # Errors
            /// [`DecodeError::UnknownKind`] if there is none.
            pub const fn from_wire(number: u8) -> Result<Kind, DecodeError> {
                match number {
                    $($number => Ok(Kind::$name),)*
                    _ => Err(DecodeError::UnknownKind(number)),
                }
            }

            /// The number as it travels.
            #[must_use]
            pub const fn wire(self) -> u8 {
                self as u8
            }
        }
    };
}

kinds! {
    /// Client to server: who I am.
    Hello = 1,
    /// Server to client: who you are, and every limit.
    Welcome = 2,
    /// Both: are you there.
    Ping = 3,
    /// Both: I am.
    Pong = 4,
    /// Server to client: the connection will close.
    Goaway = 5,
    /// Client to server: a fresh token. Numbered.
    Auth = 6,
    /// Server to client: done.
    Ok = 7,
    /// Server to client: refused.
    Error = 8,
    /// Client to server: a record to be.
    Publish = 10,
    /// Server to client: records that are durable.
    Puback = 11,
    /// Client to server: send me a room.
    Subscribe = 12,
    /// Server to client: from here on.
    Subscribed = 13,
    /// Both: no more of this room.
    Unsubscribe = 14,
    /// Server to client: a record.
    Record = 15,
    /// Server to client: records that will not come.
    Gap = 16,
    /// Client to server: credit. Numbered.
    Flow = 17,
    /// Client to server: history.
    Fetch = 18,
    /// Client to server: what changed. Numbered.
    Sync = 19,
    /// Both: a position.
    Cursor = 20,
    /// Client to server: work on a queue. Numbered.
    Consume = 21,
    /// Client to server: a verdict. Numbered.
    Settle = 22,
    /// Server to client: a piece of history.
    Page = 23,
    /// Both: for those who are there.
    Signal = 30,
    /// Client to server: snapshot of signals. Numbered.
    State = 31,
    /// Both: nodes and leaders.
    Metadata = 40,
}
