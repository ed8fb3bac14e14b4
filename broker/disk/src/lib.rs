//! The real disk under the log: one data directory, positioned writes, fdatasync, mapped reading.
//!
//! | module | |
//! |---|---|
//! | `directory` | [`DataDirectory`]: opens a directory, locks it, refuses what it does not understand |
//! | `file` | [`FileDisk`]: the log's `Disk` over files of that directory |
//! | `map` | [`SegmentMap`]: one segment readable as memory; the only unsafe code |
//! | `maps` | [`SegmentMaps`]: a bounded number of them for the reader threads |
//! | `bad_pages` | what a read error under a map leaves behind for the next start |
//! | [`inspect`] | offline tools: list, dump and verify, read-only |

mod bad_pages;
mod directory;
mod failure;
mod file;
pub mod inspect;
mod map;
mod maps;

pub use bad_pages::{BAD_PAGES_NAME, BadPages, PAGE_BYTES};
pub use directory::{
    ClusterBook, DataDirectory, Meeting, NewCluster, NewDirectory, OpenError, ShownPath,
};
pub use failure::DiskFailure;
pub use file::{DiskFile, FileDisk};
pub use map::{MapError, SIGBUS_EXIT_STATUS, SegmentMap};
pub use maps::{EntryRead, MAPS_DEFAULT, RoomRead, RoomReadError, SegmentMaps};
