//! Bounds of a world.

use super::queue::{MILLI, Micros, SECOND};

/// After the last fault everything must be answered within this time: three keepalives of silence until a dead connection is given up, a wait of at
/// most ten seconds before the next attempt, on both sides of a broker's start.
pub(crate) const PROGRESS: Micros = 90 * SECOND;
/// How often the world looks whether all is done.
pub(crate) const LOOK_EVERY: Micros = 100 * MILLI;
/// The log is marked idle after this time.
pub(crate) const LOG_IDLE: Micros = SECOND;
/// While the disk is full, it is looked at again after this time.
pub(crate) const SPACE_LOOK: Micros = 100 * MILLI;
/// After a segment could not be made, none is ordered for so long.
pub(crate) const SEGMENT_RETRY: Micros = SECOND;
/// A core offers again what the log thread had no place for after this time.
pub(crate) const LOG_RETRY: Micros = MILLI;
/// A closing connection may take this long.
pub(crate) const CLOSE_WAIT: Micros = 2 * SECOND;
/// Reads of one connection in a turn.
pub(crate) const READS_PER_TURN: usize = 16;
/// Bytes that one send takes at most.
pub(crate) const SEND_BYTES_MAX: usize = 64 * 1024;
/// A read job brings at most so many bytes.
pub(crate) const READ_SLICE_BYTES_MAX: usize = 256 * 1024;
/// A node that does not open is started again after this time.
pub(crate) const START_AGAIN: Micros = SECOND;
/// A client waits so long for a connection.
pub(crate) const DIAL_TIMEOUT: Micros = 5 * SECOND;
