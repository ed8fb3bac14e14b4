//! The segment that is being written: one buffer, one write per flush.

use alloc::vec::Vec;

use crate::block::{BlockHead, BlockSeed, block_bytes, encode_block};
use crate::disk_trait::{Disk, DiskError};
use crate::ids::{LogPosition, SegmentId};
use crate::limits::{
    BLOCK_HEAD_BYTES, FLUSH_BUFFER_BYTES_MAX, SEGMENT_HEADER_BYTES, SEGMENT_RESERVE_BYTES,
};
use crate::planted::{Bug, planted};
use crate::segment::MarkSlots;

/// Where appends go.
#[derive(Debug)]
pub(crate) struct ActiveSegment<D: Disk> {
    segment: SegmentId,
    file: D::File,
    seed: BlockSeed,
    segment_bytes: u32,
    /// Offset up to which the file has been written; the buffer follows.
    written_end: u32,
    buffer: Vec<u8>,
    slots: MarkSlots,
}

impl<D: Disk> ActiveSegment<D> {
    pub(crate) fn new(
        segment: SegmentId,
        file: D::File,
        directory_id: u128,
        segment_bytes: u32,
    ) -> ActiveSegment<D> {
        let slots = MarkSlots::default();
        let seed = BlockSeed::new(directory_id, segment);
        let buffer = Vec::new();
        ActiveSegment {
            segment,
            file,
            seed,
            segment_bytes,
            written_end: SEGMENT_HEADER_BYTES,
            buffer,
            slots,
        }
    }

    /// Goes on at `end` of a segment that was found on disk.
    pub(crate) fn resume(mut self, end: u32, slots: MarkSlots) -> ActiveSegment<D> {
        assert!(
            end >= SEGMENT_HEADER_BYTES && end <= self.segment_bytes,
            "INV-LOG-9: the end lies in the segment"
        );
        self.written_end = end;
        self.slots = slots;
        self
    }

    /// Takes the warm buffer of the segment before this one.
    pub(crate) fn reuse_buffer(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.buffer = buffer;
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    pub(crate) fn segment(&self) -> SegmentId {
        self.segment
    }

    /// Length of its file.
    pub(crate) fn segment_bytes(&self) -> u32 {
        self.segment_bytes
    }

    /// What is not written to yet.
    pub(crate) fn rest_bytes(&self) -> u32 {
        self.segment_bytes
            .saturating_sub(self.append_end().offset())
    }

    /// Where the next block will stand.
    pub(crate) fn append_end(&self) -> LogPosition {
        LogPosition::new(self.segment, self.written_end + self.buffer.len() as u32)
    }

    /// Whether a block with this payload fits and leaves room for MARK and END.
    pub(crate) fn has_room(&self, payload_len: u32) -> bool {
        self.has_room_leaving(payload_len, SEGMENT_RESERVE_BYTES)
    }

    /// Whether a MARK fits and leaves room for END.
    pub(crate) fn has_room_for_mark(&self) -> bool {
        self.has_room_leaving(0, BLOCK_HEAD_BYTES)
    }

    /// Whether an END fits.
    pub(crate) fn has_room_for_end(&self) -> bool {
        self.has_room_leaving(0, 0)
    }

    fn has_room_leaving(&self, payload_len: u32, reserve: u32) -> bool {
        let taken = u64::from(self.append_end().offset())
            + u64::from(block_bytes(payload_len))
            + u64::from(reserve);
        taken <= u64::from(self.segment_bytes)
    }

    /// Adds a block to the buffer; returns where it will stand.
    pub(crate) fn put(&mut self, head: &BlockHead, payload: &[u8]) -> LogPosition {
        let at = self.append_end();
        encode_block(&mut self.buffer, head, payload, at, self.seed);
        assert!(
            self.append_end().offset() <= self.segment_bytes,
            "INV-LOG-10: block beyond the end of its segment"
        );
        at
    }

    /// Whether the buffer has grown so far that it should be written before the flush is complete.
    pub(crate) fn is_buffer_full(&self) -> bool {
        self.buffer.len() >= FLUSH_BUFFER_BYTES_MAX
    }

    /// Writes the buffer; not synced.
    pub(crate) fn write(&mut self, disk: &D) -> Result<(), DiskError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        disk.write_at(&self.file, u64::from(self.written_end), &self.buffer)?;
        self.written_end += self.buffer.len() as u32;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the next mark slot; not synced.
    pub(crate) fn write_slot(&mut self, disk: &D, sync_end: LogPosition) -> Result<(), DiskError> {
        let slot = self.slots.next(sync_end);
        disk.write_at(
            &self.file,
            u64::from(slot.offset()),
            &slot.encode(self.segment, self.seed),
        )?;
        self.slots.newest = Some(slot);
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self, disk: &D) -> Result<(), DiskError> {
        assert!(
            self.buffer.is_empty(),
            "INV-LOG-11: a sync that leaves blocks in the buffer"
        );
        if planted(Bug::SkipSync) {
            return Ok(());
        }
        disk.sync(&self.file)
    }
}
