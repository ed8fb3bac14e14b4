//! An eye on the disk: what the log writes and syncs, written down as history where it happens.
//!
//! It believes nothing that the log says of itself: it sees the calls that reach the disk and the bytes in them, and shares the layout of blocks and
//! items (docs/log-format.md) with the log, and nothing else. A write is noted before it is made, for a failed one may have happened all the same; a
//! sync only after the disk said yes.
//!
//! Two things it judges itself, for no history shows them in time: no byte of a segment changes once it is written, so that what was cut cannot come
//! back between what is new; and opening cuts nothing below what durable blocks say was synced, without saying so.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use antiphon_log::limits::{BLOCK_HEAD_BYTES, SEGMENT_HEADER_BYTES};
use antiphon_log::testing::{FaultDisk, FaultFile};
use antiphon_log::{Disk, DiskError, Item, Items, LOG_FOLDER, LogPosition, SegmentId, block_bytes};
use antiphon_protocol::needed;

use crate::history::{Position, Room, Seq, What};

/// Length of a block's head.
const HEAD: usize = BLOCK_HEAD_BYTES as usize;
/// The number of STATE.
const STATE: u8 = 1;
/// The number of APPEND.
const APPEND: u8 = 2;

/// What was seen on one disk, over all lives of its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Rc<RefCell<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Not yet in the history.
    notes: Vec<What>,
    /// Numbers of rooms by the broker's.
    rooms: BTreeMap<u64, Room>,
    /// Segments with blocks since their last sync.
    unsynced: BTreeSet<SegmentId>,
    /// Where the log before the first STATE of this life ends.
    state_end: Option<Position>,
    /// `sync_end` of blocks by segment that are not durable yet.
    marks: BTreeMap<SegmentId, [Position; 2]>,
    /// The two highest that durable blocks tell; equal if two tell the same.
    told: [Position; 2],
    /// The first write that was wrong.
    wrong: Option<String>,
}

/// The disk that a log is given.
#[derive(Clone, Debug)]
pub(crate) struct WatchedDisk {
    disk: FaultDisk,
    watch: Watch,
}

/// A file, and its number if it is a segment.
#[derive(Debug)]
pub(crate) struct WatchedFile {
    file: FaultFile,
    segment: Option<SegmentId>,
}

impl Watch {
    /// The disk for the next life.
    pub(crate) fn over(&self, disk: FaultDisk) -> WatchedDisk {
        let mut seen = self.0.borrow_mut();
        seen.state_end = None;
        seen.marks.clear();
        drop(seen);
        WatchedDisk {
            disk,
            watch: self.clone(),
        }
    }

    /// What was seen since the last call.
    pub(crate) fn take_notes(&self) -> Vec<What> {
        std::mem::take(&mut self.0.borrow_mut().notes)
    }

    /// Where what was kept of the log ends, if opening said so: it writes a STATE unless it goes on in the same segment.
    pub(crate) fn kept_end(&self) -> Option<Position> {
        self.0.borrow().state_end
    }

    /// A place below which a start may cut nothing silently, if one byte of what was durable is lost: two durable blocks tell that it was synced.
    pub(crate) fn told_end(&self) -> Position {
        self.0.borrow().told[1]
    }

    /// What the log did that it never may.
    pub(crate) fn take_wrong(&self) -> Option<String> {
        self.0.borrow_mut().wrong.take()
    }

    /// The number of a room in histories.
    pub(crate) fn room(&self, id: u64) -> Option<Room> {
        self.0.borrow().rooms.get(&id).copied()
    }
}

impl Seen {
    /// Blocks go to a segment.
    fn written(&mut self, segment: SegmentId, offset: u64, bytes: &[u8]) {
        let mut at = 0;
        while let Some(head) = bytes.get(at..at + HEAD) {
            let (kind, len) = (head[4], number(head, 0) as u32);
            if kind == 0 {
                return;
            }
            self.unsynced.insert(segment);
            let marks = self.marks.entry(segment).or_default();
            two_highest(marks, Position(number(head, 16)));
            let next = at + block_bytes(len) as usize;
            let end = LogPosition::new(segment, (offset + next as u64) as u32);
            let payload = bytes
                .get(at + HEAD..)
                .and_then(|rest| rest.get(..len as usize));
            match (kind, payload) {
                (STATE, _) => {
                    self.state_end.get_or_insert(Position(number(head, 16)));
                }
                (APPEND, Some(payload)) => self.entry(payload, Position(end.wire())),
                _ => {}
            }
            at = next;
        }
    }

