//! A data directory, read without a broker and without disturbing one.

use std::collections::HashSet;
use std::path::Path;

use antiphon_disk::inspect::{DumpOptions, Dumped, InspectError, Inspector, ItemDump};

use crate::failure::Failure;

/// The namespace of every room until there is authentication.
const NAMESPACE: u32 = 0;

/// Opens a data directory.
pub(crate) fn open(directory: &Path) -> Result<Inspector, Failure> {
    Inspector::open(directory).map_err(|error| unreadable(&error))
}

/// What it means that a data directory cannot be read.
pub(crate) fn unreadable(error: &InspectError) -> Failure {
    match error {
        InspectError::NotADirectory { .. } => {
            Failure::usage(error).next("name the data directory: a broker tells it when it starts")
        }
        _ => Failure::failed(error).next(
            "see whether this user may read it (`ls -l`), and whether the disk is well (`dmesg`)",
        ),
    }
}

/// The names of all rooms that the log knows, in the order in which they were made within each partition.
///
/// The log's end may hold a room that is not committed yet; the broker does not know it.
pub(crate) fn room_names(directory: &Path) -> Result<Vec<String>, Failure> {
    let inspector = open(directory)?;
    let mut seen = HashSet::new();
    let mut names = Vec::new();
    let dump = inspector
        .dump(DumpOptions::default())
        .map_err(|error| unreadable(&error))?;
    for dumped in dump {
        let Dumped::Block(block) = dumped.map_err(|error| unreadable(&error))? else {
            continue;
        };
        for item in block.items {
            match item {
                ItemDump::Room {
                    namespace: NAMESPACE,
                    name,
                    ..
                } if block.counts && seen.insert(name.clone()) => {
                    names.push(name);
                }
                _ => {}
            }
        }
    }
    Ok(names)
}
