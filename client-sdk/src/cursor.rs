//! How far somebody has read, kept by the broker.

use std::fmt;

use antiphon_protocol::{
    Count, CursorPosition, CursorScope, Seq, check_name, limits::CURSOR_NAME_BYTES_MAX,
};

use crate::error::Misuse;
use crate::record::Record;

/// The name of a cursor: 1 to 32 bytes of UTF-8 without control characters.
///
/// ```
/// use antiphon_client::CursorName;
///
/// let read = CursorName::new("read")?;
/// assert_eq!(read.as_str(), "read");
/// assert!(CursorName::new("").is_err());
/// # Ok::<(), antiphon_client::Misuse>(())
/// ```
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CursorName {
    bytes: [u8; CURSOR_NAME_BYTES_MAX],
    len: u8,
}

impl CursorName {
    /// This name.
    ///
    /// # Errors
    /// [`Misuse::CursorName`].
    pub fn new(name: &str) -> Result<CursorName, Misuse> {
        check_name(name.as_bytes(), CURSOR_NAME_BYTES_MAX)
            .map_err(|_| Misuse::CursorName(name.to_owned()))?;
        let mut bytes = [0; CURSOR_NAME_BYTES_MAX];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(CursorName {
            bytes,
            len: name.len() as u8,
        })
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl TryFrom<&str> for CursorName {
    type Error = Misuse;

    fn try_from(name: &str) -> Result<CursorName, Misuse> {
        CursorName::new(name)
    }
}

/// Up to where to move a cursor, and who is told. A cursor never goes back: a lower position moves nothing and is no error.
///
/// From a record it is `(&record).into()`, or just `&record` where one is asked for.
///
/// ```
/// use antiphon_client::{Count, CursorMove, Seq};
///
/// let everybody_sees_it = CursorMove::to(Seq(815), Count(640)).members().sync();
/// # let _ = everybody_sees_it;
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorMove {
    pub(crate) position: CursorPosition,
    pub(crate) scope: CursorScope,
    pub(crate) is_sync: bool,
}

impl CursorMove {
    /// Up to a record with this seq and this count, both as the record tells them; seq 0 moves nothing.
    #[must_use]
    pub fn to(seq: Seq, count: Count) -> CursorMove {
        CursorMove {
            position: CursorPosition { seq, count },
            scope: CursorScope::PRIVATE,
            is_sync: false,
        }
    }

    /// Asks where it stands.
    pub(crate) const ASK: CursorMove = CursorMove {
        position: CursorPosition {
            seq: Seq(0),
            count: Count(0),
        },
        scope: CursorScope::PRIVATE,
        is_sync: false,
    };

    /// Tells everybody in the room, as a read receipt; else it is told to the user's own devices.
    #[must_use]
    pub fn members(mut self) -> Self {
        self.scope = CursorScope::MEMBERS;
        self
    }

    /// Waits until the move is durable. Without it a crash of the broker may take back the moves of the last 2 s.
    #[must_use]
    pub fn sync(mut self) -> Self {
        self.is_sync = true;
        self
    }
}

impl From<&Record> for CursorMove {
    fn from(record: &Record) -> CursorMove {
        CursorMove::to(record.seq, record.count)
    }
}

/// Somebody's cursor stands here, as a subscription learns it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct CursorMoved {
    /// Whose cursor it is.
    pub user: String,
    /// Which of theirs.
    pub name: String,
    /// Where it stands.
    pub position: CursorPosition,
    /// Who is told of it.
    pub scope: CursorScope,
}
