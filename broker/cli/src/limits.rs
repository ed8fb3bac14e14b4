//! Every bound of the command line, with its reason.

use std::time::Duration;

/// Longest line of an NDJSON file or of stdin, in bytes. A body has at most 256 KiB; JSON escapes can take six bytes for one.
pub(crate) const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Lines that `replay` has read and that are not acked yet. Larger finds more rooms to work on side by side; memory stays small.
pub(crate) const REPLAY_WINDOW_LINES: usize = 8_192;

/// Connections that `replay` keeps open at once, unless told otherwise. Each costs this process a thread and the broker a socket.
pub(crate) const REPLAY_CONNECTIONS: u32 = 256;

/// How long `replay` goes on without one single ack before it gives up. Longer than a restart of the broker takes.
pub(crate) const REPLAY_PATIENCE: Duration = Duration::from_secs(60);

/// Pause of `replay` when nothing could be sent and nothing was acked. An ack ends it at once; it bounds how late a line goes that
/// has become due at a given pace.
pub(crate) const REPLAY_LULL: Duration = Duration::from_millis(2);

/// Pause of `replay` between two attempts to reach a broker that is down.
pub(crate) const REPLAY_RETRY: Duration = Duration::from_millis(50);

/// Publishes of `pub` that are not acked yet. Below the 1,024 that the protocol allows on a connection.
pub(crate) const PUBLISH_WINDOW: usize = 512;

/// How long `pub` waits for an ack: long enough for a restart of the broker in between.
pub(crate) const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);

/// How long `pub` waits for the acks of what it has sent after Ctrl-C.
pub(crate) const LAST_ACKS: Duration = Duration::from_secs(2);

/// Lines of stdin that wait between the thread that reads them and the one that publishes.
pub(crate) const STDIN_LINES: usize = 256;

/// Records that one FETCH of `history` and `export` asks for. Version 1 allows 10,000; smaller keeps a page in memory small.
pub(crate) const FETCH_RECORDS: u32 = 1_000;

/// How long a one-shot command waits for the broker's answer.
pub(crate) const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// Largest answer of `/metrics` that `status` reads: far above what 256 cores tell.
pub(crate) const METRICS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Lines of `status` between two heads: a screen's worth.
pub(crate) const STATUS_HEAD_EVERY: u64 = 20;

/// A producer older than this is not accepted for a new room: docs/protocol.md section 5.
pub(crate) const PRODUCER_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Results of the load harness in one folder that get a name of their own; the next one replaces the first.
pub(crate) const RESULTS_MAX: u32 = 10_000;

const _: () = assert!(LINE_BYTES_MAX >= 6 * 256 * 1024);
const _: () = assert!(PUBLISH_WINDOW <= 1_024);
const _: () = assert!(LAST_ACKS.as_millis() < PUBLISH_DEADLINE.as_millis());
const _: () = assert!(FETCH_RECORDS <= 10_000);
