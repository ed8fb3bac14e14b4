//! Bounds of a home core. Each has a reason, a relation to its neighbours and a named outcome.

use antiphon_log::limits::{BLOCK_PAYLOAD_BYTES_MAX, CHECKPOINT_BYTES_MAX};
use antiphon_protocol::limits::{
    CURSOR_NAME_BYTES_MAX, PARTITION_CURSORS_MAX, PARTITION_ERASED_MAX, PARTITION_PRODUCERS_MAX,
    PARTITION_ROOMS_MAX, PEER_APPEND_BYTES_MAX, PEER_ENTRIES_MAX, PEER_ENTRY_BYTES_MAX,
    USER_NAME_BYTES_MAX,
};
use antiphon_protocol::record_bytes;

/// Whoever is refused because the disk is full is asked to wait so long, in ms: space comes back when an operator makes some, and every attempt costs
/// a turn. All who wait come at once then, each with what it has in flight, as after any pause.
pub(crate) const STORAGE_RETRY_MS: u32 = 500;

/// Most bytes of one entry's payload, unless a single publish is larger: one proposal per partition and turn.
pub(crate) const ENTRY_BYTES_MAX: usize = 256 * 1024;

/// Least bytes that a room may stamp per turn, however many rooms are ready; then the next room's turn comes.
pub(crate) const ROOM_VISIT_BYTES_MIN: usize = 16 * 1024;
const _: () = assert!(ROOM_VISIT_BYTES_MIN <= ENTRY_BYTES_MAX);

/// Bytes that a delivery, slice or page may keep in memory for each of its own: it shares its entry, or is a copy if the entry is more than so many
/// times larger.
pub(crate) const KEPT_PER_DELIVERED_MAX: usize = 4;

/// Most channels that a core takes out of its ready queue in one turn; the others wait for the next turn.
pub(crate) const CHANNELS_PER_TURN_MAX: usize = 1_024;

/// Most bytes of records in one slice or page, whatever was asked for; a single larger record still goes.
pub(crate) const SLICE_BYTES_MAX: u32 = 256 * 1024;

/// Most blocks named in one read job. Reached: the answer is shorter than asked for.
pub(crate) const LOCATED_MAX: usize = 512;

/// Default of [`HomeSettings::hot_bytes`](crate::HomeSettings): payload bytes of the newest entries kept in memory per partition.
pub(crate) const HOT_BYTES_DEFAULT: usize = 4 * 1024 * 1024;
const _: () = assert!(
    HOT_BYTES_DEFAULT >= 4 * ENTRY_BYTES_MAX,
    "a full entry is on its way while others are stamped"
);

/// Most committed bytes that one ready hands out; the rest comes with the next one.
pub(crate) const COMMITTED_BYTES_PER_READY: u64 = 1024 * 1024;

/// Most payload bytes of one message to a follower, unless it is one entry.
pub(crate) const RAFT_MESSAGE_BYTES_MAX: u64 = PEER_APPEND_BYTES_MAX as u64;

/// Entries that one message to a follower takes out of the hot tail; those of the proposal being made may come on top.
pub(crate) const RAFT_ENTRIES_PER_MESSAGE_MAX: usize = 2_048;
const _: () = assert!(
    2 * RAFT_ENTRIES_PER_MESSAGE_MAX <= PEER_ENTRIES_MAX as usize,
    "what the library makes, the codec takes"
);
const _: () = assert!(
    BLOCK_PAYLOAD_BYTES_MAX == PEER_ENTRY_BYTES_MAX,
    "what a block holds, a peer takes"
);

/// Entries of a partition whose places in the log are known: 4 MiB. A replica that lags by more cannot be fed from here, and stays behind.
pub(crate) const ENTRY_PLACES_MAX: usize = 1 << 20;

/// Beginnings of entries that replicas want which lag; more ask again.
pub(crate) const WANTED_MAX: usize = crate::limits::MEMBERS_MAX;

/// Raft's ticks after which a piece of the log that was read for replicas that lag is let go: a second.
pub(crate) const PIECE_TICKS_MAX: u32 = 1_000 / TICK_MS as u32;

