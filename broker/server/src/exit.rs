//! Exit codes of a broker process. Stable: supervisors decide by them.
//!
//! | code | meaning | supervisor |
//! |---|---|---|
//! | 0 | asked to stop, drained, synced, END mark written | - |
//! | 1 | did not start | tell a person |
//! | 2 | the configuration is wrong | tell a person |
//! | 70 | a bug: a core, log or reader thread panicked; no END mark | start again, report |
//! | 74 | the log failed: a write, a sync, or a read under a map; no END mark | look at the disk first |
//! | 130 | stopped at once by a second signal; no END mark | - |
//!
//! 70 and 74 are `EX_SOFTWARE` and `EX_IOERR` of BSD's sysexits.

/// Stopped as asked.
pub const DONE: u8 = 0;
/// Did not start.
pub const FAILED: u8 = 1;
/// The configuration is wrong.
pub const CONFIG: u8 = 2;
/// A thread panicked.
pub const PANIC: u8 = 70;
/// A write or a sync failed.
pub const STORAGE: u8 = 74;
/// A second signal came.
pub const AT_ONCE: u8 = 130;

// A read error under a map ends the process from within a signal handler of the disk crate.
const _: () = assert!(
    antiphon_disk::SIGBUS_EXIT_STATUS == STORAGE as i32,
    "one code for a failed disk"
);
