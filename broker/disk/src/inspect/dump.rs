//! `dump`: every block and item, in the order of the files.

mod erased;
mod found;

use std::collections::{BTreeSet, VecDeque};

use antiphon_log::{
    Block, BlockError, BlockKind, EntryKind, Item, Items, LogPosition, RecordsItem, SegmentId,
};
use antiphon_protocol::{Record, RoomId, Seq, records};

pub use found::{BlockDump, CursorDump, Dumped, ErasedDump, ExpiredDump, ItemDump, RecordDump};

use crate::inspect::records::check_records;
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
    /// Tell their bodies, too, as text; what is no UTF-8 is replaced. Not those of records that were redacted: for them the whole log is read first.
    pub bodies: bool,
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
    /// Records that the log says were redacted.
    erased: BTreeSet<(RoomId, Seq)>,
}

impl Inspector {
    /// Tells everything in the order of the files.
    ///
    /// # Errors
    /// `Io` here for what cannot be listed, and in place of a segment that cannot be read.
    pub fn dump(&self, options: DumpOptions) -> Result<Dump<'_>, InspectError> {
        let mut ends = VecDeque::from(segments_with_ends(&self.path, &self.directory)?);
        let erased = match options.records {
            true => self.erased(&ends)?,
            false => BTreeSet::new(),
        };
        ends.retain(|(segment, _)| options.segment.is_none_or(|only| only == segment.0));
        Ok(Dump {
            inspector: self,
            options,
            segments: ends,
            found: VecDeque::new(),
            erased,
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
                    let dump = block_dump(&block, counts(block.at), self.options, &self.erased);
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

fn block_dump(
    block: &Block<'_>,
    counts: bool,
    options: DumpOptions,
    erased: &BTreeSet<(RoomId, Seq)>,
) -> BlockDump {
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
                    Ok(item) => dump.items.push(item_dump(&item, options, erased)),
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

fn item_dump(item: &Item<'_>, options: DumpOptions, erased: &BTreeSet<(RoomId, Seq)>) -> ItemDump {
    match item {
        Item::Room(item) => ItemDump::Room {
            room: item.room.0,
            namespace: item.namespace.0,
            name: String::from_utf8_lossy(item.name).into_owned(),
        },
        Item::Records(item) => records_dump(item, options, erased),
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
        Item::Cursors(item) => {
            let moved = item.moves().map(|cursor| CursorDump {
                room: cursor.room.0,
                user: String::from_utf8_lossy(cursor.user).into_owned(),
                name: String::from_utf8_lossy(cursor.name).into_owned(),
                seq: cursor.seq.0,
            });
            ItemDump::Cursors {
                moved: moved.collect(),
            }
        }
        Item::Erase(item) => {
            let erased = item.erased().map(|(room, seq)| ErasedDump {
                room: room.0,
                seq: seq.0,
            });
            ItemDump::Erase {
                erased: erased.collect(),
            }
        }
    }
}

fn records_dump(
    item: &RecordsItem<'_>,
    options: DumpOptions,
    erased: &BTreeSet<(RoomId, Seq)>,
) -> ItemDump {
    let mut dumps = Vec::new();
    let mut count = 0;
    for record in records(item.records).flatten() {
        count += 1;
        if options.records {
            let is_erased = erased.contains(&(item.room, record.seq()));
            dumps.push(record_dump(&record, options, is_erased));
        }
    }
    ItemDump::Records {
        room: item.room.0,
        first: item.first.0,
        count,
        count_before: item.count_before.0,
        link_before: item.link_before.0,
        bytes: item.records.len() as u64,
        fault: check_records(item).err(),
        records: dumps,
    }
}

fn record_dump(record: &Record<'_>, options: DumpOptions, erased: bool) -> RecordDump {
    let body =
        (options.bodies && !erased).then(|| String::from_utf8_lossy(record.body()).into_owned());
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
        erased,
        body,
    }
}
