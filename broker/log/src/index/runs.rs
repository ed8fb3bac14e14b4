//! The batches of one room, as small as they get while still searchable.
//!
//! ```text
//!  sealed: [ start | 128 batches ] [ start | 128 batches ] ...   open: [ start | up to 128 batches ]   last: one batch
//!  start:  seq u64 and position u64 of the first batch
//!  batch:  varint (records << 1 | hole), varint seqs skipped if hole, varint (position - previous position) / 8
//! ```
//!
//! A run is found by binary search over the starts, a batch inside one by decoding at most 128. A sealed run is boxed at
//! its exact size, so growth of a room with millions of batches copies only the starts (32 bytes for 128 batches). The
//! newest batch stays unencoded, because further records of the same block may still join it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_protocol::Seq;

use crate::LogPosition;
use crate::index::{Located, varint};

/// Batches in a sealed run. More cost time to decode, fewer cost memory for starts.
const RUN_BATCHES: u8 = 128;
/// Blocks stand at multiples of this.
const BLOCK_ALIGN: u64 = 8;

/// All batches of one room.
#[derive(Debug, Default)]
pub(super) struct Runs {
    sealed: Vec<Run<Box<[u8]>>>,
    open: Run<Vec<u8>>,
    /// Batches in `open`, <= `RUN_BATCHES`.
    open_batches: u8,
    /// What the next batch in `open` is relative to.
    open_end: Point,
    /// The newest batch; `None` while the room is new.
    last: Option<Located>,
}

/// Batches, each encoded relative to the one before, the first relative to `start`.
#[derive(Debug, Default)]
struct Run<B> {
    start: Point,
    bytes: B,
}

/// A seq and a block that may hold it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Point {
    seq: u64,
    at: u64,
}

impl Runs {
    /// Adds a batch; false if it merely continues the newest one inside the same block.
    pub(super) fn push(&mut self, batch: Located) -> bool {
        assert!(
            batch.first < batch.next && batch.first >= Seq(1),
            "INV-INDEX-1: a batch is never empty"
        );
        assert!(
            batch.at.wire().is_multiple_of(BLOCK_ALIGN),
            "INV-INDEX-2: a block stands at a multiple of 8"
        );
        let Some(last) = &mut self.last else {
            self.last = Some(batch);
            return true;
        };
        assert!(
            batch.first >= last.next,
            "INV-INDEX-3: seqs of a room only rise"
        );
        if last.at == batch.at && last.next == batch.first {
            last.next = batch.next;
            return false;
        }
        assert!(
            batch.at > last.at,
            "INV-INDEX-4: positions of a room only rise"
        );
        let settled = *last;
        *last = batch;
        self.encode(settled);
        true
    }

    fn encode(&mut self, batch: Located) {
        if self.open_batches == RUN_BATCHES {
            self.seal();
        }
        if self.open_batches == 0 {
            self.open_end = Point {
                seq: batch.first.0,
                at: batch.at.wire(),
            };
            self.open.start = self.open_end;
        }
        let hole = batch.first.0 - self.open_end.seq;
        let records = batch.next.0 - batch.first.0;
        varint::push(&mut self.open.bytes, records << 1 | u64::from(hole != 0));
        if hole != 0 {
            varint::push(&mut self.open.bytes, hole);
        }
        varint::push(
            &mut self.open.bytes,
            (batch.at.wire() - self.open_end.at) / BLOCK_ALIGN,
        );
        self.open_end = Point {
            seq: batch.next.0,
            at: batch.at.wire(),
        };
        self.open_batches += 1;
    }

    fn seal(&mut self) {
        let bytes = Box::from(self.open.bytes.as_slice());
        self.sealed.push(Run {
            start: self.open.start,
            bytes,
        });
        self.open.bytes.clear();
        self.open_batches = 0;
    }

    /// Seq of the oldest record.
    pub(super) fn first(&self) -> Option<Seq> {
        let last = self.last.as_ref()?;
        if let Some(run) = self.sealed.first() {
            return Some(Seq(run.start.seq));
        }
        Some(if self.open_batches == 0 {
            last.first
        } else {
            Seq(self.open.start.seq)
        })
    }

    /// Seq after the newest record.
    pub(super) fn next(&self) -> Option<Seq> {
        self.last.as_ref().map(|last| last.next)
    }

    /// Batches from the one that holds `seq`, or from the first above it.
    pub(super) fn locate(&self, seq: Seq) -> Locate<'_> {
        let in_open = self.open_batches != 0 && self.open.start.seq <= seq.0;
        let run = if in_open {
            self.sealed.len()
        } else {
            self.sealed
                .partition_point(|run| run.start.seq <= seq.0)
                .saturating_sub(1)
        };
        Locate {
            runs: Some(self),
            run,
            bytes: &[],
            end: Point::default(),
            from: seq,
        }
    }

    /// Bytes and start of the run with this number; the open one comes after the sealed ones.
    fn run(&self, number: usize) -> Option<(&[u8], Point)> {
        match self.sealed.get(number) {
            Some(run) => Some((&run.bytes, run.start)),
            None if number == self.sealed.len() => Some((&self.open.bytes, self.open.start)),
            None => None,
        }
    }

    /// Heap memory held, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let starts = self.sealed.capacity() * size_of::<Run<Box<[u8]>>>();
        let sealed: usize = self.sealed.iter().map(|run| run.bytes.len()).sum();
        starts + sealed + self.open.bytes.capacity()
    }
}

/// Iterates over the batches of one room, ascending.
#[derive(Clone, Debug)]
pub struct Locate<'a> {
    /// `None` when nothing is left.
    runs: Option<&'a Runs>,
    /// The run to decode after `bytes`; one past the open run stands for the newest batch.
    run: usize,
    /// What is left of the run being decoded.
    bytes: &'a [u8],
    /// What the next batch in `bytes` is relative to.
    end: Point,
    /// Batches that end at or before this are passed over.
    from: Seq,
}

impl Locate<'_> {
    /// The answer for a room that is not known.
    pub(super) fn nothing() -> Self {
        Locate {
            runs: None,
            run: 0,
            bytes: &[],
            end: Point::default(),
            from: Seq(0),
        }
    }

    /// Decodes the next batch of the run, which has one.
    fn decode(&mut self) -> Located {
        let head = varint::take(&mut self.bytes);
        let hole = if head & 1 == 1 {
            varint::take(&mut self.bytes)
        } else {
            0
        };
        let step = varint::take(&mut self.bytes);
        let first = self.end.seq + hole;
        self.end = Point {
            seq: first + (head >> 1),
            at: self.end.at + step * BLOCK_ALIGN,
        };
        Located {
            first: Seq(first),
            next: Seq(self.end.seq),
            at: LogPosition::from_wire(self.end.at),
        }
    }

    /// The next batch, also if it lies below `from`.
    fn step(&mut self) -> Option<Located> {
        let runs = self.runs?;
        while self.bytes.is_empty() {
            let Some((bytes, start)) = runs.run(self.run) else {
                self.runs = None;
                return runs.last;
            };
            self.bytes = bytes;
            self.end = start;
            self.run += 1;
        }
        Some(self.decode())
    }
}

impl Iterator for Locate<'_> {
    type Item = Located;

    fn next(&mut self) -> Option<Located> {
        loop {
            let batch = self.step()?;
            if batch.next > self.from {
                return Some(batch);
            }
        }
    }
}

impl core::iter::FusedIterator for Locate<'_> {}
