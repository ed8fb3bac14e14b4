//! `dump`: every block and item, in the order of the files.

use std::collections::VecDeque;

use antiphon_log::{
    Block, BlockError, BlockKind, EntryKind, Item, Items, LogPosition, RecordsItem, SegmentId,
};
use antiphon_protocol::{Link, Record, records};
use serde::Serialize;

use crate::inspect::scan::{Piece, Scan};
use crate::inspect::segment::{SegmentFile, previous_end, segments_with_ends};
use crate::inspect::{InspectError, Inspector, Place};

/// What to dump.
#[derive(Clone, Copy, Debug, Default)]
pub struct DumpOptions {
    /// Only this segment.
    pub segment: Option<u32>,
    /// Tell the records one by one, not only how many there are.
    pub records: bool,
    /// Tell their bodies, too, as text; what is no UTF-8 is replaced.
    pub bodies: bool,
}

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
    /// The body, if asked for.
    pub body: Option<String>,
}

/// Iterates over what is found; one segment is in memory at a time.
#[derive(Debug)]
pub struct Dump<'a> {
    inspector: &'a Inspector,
    options: DumpOptions,
    /// Segments still to be read, each with its recorded end.
    segments: VecDeque<(SegmentId, Option<LogPosition>)>,
    /// What was found in the segment read last.
    found: VecDeque<Dumped>,
}

impl Inspector {
    /// Tells everything in the order of the files.
    ///
    /// # Errors
    /// `Io` here for what cannot be listed, and in place of a segment that cannot be read.
    pub fn dump(&self, options: DumpOptions) -> Result<Dump<'_>, InspectError> {
        let mut ends = VecDeque::from(segments_with_ends(&self.path, &self.directory)?);
        ends.retain(|(segment, _)| options.segment.is_none_or(|only| only == segment.0));
        Ok(Dump {
            inspector: self,
            options,
            segments: ends,
            found: VecDeque::new(),
        })
    }
}

impl Iterator for Dump<'_> {
    type Item = Result<Dumped, InspectError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(dumped) = self.found.pop_front() {
                return Some(Ok(dumped));
            }
            let (segment, recorded_end) = self.segments.pop_front()?;
            if let Err(error) = self.read(segment, recorded_end) {
                return Some(Err(error));
            }
        }
    }
}

impl Dump<'_> {
    fn read(
        &mut self,
        segment: SegmentId,
        recorded_end: Option<LogPosition>,
    ) -> Result<(), InspectError> {
        let Inspector { path, directory } = self.inspector;
        let file = SegmentFile::read(path, directory, segment)?;
        self.found.push_back(Dumped::Segment {
            segment: segment.0,
            bytes: file.bytes.len() as u64,
            fault: file.header_fault(directory),
            unreadable_pages: file.unreadable_pages.clone(),
        });
        let counts = |at| recorded_end.is_none_or(|end| at < end);
        for piece in Scan::new(&file) {
            match piece {
                Piece::Block(block) => {
                    let dump = block_dump(&block, counts(block.at), self.options);
                    self.found.push_back(Dumped::Block(dump));
                }
                Piece::Unreadable { from, end, error } => {
                    self.found.push_back(Dumped::Unreadable {
                        from: from.into(),
                        end: end.into(),
                        counts: counts(from),
                        error: error.to_string(),
                        head: head_text(error),
                    })
                }
                Piece::Blank => {}
            }
        }
        Ok(())
    }
}

/// What a damaged block says that it is.
pub(super) fn head_text(error: BlockError) -> Option<String> {
    let BlockError::Payload(head) = error else {
        return None;
    };
    let kind = kind_name(head.kind);
    Some(format!(
        "{kind} of group {}, index {}, {} bytes",
        head.group, head.index, head.len
    ))
}

fn kind_name(kind: BlockKind) -> &'static str {
    match kind {
        BlockKind::State => "state",
        BlockKind::Append(EntryKind::Normal) => "append",
        BlockKind::Append(EntryKind::ConfChange) => "append_conf_change",
        BlockKind::Append(EntryKind::ConfChangeV2) => "append_conf_change_v2",
        BlockKind::HardState => "hard_state",
        BlockKind::Mark => "mark",
        BlockKind::End => "end",
        BlockKind::Checkpoint => "checkpoint",
    }
}

