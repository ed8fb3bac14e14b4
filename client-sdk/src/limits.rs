//! Every bound of the client that is not told by the broker in WELCOME.

use std::time::Duration;

/// One address may take this long to accept and greet; above the broker's own handshake limit of 5 s there is nothing to wait for.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// subscribe, history and ping: long enough for a restart of the broker in between.
pub(crate) const REQUEST_DEADLINE: Duration = Duration::from_secs(10);

/// publish: long enough for a restart with recovery in between.
pub(crate) const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);
const _: () = assert!(REQUEST_DEADLINE.as_millis() > CONNECT_TIMEOUT.as_millis());
const _: () = assert!(PUBLISH_DEADLINE.as_millis() > CONNECT_TIMEOUT.as_millis());

/// Upper end of the first wait before another attempt.
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(100);

/// Upper end of any wait before another attempt that the broker did not ask for.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(10);
const _: () = assert!(BACKOFF_FIRST.as_millis() <= BACKOFF_MAX.as_millis());

/// Unacked messages held by default; reaching it blocks publish until its deadline, then `Backpressure`.
pub(crate) const OUTBOX_MESSAGES: u32 = 16 * 1024;

/// Bytes of unacked messages held by default; one message larger than the bound is admitted when nothing else is held.
pub(crate) const OUTBOX_BYTES: u64 = 32 * 1024 * 1024;

/// Records that one subscription holds for a slow application by default; at the bound it unsubscribes, and resumes when half is read.
pub(crate) const SUBSCRIPTION_RECORDS: u32 = 4 * 1024;

/// Bytes of records that one subscription holds by default.
pub(crate) const SUBSCRIPTION_BYTES: u64 = 8 * 1024 * 1024;

/// Bytes queued for the socket before the session stops adding publishes; bounds the flat buffer of a turn.
pub(crate) const UNSENT_BYTES: usize = 256 * 1024;

/// Requests sent behind HELLO, before the broker has told how many it takes: enough for most clients to be live again in one
/// round trip. A broker whose limit is lower reads the others later.
pub(crate) const EARLY_REQUESTS: u32 = 16;

/// Signals and cursor moves that one subscription holds for a slow application; beyond it only the newest values wait.
pub(crate) const BESIDE_HELD: u32 = 256;

/// Newest values that wait beyond that, of keys and of cursors each; as many as the broker keeps waiting in a room.
pub(crate) const BESIDE_WAITING: usize = 256;

/// Bytes that the answer of one history request may hold; above it the request fails with `HistoryTooLarge`.
pub(crate) const HISTORY_BYTES: u64 = 256 * 1024 * 1024;

/// A producer older than this is replaced; the broker refuses it at 7 days.
pub(crate) const PRODUCER_AGE_MAX: Duration = Duration::from_secs(6 * 24 * 60 * 60);

/// Longest name of the client program in HELLO.
pub(crate) const CLIENT_NAME_BYTES: usize = 64;

/// Keepalives without a byte received after which a connection counts as dead, as the broker counts.
pub(crate) const SILENT_KEEPALIVES: u64 = 3;

/// How long a caller whose deadline passed waits for the driver to say whether its message was sent.
pub(crate) const GIVE_UP_GRACE: Duration = Duration::from_millis(250);

/// Bytes read from the socket in one turn before commands and timers are looked at again.
pub(crate) const READ_BYTES_PER_TURN: usize = 1024 * 1024;

/// Size of the buffer that the socket is read into.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Memory that a message costs in the outbox beside its bytes.
pub(crate) const MESSAGE_OVERHEAD_BYTES: u64 = 192;

/// Rooms whose numbers the outbox remembers; beyond it a client that may change its producer takes a new one and forgets
/// them. A client that keeps its producer must remember all.
pub(crate) const OUTBOX_ROOMS: usize = 64 * 1024;

/// A connection that lasted this long was a good one: the next attempt starts with the shortest wait again.
pub(crate) const STABLE_MS: u64 = 1_000;

/// Connections in a row, none of them stable, that may end because the broker breaks the protocol; at the last one the two
/// sides evidently disagree, and the session ends.
pub(crate) const VIOLATIONS: u32 = 2;

/// Addresses taken from one GOAWAY.
pub(crate) const REDIRECTS: usize = 16;

/// Names being looked up at a time; one more is an attempt that failed. All that one GOAWAY names can be looked up at once.
pub(crate) const LOOKUPS: usize = 2 * REDIRECTS;

/// Keepalive if the broker tells none.
pub(crate) const KEEPALIVE_MS: u64 = 5_000;

/// Fixed fields of a PUBLISH, docs/protocol.md section 4.
pub(crate) const PUBLISH_FIXED_BYTES: u64 = 48;

/// Stack of the driver's thread: its calls are shallow, and a program may hold a thousand clients.
pub(crate) const THREAD_STACK_BYTES: usize = 512 * 1024;

/// Brokers in a row that may send a client elsewhere without greeting it before it waits.
pub(crate) const MOVES: u32 = 4;

/// A task whose session has no deadline looks whether it has one by now after this long; a timer needs some end.
#[cfg(feature = "tokio")]
pub(crate) const IDLE_LOOK: Duration = Duration::from_secs(3_600);