/// Appends on their way to one follower. Beyond them it is sent nothing more until it answers.
pub(crate) const RAFT_APPENDS_IN_FLIGHT_MAX: usize = 64;

/// How long a request waits for a leader, in ms; then it is refused, and its client may try another node.
pub(crate) const LEADERLESS_MS_MAX: u64 = 2_000;
const _: () = assert!(
    LEADERLESS_MS_MAX >= 2 * TICK_MS * ELECTION_TICKS_MAX as u64,
    "an election, and another one, fit"
);

/// After so long a replica asks its leader again, in ms: the question, or the answer, was lost, or the leader was not ready yet.
pub(crate) const QUESTION_AGAIN_MS: u64 = 2 * TICK_MS * HEARTBEAT_TICKS as u64;
const _: () = assert!(QUESTION_AGAIN_MS * 4 <= LEADERLESS_MS_MAX);

/// How long subscriptions live on a replica that knows no leader, in ms; then they end, and their clients look for another node.
pub(crate) const ORPHAN_MS_MAX: u64 = 10_000;
const _: () = assert!(LEADERLESS_MS_MAX < ORPHAN_MS_MAX);

/// Raft drops proposals beyond this many uncommitted bytes. Far above the hot budget, which stops admission earlier.
pub(crate) const UNCOMMITTED_BYTES_MAX: u64 = 64 * 1024 * 1024;
const _: () = assert!(UNCOMMITTED_BYTES_MAX as usize > 4 * HOT_BYTES_DEFAULT);

/// How often a partition looks for producers that fell silent.
pub(crate) const EXPIRE_EVERY_MS: u64 = 60_000;
/// How many producers it looks at each time.
pub(crate) const EXPIRE_LOOK_MAX: usize = 4_096;
/// How many of them leave in one entry.
pub(crate) const EXPIRE_PER_ENTRY_MAX: usize = 512;
/// What one of them takes in an entry, at most: producer, length, name, and an item of its own with its padding.
pub(crate) const EXPIRED_BYTES_MAX: usize = 8 + 1 + 64 + 8 + 16 + 7;

/// A partition writes cursors down at most so often, in ms, but for those that somebody waits for.
pub(crate) const CURSORS_EVERY_MS: u64 = 100;
/// How many cursors one entry moves at most; more wait for the next one.
pub(crate) const CURSORS_PER_ENTRY_MAX: usize = 512;
/// What one of them takes in an entry, at most: fixed fields and two names.
pub(crate) const CURSOR_BYTES_MAX: usize = 35 + CURSOR_NAME_BYTES_MAX + USER_NAME_BYTES_MAX;

/// What an erased record takes in an entry and in a checkpoint: its room and its seq.
pub(crate) const ERASED_BYTES: usize = 16;
/// What the item that erases records takes in an entry besides them.
pub(crate) const ERASE_HEAD_BYTES: usize = 16;

/// Heads and padding of a room's items in an entry, without the room's name.
pub(crate) const VISIT_HEADS_BYTES: usize = 8 + 13 + 7 + 8 + 40;

/// Largest body that any configuration allows.
const BODY_BYTES_CEILING: usize = 1024 * 1024;
/// What one record of that size takes in an entry, with its room's name.
const RECORD_BYTES_CEILING: usize =
    record_bytes(64, 4_096, BODY_BYTES_CEILING) + VISIT_HEADS_BYTES + 255;
const _: () = assert!(ENTRY_BYTES_MAX <= RECORD_BYTES_CEILING);
const _: () = assert!(
    RECORD_BYTES_CEILING
        + EXPIRE_PER_ENTRY_MAX * EXPIRED_BYTES_MAX
        + CURSORS_PER_ENTRY_MAX * CURSOR_BYTES_MAX
        + ERASED_BYTES
        + ERASE_HEAD_BYTES
        + 24
        <= BLOCK_PAYLOAD_BYTES_MAX as usize,
    "every entry fits into a block"
);

/// A new checkpoint is made after this many log bytes at least.
pub(crate) const CHECKPOINT_BYTES_MIN: u64 = 1024 * 1024;
/// A new checkpoint is made after log bytes of this many times the last one's size.
pub(crate) const CHECKPOINT_FACTOR: u64 = 4;

