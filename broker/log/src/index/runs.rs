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
    /// Batches that the first sealed run has less than the others, < `RUN_BATCHES`.
    cut_batches: u8,
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

    /// Lets go of the batches that stand below `end`; tells how many.
    pub(super) fn trim(&mut self, end: LogPosition) -> u64 {
        if self.last.is_none_or(|last| last.at < end) {
            let gone = self.batches();
            *self = Runs::default();
            return gone;
        }
        let before = self.batches();
        // A run whose successor begins below the end has nothing at or above it.
        let starts = self.sealed.iter().skip(1).map(|run| run.start.at);
        let open = (self.open_batches > 0).then_some(self.open.start.at);
        let last = self.last.map(|last| last.at.wire());
        let successors = starts.chain(open.or(last));
        let whole = successors.take_while(|at| *at < end.wire()).count();
        let whole = whole.min(self.sealed.len());
        if whole > 0 {
            self.sealed.drain(..whole);
            self.cut_batches = 0;
        }
        if let Some(run) = self.sealed.first_mut() {
            let (start, bytes, gone) = cut(run.start, &run.bytes, end);
            self.cut_batches += gone;
            *run = Run {
                start,
                bytes: bytes.into_boxed_slice(),
            };
            if run.bytes.is_empty() {
                self.sealed.remove(0);
                self.cut_batches = 0;
            }
        }
        if self.sealed.is_empty() {
            let (start, bytes, gone) = cut(self.open.start, &self.open.bytes, end);
            self.open = Run { start, bytes };
            self.open_batches -= gone;
        }
        before - self.batches()
    }

    /// Number of batches.
    fn batches(&self) -> u64 {
        let sealed = self.sealed.len() as u64 * u64::from(RUN_BATCHES);
        sealed - u64::from(self.cut_batches)
            + u64::from(self.open_batches)
            + u64::from(self.last.is_some())
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

/// A run without its batches below `end`: start, bytes, and how many went. The batches behind the first one kept are relative to it, and stay as they are.
fn cut(start: Point, bytes: &[u8], end: LogPosition) -> (Point, Vec<u8>, u8) {
    let (mut rest, mut point, mut gone) = (bytes, start, 0);
    while !rest.is_empty() {
        let before = rest;
        let batch = decode(&mut rest, &mut point);
        if batch.at < end {
            gone += 1;
            continue;
        }
        if gone == 0 {
            return (start, before.to_vec(), 0);
        }
        let start = Point {
            seq: batch.first.0,
            at: batch.at.wire(),
        };
        let mut kept = Vec::with_capacity(rest.len() + 8);
        varint::push(&mut kept, (batch.next.0 - batch.first.0) << 1);
        varint::push(&mut kept, 0);
        kept.extend_from_slice(rest);
        return (start, kept, gone);
    }
    (Point::default(), Vec::new(), gone)
}

/// Decodes the next batch, which there is; `end` is what it is relative to, and becomes its own end.
fn decode(bytes: &mut &[u8], end: &mut Point) -> Located {
    let head = varint::take(bytes);
    let hole = if head & 1 == 1 {
        varint::take(bytes)
    } else {
        0
    };
    let step = varint::take(bytes);
    let first = end.seq + hole;
    *end = Point {
        seq: first + (head >> 1),
        at: end.at + step * BLOCK_ALIGN,
    };
    Located {
        first: Seq(first),
        next: Seq(end.seq),
        at: LogPosition::from_wire(end.at),
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
        Some(decode(&mut self.bytes, &mut self.end))
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
