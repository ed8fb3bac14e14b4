//! Every limit of the protocol, with unit, reason and relation to its neighbours (docs/protocol.md, section 8).
//!
//! Those marked *told* are defaults that the server repeats in WELCOME: a client obeys WELCOME, not this file.

use crate::frame::FRAME_HEADER_BYTES;
use crate::record::RECORD_HEADER_BYTES;

/// Lowest protocol version this crate speaks.
pub const VERSION_MIN: u8 = 1;
/// Highest protocol version this crate speaks.
pub const VERSION_MAX: u8 = 1;

/// Largest `len` of a frame before WELCOME, in bytes, both ways: a stranger costs at most this much memory.
pub const HANDSHAKE_BYTES_MAX: u32 = 8_192;
/// Largest `len` of a frame after WELCOME, in bytes. *Told.*
pub const FRAME_BYTES_MAX: u32 = 1024 * 1024;
/// Least `frame_bytes_max` that a HELLO may ask for, in bytes.
pub const FRAME_BYTES_MAX_FLOOR: u32 = HANDSHAKE_BYTES_MAX;

/// Largest body of a PUBLISH, in bytes. *Told.*
pub const BODY_BYTES_MAX: u32 = 256 * 1024;
/// Largest header list of a PUBLISH, in bytes. *Told.*
pub const HEADERS_BYTES_MAX: u32 = 4_096;
/// Longest room name, in bytes. *Told.*
pub const ROOM_NAME_BYTES_MAX: usize = 255;
/// Longest user name, in bytes; also the longest sender of a record.
pub const USER_NAME_BYTES_MAX: usize = 64;
/// Longest client name and version in HELLO, in bytes.
pub const CLIENT_BYTES_MAX: usize = 64;
/// Longest key header, in bytes.
pub const KEY_BYTES_MAX: usize = 64;
/// Longest text that this crate puts into GOAWAY or ERROR, in bytes; a longer one is cut at a character.
pub const TEXT_BYTES_MAX: usize = 512;

/// Unanswered PUBLISH frames of one connection. *Told.* Also how far back a duplicate's seq is still looked up.
pub const IN_FLIGHT_MAX: u32 = 1_024;
/// Unanswered SUBSCRIBE, FETCH, CURSOR and METADATA frames of one connection. *Told.*
pub const REQUESTS_MAX: u32 = 64;
/// Subscriptions of one connection. *Told.*
pub const SUBSCRIPTIONS_MAX: u32 = 16_384;
/// Records of one FETCH. *Told.*
pub const FETCH_RECORDS_MAX: u32 = 10_000;

/// Entries of one PUBACK that this crate writes, so that it fits any negotiated frame limit.
pub const PUBACK_ENTRIES_MAX: u32 = 128;

/// A connection must have its WELCOME within this time, in ms.
pub const HANDSHAKE_MS_MAX: u64 = 5_000;
/// A started frame must be whole within this time, in ms, unless it arrives at [`FRAME_BYTES_PER_SECOND_MIN`].
pub const FRAME_MS_MAX: u64 = 10_000;
/// Least rate at which a started frame may arrive for longer than [`FRAME_MS_MAX`], in bytes a second.
pub const FRAME_BYTES_PER_SECOND_MIN: u32 = 1_024;
/// Default keepalive, in ms. *Told.*
pub const KEEPALIVE_MS: u32 = 5_000;
/// A connection from which nothing came for this many keepalives is closed.
pub const KEEPALIVES_MISSED_MAX: u32 = 3;

/// Rooms of one partition.
pub const PARTITION_ROOMS_MAX: u32 = 512 * 1024;
/// Producers that one partition remembers, one per (room, sender, session) of the last seven days.
pub const PARTITION_PRODUCERS_MAX: u32 = 2 * 1024 * 1024;

/// Erased records that one partition keeps apart: 16 bytes each.
pub const PARTITION_ERASED_MAX: u32 = 1024 * 1024;

/// Longest name of a cursor, in bytes.
pub const CURSOR_NAME_BYTES_MAX: usize = 32;
/// Cursors of one user in one room: some for reading, some for programs.
pub const ROOM_CURSORS_MAX: u32 = 8;
/// Cursors of one user in one partition, so that nobody takes up [`PARTITION_CURSORS_MAX`] alone.
pub const USER_CURSORS_MAX: u32 = 16_384;
/// Cursors of one partition.
pub const PARTITION_CURSORS_MAX: u32 = 2 * 1024 * 1024;
/// A cursor is written down, and told, at most once in this time, in ms, unless it is set with sync: what a crash may take back.
pub const CURSOR_MS_MIN: u64 = 2_000;

/// Longest name of a signal, in bytes.
pub const SIGNAL_NAME_BYTES_MAX: usize = 32;
/// Longest value of a signal, in bytes.
pub const SIGNAL_VALUE_BYTES_MAX: usize = 1_024;
/// Signals that one connection may send in a second.
pub const SIGNALS_PER_SECOND_MAX: u32 = 64;
/// Signals that one connection may send at once, after a pause.
pub const SIGNALS_BURST_MAX: u32 = 128;
/// Signals that one room takes in a second.
pub const ROOM_SIGNALS_PER_SECOND_MAX: u32 = 1_024;
/// Keyed values of one room that wait for subscriptions that could not take them.
pub const ROOM_SIGNALS_WAITING_MAX: u32 = 256;
/// How long a keyed value waits, in ms.
pub const SIGNAL_WAIT_MS_MAX: u64 = 30_000;