fn block_dump(block: &Block<'_>, counts: bool, options: DumpOptions) -> BlockDump {
    let head = &block.head;
    let mut dump = BlockDump {
        at: block.at.into(),
        end: block.end.into(),
        counts,
        kind: kind_name(head.kind),
        group: head.group.0,
        index: head.index.0,
        term: head.term.0,
        commit: head.commit.0,
        sync_end: head.sync_end.into(),
        payload_bytes: head.len,
        previous_end: None,
        vote: None,
        items: Vec::new(),
        fault: None,
    };
    match head.kind {
        BlockKind::Append(EntryKind::Normal) => {
            for item in Items::new(block.payload) {
                match item {
                    Ok(item) => dump.items.push(item_dump(&item, options)),
                    Err(error) => dump.fault = Some(error.to_string()),
                }
            }
        }
        BlockKind::State => dump.previous_end = previous_end(block).map(Place::from),
        BlockKind::HardState => {
            dump.vote = block
                .payload
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes));
        }
        _ => {}
    }
    dump
}

fn item_dump(item: &Item<'_>, options: DumpOptions) -> ItemDump {
    match item {
        Item::Room(item) => ItemDump::Room {
            room: item.room.0,
            namespace: item.namespace.0,
            name: String::from_utf8_lossy(item.name).into_owned(),
        },
        Item::Records(item) => records_dump(item, options),
        Item::Expire(item) => {
            let expired = item.expired().map(|(producer, sender)| ExpiredDump {
                producer: producer.0,
                sender: String::from_utf8_lossy(sender).into_owned(),
            });
            ItemDump::Expire {
                room: item.room.0,
                expired: expired.collect(),
            }
        }
    }
}

fn records_dump(item: &RecordsItem<'_>, options: DumpOptions) -> ItemDump {
    let mut dumps = Vec::new();
    let mut count = 0;
    for record in records(item.records).flatten() {
        count += 1;
        if options.records {
            dumps.push(record_dump(&record, options));
        }
    }
    ItemDump::Records {
        room: item.room.0,
        first: item.first.0,
        count,
        count_before: item.count_before.0,
        link_before: item.link_before.0,
        bytes: item.records.len() as u64,
        fault: records_fault(item).err(),
        records: dumps,
    }
}

fn record_dump(record: &Record<'_>, options: DumpOptions) -> RecordDump {
    let body = options
        .bodies
        .then(|| String::from_utf8_lossy(record.body()).into_owned());
    RecordDump {
        seq: record.seq().0,
        count: record.count().0,
        time: record.time().0,
        producer: record.producer().0,
        producer_seq: record.producer_seq().0,
        back: record.back(),
        device: record.device().0,
        sender: record.sender().to_owned(),
        kind: record.kind().wire(),
        link: record.link().0,
        headers_bytes: record.headers().len(),
        body_bytes: record.body().len(),
        body,
    }
}

/// What the records of an item end with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RecordsEnd {
    /// Seq after the last record.
    pub(super) next: u64,
    pub(super) link: Link,
    pub(super) count: u64,
}

/// Checks each record of an item: checksum, room, seq, count, link.
pub(super) fn records_fault(item: &RecordsItem<'_>) -> Result<RecordsEnd, String> {
    let mut end = RecordsEnd {
        next: item.first.0,
        link: item.link_before,
        count: item.count_before.0,
    };
    for record in records(item.records) {
        let record = record.map_err(|error| format!("record {}: {error}", end.next))?;
        let count = end.count + u64::from(record.kind().wire() == 0);
        let fault = if record.room_id() != item.room {
            Some("belongs to another room")
        } else if record.seq().0 != end.next {
            Some("has another seq")
        } else if !record.verify_link(end.link) {
            Some("does not follow its predecessor: the link differs")
        } else if record.count().0 != count {
            Some("has another count")
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(format!("record {} {fault}", end.next));
        }
        end = RecordsEnd {
            next: end.next + 1,
            link: record.link(),
            count,
        };
    }
    Ok(end)
}
