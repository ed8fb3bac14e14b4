//! Bounds of the log. Offsets in a segment are `u32`; everything read from a file is compared with these before use.

/// First page of a segment: header and mark slots. Blocks start after it.
pub const SEGMENT_HEADER_BYTES: u32 = 4_096;
/// Head of every block.
pub const BLOCK_HEAD_BYTES: u32 = 48;
/// Blocks start at multiples of this.
pub const BLOCK_ALIGN: u32 = 8;
/// What the disk writes whole or not at all.
pub const SECTOR_BYTES: u32 = 512;

/// Largest payload of a block: one entry of max(256 KiB, one record of 1 MiB), with room for its items' heads.
pub const BLOCK_PAYLOAD_BYTES_MAX: u32 = 1_280 * 1024;
/// Smallest segment: the header page and one page of blocks. For simulations; a server uses 64 MiB.
pub const SEGMENT_BYTES_MIN: u32 = 8 * 1024;
/// Largest segment: recovery holds two in memory, the one being read and the one that tells where that ended.
pub const SEGMENT_BYTES_MAX: u32 = 1024 * 1024 * 1024;
/// The usual segment.
pub const SEGMENT_BYTES_DEFAULT: u32 = 64 * 1024 * 1024;
/// Kept free at the end of each segment, so that the END mark always fits.
pub const SEGMENT_RESERVE_BYTES: u32 = 2 * BLOCK_HEAD_BYTES;
/// Space that is kept, beyond one segment, for what must be written even if publishes are refused: what was admitted before, control blocks,
/// checkpoints. One segment of the usual size.
pub const RESERVE_BYTES_DEFAULT: u64 = SEGMENT_BYTES_DEFAULT as u64;
/// Space, beyond one segment, at which publishes that were refused are taken again.
pub const RESUME_BYTES_DEFAULT: u64 = 2 * RESERVE_BYTES_DEFAULT;

/// Groups in one log: the most partitions that a directory may have, and the meta group.
pub const GROUPS_MAX: usize = 4_096 + 1;
/// Newest term runs told per group in STATE; older ones are known from the entries.
pub const TERM_RUNS_MAX: usize = 8;
/// Size of one write while filling a new segment with zeros.
pub const FILL_BYTES: u32 = 1024 * 1024;
/// How much of a segment made ahead is read when it is looked at first. The log fills a segment without gaps, and no run of
/// zeros in it is as long as this: whoever finds only zeros here knows that nothing follows.
pub const BLANK_PROOF_BYTES: u32 = SEGMENT_HEADER_BYTES + 2 * 1024 * 1024;
/// Size of one read where the disk could not read a file as a whole.
pub const READ_PAGE_BYTES: usize = 4_096;
/// Size of one read of a scrub. Small enough that a sync behind it hardly waits; a multiple of the page.
pub const SCRUB_READ_BYTES: u32 = 256 * 1024;
/// Most that a scrub holds in memory: the largest block and one piece.
pub const SCRUB_WINDOW_BYTES_MAX: u32 =
    BLOCK_HEAD_BYTES + BLOCK_PAYLOAD_BYTES_MAX + SCRUB_READ_BYTES;
/// Runs of records told of one stretch that cannot be read; if there are more, the stretch says so.
pub const SCRUB_LOSSES_MAX: usize = 256;
/// A flush writes when its buffer has grown to this.
pub const FLUSH_BUFFER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Entries without a known commit that recovery keeps in memory, for all groups together, by default.
pub const UNSETTLED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Findings told in one recovery report; more are counted only.
pub const FINDINGS_MAX: usize = 256;
/// Largest checkpoint file: opening holds one in memory.
pub const CHECKPOINT_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Checkpoint files kept per group.
pub const CHECKPOINT_GENERATIONS: usize = 2;

const _: () = assert!(
    SEGMENT_HEADER_BYTES.is_multiple_of(SECTOR_BYTES)
        && SEGMENT_HEADER_BYTES.is_multiple_of(BLOCK_ALIGN)
);
const _: () = assert!(
    (SCRUB_READ_BYTES as usize).is_multiple_of(READ_PAGE_BYTES)
        && (SEGMENT_HEADER_BYTES as usize).is_multiple_of(READ_PAGE_BYTES),
    "a scrub reads whole pages, so that the disk can name one that it cannot read"
);
const _: () = assert!(BLOCK_HEAD_BYTES.is_multiple_of(BLOCK_ALIGN));
const _: () = assert!(BLOCK_PAYLOAD_BYTES_MAX.is_multiple_of(BLOCK_ALIGN));
const _: () = assert!(
    BLANK_PROOF_BYTES > SEGMENT_HEADER_BYTES + BLOCK_HEAD_BYTES + BLOCK_PAYLOAD_BYTES_MAX,
    "the longest run of zeros that a block can hold is shorter"
);
const _: () = assert!(
    SEGMENT_BYTES_MIN > SEGMENT_HEADER_BYTES + SEGMENT_RESERVE_BYTES + 4 * BLOCK_HEAD_BYTES
);
const _: () = assert!(
    SEGMENT_BYTES_DEFAULT
        > SEGMENT_HEADER_BYTES
            + SEGMENT_RESERVE_BYTES
            + 2 * (BLOCK_PAYLOAD_BYTES_MAX + BLOCK_HEAD_BYTES),
    "STATE and the largest entry fit into one segment"
);
