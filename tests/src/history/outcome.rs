//! What requests ask for and answers tell, below the level of an event.

use serde::{Deserialize, Serialize};

use crate::history::{BodyHash, Link, Origin, Seq};

/// Numbers of ERROR codes that a checker looks at (docs/protocol.md, section 6).
pub mod codes {
    /// There is no such room.
    pub const NOT_FOUND: u16 = 5;
    /// The position of a subscription is not one of this history.
    pub const DIVERGED: u16 = 12;
    /// After one of these a publish is to be sent again as it is: LIMIT, STALE, STORAGE_FULL, UNAVAILABLE, MOVED,
    /// TIMEOUT, SHUTTING_DOWN, INTERNAL. Not OUT_OF_ORDER: what is sent again then may have got another number.
    pub const SEND_AGAIN: [u16; 8] = [4, 13, 14, 15, 16, 20, 21, 24];
}

/// Reasons of a GAP that take records away lawfully (docs/protocol.md, section 4).
pub mod gap_reasons {
    /// The room keeps no more.
    pub const RETENTION: u8 = 1;
    /// Redacted.
    pub const ERASED: u8 = 2;
    /// Its time was over.
    pub const EXPIRED: u8 = 4;
    /// Too large for this connection.
    pub const SKIPPED: u8 = 5;
}

/// A record as somebody saw it; `[seq, link, [user, producer, producer_seq], body]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "(Seq, Link, Origin, BodyHash)")]
#[serde(into = "(Seq, Link, Origin, BodyHash)")]
pub struct Record {
    /// Its position.
    pub seq: Seq,
    /// The link that it carries.
    pub link: Link,
    /// Who published it.
    pub origin: Origin,
    /// What it says.
    pub body: BodyHash,
}

impl From<(Seq, Link, Origin, BodyHash)> for Record {
    fn from((seq, link, origin, body): (Seq, Link, Origin, BodyHash)) -> Self {
        Self {
            seq,
            link,
            origin,
            body,
        }
    }
}

impl From<Record> for (Seq, Link, Origin, BodyHash) {
    fn from(record: Record) -> Self {
        (record.seq, record.link, record.origin, record.body)
    }
}

/// Records that were declared not to come; `[from, to, reason]`, `to` included.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "(Seq, Seq, u8)")]
#[serde(into = "(Seq, Seq, u8)")]
pub struct GapRange {
    /// The first one.
    pub from: Seq,
    /// The last one.
    pub to: Seq,
    /// The wire's number of the reason.
    pub reason: u8,
}

impl From<(Seq, Seq, u8)> for GapRange {
    fn from((from, to, reason): (Seq, Seq, u8)) -> Self {
        Self { from, to, reason }
    }
}

impl From<GapRange> for (Seq, Seq, u8) {
    fn from(gap: GapRange) -> Self {
        (gap.from, gap.to, gap.reason)
    }
}

/// Where a subscription is to begin.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With what comes from now on.
    Live,
    /// Right after a record, whose link is told (0: unchecked). A resume is this, from where the client stands.
    After {
        /// The last one that is not wanted.
        seq: Seq,
        /// Its link.
        link: Link,
    },
    /// With the last n.
    Last(u64),
    /// With the first record whose time, in ms, is not below this one.
    Time(u64),
    /// Behind the reader's own cursor of this name; at the beginning if there is none.
    Cursor(u32),
}

/// What a fetch asks for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Range {
    /// The last ones.
    Latest,
    /// Those right below a position.
    Before(Seq),
    /// Those right above a position.
    After(Seq),
    /// Half of them, rounded down, right below a position, the others from it on.
    Around(Seq),
    /// Those from the first on whose time, in ms, is not below this one.
    Time(u64),
}

/// Which way a delivery came, as far as the writer can tell.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// As it was committed.
    Live,
    /// Read from the log.
    CatchUp,
}

/// What a client found wrong with bytes that it got.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The link is not the hash of the link before and the record.
    Link,
    /// The checksum does not fit, or it is no record.
    Sum,
}

/// A disturbance of the run; for people, and to count. The checkers do not read it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Fault {
    /// One number from start to stop.
    pub id: u64,
    /// What it is: `kill`, `partition`, `disk-full`, with its arguments.
    pub name: String,
}
