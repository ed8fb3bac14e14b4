//! Every checkpoint file.

use std::fs;

use antiphon_log::{
    CHECKPOINT_FOLDER, Checkpoint, GroupId, Index, checkpoint_name, parse_checkpoint_name,
};

use crate::file::list;
use crate::inspect::verify::{Finding, Verification};
use crate::inspect::{InspectError, Inspector, io_error};

/// Looks at every checkpoint file, also those that recovery has no use for.
pub(super) fn verify_checkpoints(
    inspector: &Inspector,
    result: &mut Verification,
) -> Result<(), InspectError> {
    let folder = inspector.path.join(CHECKPOINT_FOLDER);
    let mut names = list(&folder).map_err(io_error("list", &folder))?;
    names.sort();
    for name in names {
        let Some((group, index)) = parse_checkpoint_name(&name) else {
            continue;
        };
        match fault(inspector, group, index) {
            None => result.checkpoints += 1,
            Some(fault) => result.find(Finding::Checkpoint { name, fault }),
        }
    }
    Ok(())
}

/// What is wrong with one file.
fn fault(inspector: &Inspector, group: GroupId, index: Index) -> Option<String> {
    let bytes = match fs::read(inspector.path.join(checkpoint_name(group, index))) {
        Ok(bytes) => bytes,
        Err(error) => return Some(error.to_string()),
    };
    let checkpoint = match Checkpoint::decode(&bytes) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Some(error.to_string()),
    };
    if checkpoint.directory_id != inspector.directory.directory_id {
        return Some("it belongs to another data directory".to_owned());
    }
    if (checkpoint.group, checkpoint.index) != (group, index) {
        return Some(format!(
            "it says group {}, index {}",
            checkpoint.group, checkpoint.index
        ));
    }
    None
}
