//! What `dump` tells, as plain values.

use serde::Serialize;

use crate::inspect::Place;

/// One thing found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Dumped {
    /// A segment begins.
    Segment {
        /// Its number.
        segment: u32,
        /// Length of its file.
        bytes: u64,
        /// What is wrong with its header.
        fault: Option<String>,
        /// Pages of 4,096 bytes that the device cannot read.
        unreadable_pages: Vec<u32>,
    },
    /// A whole block.
    Block(BlockDump),
    /// Bytes that are no block.
    Unreadable {
        /// Where they start.
        from: Place,
        /// Where the next block starts, or the file ends.
        end: Place,
        /// False: they stand beyond the recorded end of the segment and mean nothing.
        counts: bool,
        /// What is wrong.
        error: String,
        /// What the block says that it is, if its head is whole.
        head: Option<String>,
    },
}

/// A whole block.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct BlockDump {
    /// Where it starts.
    pub at: Place,
    /// Where it ends.
    pub end: Place,
    /// False: it stands beyond the recorded end of the segment and does not exist.
    pub counts: bool,
    /// Its kind.
    pub kind: &'static str,
    /// Whose; 0 where it means nothing.
    pub group: u32,
    /// The entry's index, or the checkpoint's.
    pub index: u64,
    /// The entry's term, or the hard state's.
    pub term: u64,
    /// The group's commit known then.
    pub commit: u64,
    /// What was synced then.
    pub sync_end: Place,
    /// Length of the payload.
    pub payload_bytes: u32,
    /// Where the segment before ended, of a STATE; segment 0: there is none.
    pub previous_end: Option<Place>,
    /// The vote of a hard state.
    pub vote: Option<u64>,
    /// The items of an entry.
    pub items: Vec<ItemDump>,
    /// Why the payload is no list of items.
    pub fault: Option<String>,
}

/// One item of an entry.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(tag = "item", rename_all = "snake_case")]
pub enum ItemDump {
    /// A room was created.
    Room {
        /// Its id.
        room: u64,
        /// Its tenant.
        namespace: u32,
        /// Its name.
        name: String,
    },
    /// Records were appended.
    Records {
        /// The room.
        room: u64,
        /// The first seq.
        first: u64,
        /// How many.
        count: u64,
        /// Count of the record before.
        count_before: u64,
        /// Link of the record before.
        link_before: u64,
        /// Length of the records.
        bytes: u64,
        /// What is wrong with them.
        fault: Option<String>,
        /// The records, if asked for.
        records: Vec<RecordDump>,
    },
    /// Producers were forgotten.
    Expire {
        /// The room.
        room: u64,
        /// Which.
        expired: Vec<ExpiredDump>,
    },
    /// Cursors of readers moved.
    Cursors {
        /// Which.
        moved: Vec<CursorDump>,
    },
    /// Records were redacted.
    Erase {
        /// Which.
        erased: Vec<ErasedDump>,
    },
}

/// A cursor that moved.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct CursorDump {
    /// The room.
    pub room: u64,
    /// Whose it is.
    pub user: String,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub seq: u64,
}

/// A record that was redacted.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ErasedDump {
    /// The room.
    pub room: u64,
    /// Its seq there.
    pub seq: u64,
}

/// A producer that was forgotten.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct ExpiredDump {
    /// The producer.
    pub producer: u64,
    /// Its user.
    pub sender: String,
}

/// One record.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct RecordDump {
    /// Position in the room.
    pub seq: u64,
    /// Messages up to here.
    pub count: u64,
    /// Milliseconds since the epoch.
    pub time: u64,
    /// The session that published it.
    pub producer: u64,
    /// Its number there.
    pub producer_seq: u64,
    /// Distance to the producer's previous record.
    pub back: u32,
    /// The sender's device.
    pub device: u32,
    /// The sender.
    pub sender: String,
    /// Record kind.
    pub kind: u8,
    /// Link up to here.
    pub link: u64,
    /// Length of the headers.
    pub headers_bytes: usize,
    /// Length of the body.
    pub body_bytes: usize,
    /// Whether an ERASE anywhere in the log names it: its body is not told then.
    pub erased: bool,
    /// The body, if asked for.
    pub body: Option<String>,
}
