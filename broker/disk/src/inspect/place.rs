//! A position as the reports tell it.

use std::fmt;

use antiphon_log::LogPosition;
use serde::Serialize;

/// A place in the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// Byte in its file.
    pub offset: u32,
}

impl From<LogPosition> for Place {
    fn from(position: LogPosition) -> Self {
        Place {
            segment: position.segment().0,
            offset: position.offset(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}