/// What is known of a producer in a room is kept for so long after its birth and its last use, in ms, and none born further
/// ahead may start there (7 days).
pub const PRODUCER_AGE_MS_MAX: u64 = 7 * 24 * 3_600 * 1_000;
/// A client takes a new producer at this age, in ms (6 days).
pub const PRODUCER_RENEW_MS: u64 = 6 * 24 * 3_600 * 1_000;

/// Lowest version of the peer protocol this crate speaks.
pub const PEER_VERSION_MIN: u8 = 1;
/// Highest version of the peer protocol this crate speaks.
pub const PEER_VERSION_MAX: u8 = 1;
/// Largest `len` of a peer frame, in bytes, once PEER_WELCOME is there; before it [`HANDSHAKE_BYTES_MAX`].
pub const PEER_FRAME_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// A RAFT frame is closed once it has so many bytes, and the next message starts another one.
pub const PEER_FRAME_BYTES_FULL: u32 = 1024 * 1024;
/// Largest payload of one entry, in bytes: what a block of the log holds.
pub const PEER_ENTRY_BYTES_MAX: u32 = 1_310_720;
/// Entries of one APPEND. Their payloads are at most this crate's [`PEER_APPEND_BYTES_MAX`] together, or one entry.
pub const PEER_ENTRIES_MAX: u16 = 4_096;
/// Payload bytes of one APPEND of several entries.
pub const PEER_APPEND_BYTES_MAX: u32 = 1024 * 1024;
/// A peering from which nothing came for so long is closed, in ms: more than an election takes, less than a client waits.
pub const PEER_SILENCE_MS_MAX: u64 = 2_000;
/// A node that has nothing else to say sends a PEER_PING this often, in ms.
pub const PEER_PING_MS: u64 = 500;

const _: () = assert!(PEER_VERSION_MIN <= PEER_VERSION_MAX);
const _: () = assert!(
    PEER_FRAME_BYTES_FULL
        + PEER_APPEND_BYTES_MAX
        + PEER_ENTRY_BYTES_MAX
        + PEER_ENTRIES_MAX as u32 * 32
        + 64
        <= PEER_FRAME_BYTES_MAX,
    "a frame that is not full takes any message"
);
const _: () = assert!(3 * PEER_PING_MS < PEER_SILENCE_MS_MAX);
const _: () = assert!(
    RECORD_BYTES_MAX < PEER_ENTRY_BYTES_MAX,
    "an entry holds any record"
);

/// Largest RECORD frame, its header included, that a PUBLISH within the default limits can make, in bytes.
pub const RECORD_BYTES_MAX: u32 = RECORD_HEADER_BYTES as u32
    + USER_NAME_BYTES_MAX as u32
    + HEADERS_BYTES_MAX
    + BODY_BYTES_MAX
    + 7;

const _: () = assert!(
    RECORD_BYTES_MAX - FRAME_HEADER_BYTES as u32 <= FRAME_BYTES_MAX,
    "a record fits a frame"
);
const _: () = assert!(HEADERS_BYTES_MAX <= u16::MAX as u32, "headers_len is a u16");
const _: () = assert!(ROOM_NAME_BYTES_MAX <= u8::MAX as usize, "room_len is a u8");
const _: () = assert!(
    USER_NAME_BYTES_MAX <= u8::MAX as usize,
    "user_len and sender_len are a u8"
);
const _: () = assert!(TEXT_BYTES_MAX <= u16::MAX as usize, "text_len is a u16");
const _: () = assert!(
    8 + 56 * PUBACK_ENTRIES_MAX <= FRAME_BYTES_MAX_FLOOR,
    "a PUBACK fits every client"
);
const _: () = assert!(
    CURSOR_NAME_BYTES_MAX <= u8::MAX as usize && SIGNAL_NAME_BYTES_MAX <= u8::MAX as usize,
    "name_len is a u8"
);
const _: () = assert!(KEY_BYTES_MAX <= u8::MAX as usize, "key_len is a u8");
const _: () = assert!(
    SIGNAL_VALUE_BYTES_MAX
        + SIGNAL_NAME_BYTES_MAX
        + KEY_BYTES_MAX
        + USER_NAME_BYTES_MAX
        + ROOM_NAME_BYTES_MAX
        + 32
        <= HANDSHAKE_BYTES_MAX as usize,
    "a SIGNAL fits every client"
);
const _: () = assert!(
    ROOM_CURSORS_MAX as usize * (18 + CURSOR_NAME_BYTES_MAX) + 80 + 4
        <= HANDSHAKE_BYTES_MAX as usize,
    "a SUBSCRIBED with all cursors fits every client"
);
const _: () =
    assert!(ROOM_CURSORS_MAX <= USER_CURSORS_MAX && USER_CURSORS_MAX < PARTITION_CURSORS_MAX);
const _: () = assert!(
    SIGNALS_PER_SECOND_MAX <= SIGNALS_BURST_MAX && SIGNALS_BURST_MAX < ROOM_SIGNALS_PER_SECOND_MAX
);
const _: () =
    assert!(FRAME_BYTES_MAX_FLOOR <= FRAME_BYTES_MAX && HANDSHAKE_BYTES_MAX <= FRAME_BYTES_MAX);
const _: () = assert!(
    PRODUCER_RENEW_MS < PRODUCER_AGE_MS_MAX,
    "a client renews before the server forgets"
);
