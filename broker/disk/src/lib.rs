//! The real disk under the log: one data directory, positioned writes, fdatasync, mapped reading.
//!
//! | module | |
//! |---|---|
//! | `directory` | [`DataDirectory`]: opens a directory, locks it, refuses what it does not understand |
//! | `file` | [`FileDisk`]: the log's `Disk` over files of that directory |
//! | `map` | [`SegmentMaps`]: segments mapped for reading, a bounded number at a time; the only unsafe code |
//! | `bad_pages` | what a read error under a map leaves behind for the next start |
//! | [`inspect`] | offline tools: list, dump and verify, read-only |

mod directory;

pub use directory::{DataDirectory, NewDirectory, OpenError};
