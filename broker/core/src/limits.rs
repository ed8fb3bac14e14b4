//! Every bound of this crate: queue, buffer, wait and budget, with its unit, its reason and what happens when it is reached.
//!
//! What an operator may change lies in [`Limits`]; the constants are relations that the code relies on.

use antiphon_protocol::limits;

use crate::home::limits as home;

// ---- border between edge and home ------------------------------------------------------------------------------------------------------------

/// Batches a room channel holds. Full: the publishing connection is not read for at most [`CHANNEL_WAIT_MS`].
pub const CHANNEL_PLACES: usize = 64;

/// What a room channel takes without batches, in bytes, at most: two ends of a queue in cache lines of their own, and one block of pointers.
pub const CHANNEL_EMPTY_BYTES_MAX: usize = 1024;

/// Default of [`Budgets::batch_bytes_max`].
pub const BATCH_BYTES_MAX: u32 = 64 * 1024;

/// Default of [`Budgets::batch_publishes_max`].
pub const BATCH_PUBLISHES_MAX: usize = 1_024;

/// Messages that wait for one full lane, dirty entries apart. Above: this core reads none of its sessions, and refuses HELLOs by GOAWAY(UNAVAILABLE,
/// retry), until it is half of that. What still comes is what two turns had read, and answers to requests under way.
pub const LANE_WAITING_MAX: usize = 16 * 1024;

// ---- edge ------------------------------------------------------------------------------------------------------------------------------------

/// How long a full room channel stops its publisher, in ms; then ERROR(LIMIT).
pub const CHANNEL_WAIT_MS: u64 = 100;

/// How often parked batches are offered again, in ms, if nothing else wakes the core.
pub const CHANNEL_RETRY_MS: u64 = 4;

/// Most payload bytes of one connection that wait at the edge for a channel. Above: the connection is not read.
pub const UNSENT_BYTES_MAX: u32 = 256 * 1024;

/// Bytes in an outbox up to which live deliveries are queued. A delivery that does not fit makes the subscriber a reader behind.
pub const OUTBOX_BYTES_MAX: u32 = 256 * 1024;

/// Bytes in all outboxes of a core above which they are *scarce*: live deliveries are queued up to [`OUTBOX_SCARCE_BYTES`] only, and what readers behind
/// and FETCHes wait for is fetched only for connections that have nothing else to send, [`PULLS_SCARCE_MAX`] at a time. Nobody is cut, and whoever
/// takes its bytes goes on. Records count in each outbox that shares them, so the memory behind this number is mostly less,
/// and at most four times as much: what else of its entry a delivery keeps in memory is bounded by home.
pub const OUTBOXES_BYTES_MAX: usize = 64 * 1024 * 1024;

/// As [`OUTBOX_BYTES_MAX`], while outboxes are scarce.
pub const OUTBOX_SCARCE_BYTES: u32 = 32 * 1024;

const _: () = assert!(OUTBOX_SCARCE_BYTES < OUTBOX_BYTES_MAX);

/// What outboxes need while they have something to send is kept for the next ones: so many as one turn's fan-out fills, of 136 bytes.
pub const SPARE_QUEUES_MAX: usize = FANOUT_PER_TURN;

/// A kept queue has places for at most so many pieces.
pub const SPARE_PIECES_MAX: usize = 4;

/// Of the queues that are kept, so many may have places for more pieces: connections in many busy rooms get one from each in a turn.
pub const SPARE_WIDE_QUEUES_MAX: usize = 1_024;

/// So many pieces, of 32 bytes: 1 MiB in all.
pub const SPARE_WIDE_PIECES_MAX: usize = 32;

/// Write buffers kept for outboxes that have something to say again: 256 of at most 4 KiB.
pub const SPARE_BUFFERS_MAX: usize = 256;

/// A write buffer larger than this is freed, in bytes.
pub const SPARE_BUFFER_BYTES_MAX: usize = 4 * 1024;

/// A reader behind is refilled while its outbox holds less than this, in bytes.
pub const REFILL_BELOW_BYTES: u32 = 128 * 1024;

/// Records asked for by one Tail or Fetch, in bytes.
pub const SLICE_BYTES_MAX: u32 = 32 * 1024;

/// Bytes in an outbox above which its connection is not read: the client makes us answer and does not read the answers.
pub const OUTBOX_PAUSE_BYTES: u32 = OUTBOX_BYTES_MAX + 64 * 1024;

const _: () = assert!(REFILL_BELOW_BYTES + SLICE_BYTES_MAX <= OUTBOX_BYTES_MAX);
const _: () = assert!(OUTBOX_BYTES_MAX < OUTBOX_PAUSE_BYTES);

/// Tail and page requests under way per connection.
pub const PULLS_PER_CONNECTION_MAX: u32 = 4;

/// Tail and page requests under way per core: 256 x 32 KiB = 8 MiB of slices in lanes and reader threads at most (plus one big record each).
pub const PULLS_PER_CORE_MAX: u32 = 256;

/// As [`PULLS_PER_CORE_MAX`], while outboxes are scarce.
pub const PULLS_SCARCE_MAX: u32 = 16;

