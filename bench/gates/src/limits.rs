//! Sizes of what is counted, and how far a count may move.

/// A count that is higher than the baseline by more than this part of it is a failure. Ten times what the same sources differ by between builds.
pub const TOLERANCE: f64 = 0.03;
/// Allocations per unit may be higher by this besides: they are small numbers, some of them 0.
pub const ALLOCATIONS_SLACK: f64 = 0.02;
/// So may system calls of a round: now and then a tick falls into one, or a batch is split as threads meet. A send too many is a whole one.
pub const SYSCALLS_SLACK: f64 = 0.1;
/// Rounds before anything is counted: buffers and tables have their size then.
pub const WARM_UP_ROUNDS: usize = 16;
/// Messages of a round that publishes in bulk.
pub const BATCH_MESSAGES: usize = 64;
/// Body of a message, in bytes.
pub const BODY_BYTES: usize = 128;
/// Subscribers of the one room of a fan-out.
pub const SUBSCRIBERS: usize = 200;
/// Rooms of the case with many of them, and members of each; every connection is in [`ROOMS_PER_CONNECTION`] rooms.
pub const ROOMS: usize = 100;
/// Members of each of the [`ROOMS`].
pub const MEMBERS: usize = 10;
/// Rooms that a connection is in: [`ROOMS`] connections with so many subscriptions.
pub const ROOMS_PER_CONNECTION: usize = MEMBERS;
/// Records of a page of history.
pub const PAGE_RECORDS: u32 = 100;
/// Time that passes between rounds of one signal, in ms: its sender stays within its rate. Elsewhere it is a millisecond, so that nobody is
/// silent for long enough to be asked for a sign of life.
pub const SIGNAL_ROUND_MS: u64 = 20;
/// Turns within which a broker at work comes to rest.
pub const TURNS_MAX: usize = 10_000;
/// How long a broker under test may take to say something, in seconds; under valgrind it takes a few.
pub const ANSWER_SECONDS_MAX: u64 = 60;
/// How long one run under valgrind may take, in seconds.
pub const RUN_SECONDS_MAX: u64 = 300;

const _: () = assert!(
    SIGNAL_ROUND_MS * 64 >= 1_000,
    "a connection may send 64 signals a second"
);
