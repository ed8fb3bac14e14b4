//! Which records a log says were redacted.
//!
//! A redact stands behind its target, and segments go oldest first: whoever has the target's bytes has the item that erased it, unless that is
//! damaged. Uncommitted ones count, too: an offline tool does not know better, and hiding too much harms nobody.

use std::collections::{BTreeSet, VecDeque};

use antiphon_log::{BlockKind, EntryKind, Item, Items, LogPosition, SegmentId};
use antiphon_protocol::{RoomId, Seq};

use crate::inspect::scan::{Piece, Scan};
use crate::inspect::segment::SegmentFile;
use crate::inspect::{InspectError, Inspector};

impl Inspector {
    /// All records that an ERASE in one of `segments` names.
    pub(super) fn erased(
        &self,
        segments: &VecDeque<(SegmentId, Option<LogPosition>)>,
    ) -> Result<BTreeSet<(RoomId, Seq)>, InspectError> {
        let mut erased = BTreeSet::new();
        for (segment, _) in segments {
            let file = SegmentFile::read(&self.path, &self.directory, *segment)?;
            for piece in Scan::new(&file) {
                let Piece::Block(block) = piece else {
                    continue;
                };
                if block.head.kind != BlockKind::Append(EntryKind::Normal) {
                    continue;
                }
                for item in Items::new(block.payload).flatten() {
                    if let Item::Erase(item) = item {
                        erased.extend(item.erased());
                    }
                }
            }
        }
        Ok(erased)
    }
}