const _: () = assert!(PULLS_SCARCE_MAX < PULLS_PER_CORE_MAX);

/// A connection with no more subscriptions than this has them searched one by one; with more, they are in the edge's hash tables.
pub const SUBSCRIPTIONS_SCANNED_MAX: usize = 8;

/// Deliveries made in one turn before the other inputs get their turn.
pub const FANOUT_PER_TURN: usize = 8_192;

/// A delivery to at least so many subscribers gets a count of sharers of its own on this core: the entry's is shared with other cores, and each clone
/// would fetch it from them.
pub const FANOUT_OWN_COUNT_MIN: usize = 16;

/// Deliveries of one room that wait behind a sliced fan-out. More: they are dropped and the room's subscribers fall behind.
pub const FANOUT_BACKLOG_MAX: usize = 64;

/// A signal is queued only if the outbox holds less than this with it, in bytes: a slow reader loses signals long before its records wait.
pub const SIGNAL_OUTBOX_BYTES_MAX: usize = OUTBOX_SCARCE_BYTES as usize;

/// Signals offered to subscriptions in one turn, each to each. Less than deliveries get: signals are what a busy edge drops first.
pub const SIGNALS_PER_TURN: usize = FANOUT_PER_TURN / 2;

/// A room with no more listeners than this gets each signal at once; with more, all that came in a turn together at its end.
pub const SIGNAL_LISTENERS_AT_ONCE_MAX: usize = 64;

/// Signals of one room that wait for their turn: a quarter of what a room takes in a second, which may come all at once. More: the newest are dropped,
/// and counted as lost by everybody.
pub const SIGNAL_BACKLOG_MAX: usize = 256;

/// How often subscriptions that lost signals, or wait for keyed ones, are looked at, in ms.
pub const SIGNAL_RETRY_MS: u64 = 250;

/// Subscriptions that are looked at each time.
pub const SIGNALS_OWED_PER_TURN: usize = 1_024;

/// Room channels an edge keeps open. Above: a publish to one more room looks for idle ones to let go, and is ERROR(LIMIT) if it finds none.
pub const CHANNELS_MAX: usize = 65_536;

const _: () = assert!(
    CHANNELS_MAX * CHANNEL_EMPTY_BYTES_MAX <= 64 * 1024 * 1024,
    "one client that publishes to every room there is costs no more than full outboxes do"
);

/// A channel unused for so long is let go when it is looked at next, in ms; each is looked at as often.
pub const CHANNEL_IDLE_MS: u64 = 60_000;

/// Channels looked at each time; more that are due are looked at in the next turn.
pub const CHANNEL_SWEEP_MAX: usize = 256;

/// While drained, publishes under way may take this long to be answered before GOAWAY goes out, in ms.
pub const DRAIN_WAIT_MS: u64 = 2_000;

/// A time in the log may be so far ahead of the clock and still be believed when producers are drawn, in ms: a day. Far below the 7 days by which a
/// producer's birth may miss a partition's time.
pub const BIRTH_AHEAD_MS_MAX: u64 = 24 * 60 * 60 * 1_000;

/// After a restart with a clock behind the log, births start at random within so many ms of the log's newest time: an hour, so that 2^33 starts are
/// possible and none is far ahead.
pub const BIRTH_SPREAD_MS: u64 = 60 * 60 * 1_000;

const _: () = assert!(BIRTH_AHEAD_MS_MAX + BIRTH_SPREAD_MS < limits::PRODUCER_AGE_MS_MAX / 2);

/// A connection that is not read, whatever for, and takes no byte (but for PINGs) for so long is closed, in ms, or after its silence if that is longer:
/// it may be dead, and we cannot hear it.
pub const STALLED_MS: u64 = 60_000;

/// A connection whose GOAWAY cannot be sent within this time is closed without, in ms.
pub const CLOSING_MS: u64 = 5_000;

/// Messages between halves of one core handled per turn before the turn ends, so that sockets are polled again.
pub const LOCAL_MESSAGES_PER_TURN: usize = 16_384;

/// What the operator sets; told to clients in WELCOME where it concerns them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Largest `len` of a frame after WELCOME, both ways.
    pub frame_bytes_max: u32,
    /// Largest body of a publish.
    pub body_bytes_max: u32,
    /// Largest headers of a publish.
    pub headers_bytes_max: u32,
    /// Unanswered publishes of a connection; at the limit it is not read.
    pub in_flight_max: u32,
    /// Subscriptions of a connection; above: ERROR(LIMIT).
    pub subscriptions_max: u32,
    /// Unanswered SUBSCRIBE and FETCH of a connection; at the limit it is not read.
    pub requests_max: u32,
    /// Largest `limit` of FETCH; above: ERROR(LIMIT).
    pub fetch_records_max: u32,
    /// Keepalive of a client that names none, in ms.
    pub keepalive_ms: u32,
    /// The keepalive that a client names is clamped to this range, in ms.
    pub keepalive_range_ms: (u32, u32),
    /// Time to a complete HELLO, in ms.
    pub handshake_ms: u64,
    /// A started frame must be whole within this time, in ms, or keep [`Limits::frame_bytes_per_second`].
    pub frame_ms: u64,
    /// Slowest arrival of a frame that takes longer than [`Limits::frame_ms`].
    pub frame_bytes_per_second: u64,
    /// Upper end of the personal retry_after of a drained connection, in ms.
    pub drain_spread_ms: u32,
    /// Budgets of memory and disk; nobody is told.
    pub budgets: Budgets,
}