    fn entry(&mut self, payload: &[u8], end: Position) {
        for item in Items::new(payload).flatten() {
            match item {
                Item::Room(room) => {
                    let name = std::str::from_utf8(room.name).ok();
                    let number = name.and_then(|name| name.strip_prefix("room-")?.parse().ok());
                    let number = number.unwrap_or(u32::MAX);
                    self.rooms.insert(room.room.0, Room(number));
                }
                Item::Records(item) => {
                    let room = self.rooms.get(&item.room.0).copied();
                    let count = frames(item.records);
                    self.notes.push(What::Written {
                        room: room.unwrap_or(Room(u32::MAX)),
                        first: Seq(item.first.0),
                        next: Seq(item.first.0 + count),
                        end,
                    });
                }
                _ => {}
            }
        }
    }
}

/// Whether blocks would change bytes that stand at `offset`, or end before others that do.
fn changes(stood: &[u8], offset: usize, bytes: &[u8]) -> bool {
    // Zeros are laid by whoever makes the file; no block starts with them.
    let is_block = bytes.get(4).is_some_and(|kind| *kind != 0);
    let stood = stood.get(offset..).unwrap_or_default();
    is_block && stood.iter().take(bytes.len()).any(|byte| *byte != 0)
}

/// Keeps the two highest of three.
fn two_highest([first, second]: &mut [Position; 2], mark: Position) {
    if mark > *first {
        *second = std::mem::replace(first, mark);
    } else if mark > *second {
        *second = mark;
    }
}

/// A little-endian number in a block's head: 8 bytes, or fewer at its end.
fn number(head: &[u8], at: usize) -> u64 {
    head[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// How many frames stand one behind the other.
fn frames(mut bytes: &[u8]) -> u64 {
    let mut count = 0;
    while !bytes.is_empty() {
        bytes = bytes.get(needed(bytes)..).unwrap_or_default();
        count += 1;
    }
    count
}

/// The number of a segment that is there, or is being made.
fn segment_of(name: &str) -> Option<SegmentId> {
    let (digits, _) = name
        .strip_prefix(LOG_FOLDER)?
        .strip_prefix('/')?
        .split_once('.')?;
    u32::from_str_radix(digits, 16).ok().map(SegmentId)
}

impl WatchedDisk {
    fn watched(&self, name: &str, file: FaultFile) -> WatchedFile {
        let segment = segment_of(name);
        WatchedFile { file, segment }
    }
}

impl Disk for WatchedDisk {
    type File = WatchedFile;

    fn create(&self, name: &str) -> Result<WatchedFile, DiskError> {
        self.disk.create(name).map(|file| self.watched(name, file))
    }

    fn open(&self, name: &str) -> Result<WatchedFile, DiskError> {
        self.disk.open(name).map(|file| self.watched(name, file))
    }

    fn size(&self, file: &WatchedFile) -> Result<u64, DiskError> {
        self.disk.size(&file.file)
    }

    fn reserve(&self, file: &WatchedFile, bytes: u64) -> Result<(), DiskError> {
        self.disk.reserve(&file.file, bytes)
    }

    fn read_at(
        &self,
        file: &WatchedFile,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, DiskError> {
        self.disk.read_at(&file.file, offset, into)
    }

    fn write_at(&self, file: &WatchedFile, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        if let Some(segment) = file.segment
            && offset >= u64::from(SEGMENT_HEADER_BYTES)
        {
            let mut seen = self.watch.0.borrow_mut();
            let stood = |stood: &[u8]| changes(stood, offset as usize, bytes);
            if seen.wrong.is_none() && self.disk.look_at(&file.file, stood) {
                let segment = segment.0;
                seen.wrong = Some(format!(
                    "segment {segment} is written over at {offset}: what was cut may come back"
                ));
            }
            seen.written(segment, offset, bytes);
        }
        self.disk.write_at(&file.file, offset, bytes)
    }

    fn sync(&self, file: &WatchedFile) -> Result<(), DiskError> {
        self.disk.sync(&file.file)?;
        if let Some(segment) = file.segment {
            let mut seen = self.watch.0.borrow_mut();
            if let Some(marks) = seen.marks.remove(&segment) {
                marks
                    .into_iter()
                    .for_each(|mark| two_highest(&mut seen.told, mark));
            }
            if seen.unsynced.remove(&segment) {
                seen.notes.push(What::Synced {
                    from: Position(LogPosition::new(segment, 0).wire()),
                    end: Position(LogPosition::new(segment, u32::MAX).wire()),
                });
            }
        }
        Ok(())
    }

    fn free_bytes(&self) -> Result<Option<u64>, DiskError> {
        self.disk.free_bytes()
    }

    fn forget_cached(&self, file: &WatchedFile) -> Result<(), DiskError> {
        self.disk.forget_cached(&file.file)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn sync_directory(&self, folder: &str) -> Result<(), DiskError> {
        self.disk.sync_directory(folder)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, DiskError> {
        self.disk.list(folder)
    }
}