/// A partition whose oldest entry behind its checkpoint stands this many segments back is checkpointed however little it wrote: opening reads the
/// entries behind checkpoints in the last four segments at most.
pub(crate) const CHECKPOINT_SEGMENTS: u32 = 3;

/// Most rooms of a partition: 8 million on a node with 16 partitions. Reached: a publish that would create one more is ERROR(LIMIT).
pub(crate) const ROOMS_MAX: usize = PARTITION_ROOMS_MAX as usize;
/// Most producers that a partition remembers, one per (room, sender, session) of the last seven days. Reached: a publish that would be the first
/// of one more is ERROR(LIMIT), until others have left.
pub(crate) const PRODUCERS_MAX: usize = PARTITION_PRODUCERS_MAX as usize;
/// Most erased records of a partition. Reached: a redact is ERROR(LIMIT).
pub(crate) const ERASED_MAX: usize = PARTITION_ERASED_MAX as usize;
/// What a room takes in a checkpoint, at most: five fields, namespace, and a name of 255 bytes; and its slot's counter.
const ROOM_BYTES_CEILING: usize = 5 * 8 + 4 + 1 + 255 + 16;
/// What a producer takes in a checkpoint, at most: five fields, and a name of 64 bytes.
const PRODUCER_BYTES_CEILING: usize = 5 * 8 + 1 + 64;
const _: () = assert!(
    ROOMS_MAX * ROOM_BYTES_CEILING
        + PRODUCERS_MAX * PRODUCER_BYTES_CEILING
        + PARTITION_CURSORS_MAX as usize * CURSOR_BYTES_MAX
        + ERASED_MAX * ERASED_BYTES
        <= CHECKPOINT_BYTES_MAX,
    "whatever clients do, the state fits into a checkpoint"
);

/// Resolved windows of duplicates that a partition remembers; the oldest one goes first.
pub(crate) const WINDOWS_MAX: usize = 16;
/// Cold look-ups of a partition under way at a time: what retries can make reader threads read and hold is 8 slices of [`LOOK_UP_BYTES_MAX`].
/// Reached: further retries wait for their answer.
pub(crate) const LOOK_UPS_MAX: usize = 8;
/// Records that a partition walks over per turn to answer retries, and one part of an entry more at most. Reached: the rest goes on in the next turn.
pub(crate) const LOOK_UP_RECORDS_MAX: usize = 16 * 1024;
/// How far before the record sought a cold look-up starts to read, in seqs: a producer's records are near each other.
pub(crate) const LOOK_BACK_SEQS: u64 = 256;
/// Most bytes of one cold look-up.
pub(crate) const LOOK_UP_BYTES_MAX: u32 = 256 * 1024;

/// Least bytes of a record: so many records can be in a slice, and so many marks of erased ones in the job that reads it.
pub(crate) const RECORD_BYTES_MIN: usize = record_bytes(1, 0, 0);
/// Targets that a partition has reader threads look for at a time, to know who published them. Reached: further ones wait for an answer.
pub(crate) const TARGET_LOOKS_MAX: usize = 8;
/// Targets found so that a partition remembers; the oldest one goes first.
pub(crate) const TARGETS_KNOWN_MAX: usize = 64;
const _: () = assert!(
    TARGETS_KNOWN_MAX >= 2 * TARGET_LOOKS_MAX,
    "what was found is there when the publish that waited for it is looked at again"
);

/// Raft's clock, in ms per tick, and its timeouts in ticks.
pub(crate) const TICK_MS: u64 = 25;
/// Ticks between two heartbeats.
pub(crate) const HEARTBEAT_TICKS: usize = 3;
/// Least ticks without a leader before an election.
pub(crate) const ELECTION_TICKS_MIN: usize = 12;
/// Ticks before an election are fewer than this.
pub(crate) const ELECTION_TICKS_MAX: usize = 24;
const _: () =
    assert!(HEARTBEAT_TICKS < ELECTION_TICKS_MIN && ELECTION_TICKS_MIN < ELECTION_TICKS_MAX);

/// No room ever gets to this seq: at a record a nanosecond that takes 292 years. What says that one did is not believed, so that seqs can be counted on
/// from without a check.
pub(crate) const SEQ_END: u64 = 1 << 63;