/// Budgets of memory and disk inside a node. The defaults are meant for everybody; a simulation makes them tiny to reach their edges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Budgets {
    /// Payload bytes of the newest entries kept in memory; at least four entries.
    pub hot_bytes: usize,
    /// Most bytes of one entry, unless a single publish is larger.
    pub entry_bytes_max: usize,
    /// Least bytes that a ready room may stamp per turn; at most one entry.
    pub room_visit_bytes_min: usize,
    /// Raft drops proposals beyond this many uncommitted bytes, unless nothing else is uncommitted.
    pub uncommitted_bytes_max: u64,
    /// Log bytes between two checkpoints, at least.
    pub checkpoint_bytes_min: u64,
    /// Most payload bytes of a publish batch, unless it is a single publish.
    pub batch_bytes_max: u32,
    /// Most publishes of a batch.
    pub batch_publishes_max: usize,
    /// Bytes in an outbox up to which live deliveries are queued; what else is told by outboxes is a fixed part of it.
    pub outbox_bytes: u32,
    /// Bytes in all outboxes of a core above which they are scarce.
    pub outboxes_bytes: usize,
}

impl Budgets {
    /// Those that are meant for everybody.
    const USUAL: Budgets = Budgets {
        hot_bytes: home::HOT_BYTES_DEFAULT,
        entry_bytes_max: home::ENTRY_BYTES_MAX,
        room_visit_bytes_min: home::ROOM_VISIT_BYTES_MIN,
        uncommitted_bytes_max: home::UNCOMMITTED_BYTES_MAX,
        checkpoint_bytes_min: home::CHECKPOINT_BYTES_MIN,
        batch_bytes_max: BATCH_BYTES_MAX,
        batch_publishes_max: BATCH_PUBLISHES_MAX,
        outbox_bytes: OUTBOX_BYTES_MAX,
        outboxes_bytes: OUTBOXES_BYTES_MAX,
    };

    /// As `outbox_bytes`, while outboxes are scarce; also, up to which signals are queued.
    pub(crate) const fn outbox_scarce_bytes(&self) -> usize {
        (self.outbox_bytes / (OUTBOX_BYTES_MAX / OUTBOX_SCARCE_BYTES)) as usize
    }

    /// A reader behind is refilled while its outbox holds less than this.
    pub(crate) const fn refill_below_bytes(&self) -> usize {
        (self.outbox_bytes / (OUTBOX_BYTES_MAX / REFILL_BELOW_BYTES)) as usize
    }

    /// Records asked for by one Tail or Fetch.
    pub(crate) const fn slice_bytes(&self) -> u32 {
        self.outbox_bytes / (OUTBOX_BYTES_MAX / SLICE_BYTES_MAX)
    }

    /// Bytes in an outbox above which its connection is not read.
    pub(crate) const fn outbox_pause_bytes(&self) -> usize {
        self.outbox_bytes as usize + self.outbox_bytes as usize / 4
    }
}

/// The usual outbox has the parts that are written down as limits.
const _: () = {
    let usual = Budgets::USUAL;
    assert!(usual.outbox_scarce_bytes() == OUTBOX_SCARCE_BYTES as usize);
    assert!(usual.outbox_scarce_bytes() == SIGNAL_OUTBOX_BYTES_MAX);
    assert!(usual.refill_below_bytes() == REFILL_BELOW_BYTES as usize);
    assert!(usual.slice_bytes() == SLICE_BYTES_MAX);
    assert!(usual.outbox_pause_bytes() == OUTBOX_PAUSE_BYTES as usize);
};

/// Nodes of a cluster, all of them voters of every group.
pub const MEMBERS_MAX: usize = 7;

impl Default for Budgets {
    fn default() -> Budgets {
        Budgets::USUAL
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes_max: limits::FRAME_BYTES_MAX,
            body_bytes_max: limits::BODY_BYTES_MAX,
            headers_bytes_max: limits::HEADERS_BYTES_MAX,
            in_flight_max: limits::IN_FLIGHT_MAX,
            subscriptions_max: limits::SUBSCRIPTIONS_MAX,
            requests_max: limits::REQUESTS_MAX,
            fetch_records_max: limits::FETCH_RECORDS_MAX,
            keepalive_ms: limits::KEEPALIVE_MS,
            keepalive_range_ms: (1_000, 60_000),
            handshake_ms: limits::HANDSHAKE_MS_MAX,
            frame_ms: limits::FRAME_MS_MAX,
            frame_bytes_per_second: limits::FRAME_BYTES_PER_SECOND_MIN as u64,
            drain_spread_ms: 5_000,
            budgets: Budgets::default(),
        }
    }
}
