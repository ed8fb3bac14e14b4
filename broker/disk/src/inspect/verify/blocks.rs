//! Every block of every segment, also those that recovery has no use for.

use antiphon_log::{Block, BlockKind, EntryKind, LogPosition};

use crate::inspect::dump::head_text;
use crate::inspect::rooms::{BehindHoles, RoomCheck};
use crate::inspect::scan::{Piece, Scan};
use crate::inspect::segment::{SegmentFile, segments_with_ends};
use crate::inspect::verify::report::hole;
use crate::inspect::verify::{Finding, Verification};
use crate::inspect::{InspectError, Inspector, Place};

/// Looks at every block and gathers what stands behind holes.
pub(super) fn verify_blocks(
    inspector: &Inspector,
    check: &RoomCheck,
    result: &mut Verification,
) -> Result<BehindHoles, InspectError> {
    let Inspector { path, directory } = inspector;
    let mut behind = BehindHoles::default();
    for (segment, end) in segments_with_ends(path, directory)? {
        let file = SegmentFile::read(path, directory, segment)?;
        verify_file(inspector, &file, result);
        for piece in Scan::new(&file) {
            verify_piece(&piece, end, check, &mut behind, result);
        }
    }
    Ok(behind)
}

fn verify_file(inspector: &Inspector, file: &SegmentFile, result: &mut Verification) {
    result.segments += 1;
    result.bytes += file.bytes.len() as u64;
    let segment = file.segment.0;
    if let Some(fault) = file.header_fault(&inspector.directory) {
        result.find(Finding::Segment { segment, fault });
    }
    for page in &file.unreadable_pages {
        result.find(Finding::UnreadablePage {
            segment,
            page: *page,
        });
    }
}

fn verify_piece(
    piece: &Piece<'_>,
    end: Option<LogPosition>,
    check: &RoomCheck,
    behind: &mut BehindHoles,
    result: &mut Verification,
) {
    let log_end = result.end;
    let exists = |at: LogPosition| Place::from(at) < log_end && end.is_none_or(|end| at < end);
    match piece {
        Piece::Block(block) => {
            result.blocks += 1;
            if exists(block.at) && is_behind_a_hole(block, check) {
                behind.entry(block.head.group, block.payload);
            }
        }
        Piece::Unreadable { from, end, error } if exists(*from) => {
            result.find(Finding::Unreadable {
                from: (*from).into(),
                end: (*end).into(),
                error: error.to_string(),
                head: head_text(*error),
            })
        }
        Piece::Unreadable { .. } | Piece::Blank => {}
    }
}

fn is_behind_a_hole(block: &Block<'_>, check: &RoomCheck) -> bool {
    let hole = check.groups.get(&block.head.group).and_then(hole);
    block.head.kind == BlockKind::Append(EntryKind::Normal)
        && hole.is_some_and(|hole| block.head.index >= hole)
}
