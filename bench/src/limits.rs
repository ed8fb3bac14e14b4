//! Every bound of the harness, with its unit and its reason.

use std::time::Duration;

/// A system under test takes connections within this, or is given up.
pub const READY_WITHIN: Duration = Duration::from_secs(60);

/// Ranges of missing numbers remembered per stream and subscriber. What is missing beyond them stays counted as lost even if it
/// comes late.
pub const HOLES_MAX: usize = 4_096;

/// Connections that share one source address: with more, a connect looks long for a free port.
pub const CONNECTIONS_PER_SOURCE: u32 = 2_000;

/// Bytes read from a socket at once. Large, so that a system that writes much at once is read at once.
pub const READ_BYTES: usize = 256 * 1024;

/// Full reads of one connection in a turn; a stream that never ends must let others be heard.
pub const READS_PER_TURN: usize = 8;

/// Connects that are under way at once, unless told otherwise: below the shortest backlog of those measured (128).
pub const CONNECTS_AT_ONCE: usize = 100;

/// Events taken from the kernel at once.
pub const EVENTS_MAX: usize = 4_096;

/// Nothing that is due came within this: the run is given up.
pub const STALLED_AFTER: Duration = Duration::from_secs(30);

/// How often silent connections may say something.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(20);

/// Length of a point of a time series.
pub const POINT: Duration = Duration::from_millis(250);

/// The longest latency that is told apart: an hour, in ns.
pub const LATENCY_NANOS_MAX: u64 = 3_600_000_000_000;

/// Messages published between two looks at the sockets.
pub const FEED_MAX: usize = 4_096;

/// Messages under way in an open loop. What is due beyond it is sent later, with its intended time: the system is overloaded, and
/// the generator's memory stays bounded.
pub const BACKLOG_MAX: u64 = 100_000;

/// The first port that a program gets which must be told one. Those from 32,768 on are given to outgoing connections by Linux, those
/// from 20,000 to 29,999 to brokers of tests.
pub const PORT_FIRST: u16 = 30_000;

/// How many such ports there are. A run needs at most six.
pub const PORTS: u16 = 2_700;

/// The longest line of a replayed file; what is longer is cut. Brokers of all kinds take it.
pub const REPLAY_BODY_BYTES_MAX: usize = 64 * 1024;

/// Returns of users in one run of `mixed`: each takes a descriptor until the end of the run.
pub const MIXED_REJOINS_MAX: u32 = 8_000;

const _: () = assert!(PORT_FIRST + PORTS <= 32_768);
