//! `ls`: one line per segment.

use antiphon_log::{BlockKind, LogPosition, SegmentId};
use serde::Serialize;

use crate::inspect::scan::{Piece, Scan};
use crate::inspect::segment::{SegmentFile, segments_with_ends};
use crate::inspect::{InspectError, Inspector, Place};

/// One segment.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct SegmentInfo {
    /// Its number.
    pub segment: u32,
    /// Length of its file.
    pub bytes: u64,
    /// What it is.
    pub state: SegmentState,
    /// Where its first block stands; none if there is no block.
    pub first: Option<Place>,
    /// Where its blocks end.
    pub end: Option<Place>,
    /// Blocks that count.
    pub blocks: u64,
    /// Entries among them.
    pub entries: u64,
    /// Ranges before the end that hold no block: damage.
    pub unreadable_ranges: u64,
    /// Bytes beyond the end that are not zero: a torn write, which does not count.
    pub torn_bytes: u64,
}

/// What a segment is.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentState {
    /// The last one; it is appended to, or was.
    Active,
    /// A later segment says where it ended.
    Sealed,
    /// Made ahead; it holds nothing yet.
    Ahead,
    /// Retention let it go, and the file was not removed yet: it does not exist.
    LetGo,
    /// Its first block is damaged or missing although others are there.
    WithoutState,
    /// Its header is wrong.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Inspector {
    /// Tells of each segment, ascending.
    ///
    /// # Errors
    /// `Io`.
    pub fn ls(&self) -> Result<Vec<SegmentInfo>, InspectError> {
        let mut infos = Vec::new();
        let mut first_kept = SegmentId(0);
        for (segment, recorded_end) in segments_with_ends(&self.path, &self.directory)? {
            let file = SegmentFile::read(&self.path, &self.directory, segment)?;
            first_kept = file.first_kept().unwrap_or(first_kept);
            infos.push(self.info(&file, recorded_end));
        }
        let let_go = infos.iter_mut().filter(|info| info.segment < first_kept.0);
        let_go.for_each(|info| info.state = SegmentState::LetGo);
        Ok(infos)
    }

    fn info(&self, file: &SegmentFile, recorded_end: Option<LogPosition>) -> SegmentInfo {
        let mut info = SegmentInfo {
            segment: file.segment.0,
            bytes: file.bytes.len() as u64,
            state: SegmentState::Ahead,
            first: None,
            end: None,
            blocks: 0,
            entries: 0,
            unreadable_ranges: 0,
            torn_bytes: 0,
        };
        let mut unreadable_behind = 0;
        for piece in Scan::new(file) {
            match piece {
                Piece::Block(block) if recorded_end.is_none_or(|end| block.at < end) => {
                    info.first = info.first.or(Some(block.at.into()));
                    info.end = Some(block.end.into());
                    info.blocks += 1;
                    info.entries += u64::from(matches!(block.head.kind, BlockKind::Append(_)));
                    info.unreadable_ranges += unreadable_behind;
                    info.torn_bytes = 0;
                    unreadable_behind = 0;
                }
                Piece::Block(block) => {
                    info.torn_bytes += u64::from(block.end.offset() - block.at.offset())
                }
                Piece::Unreadable { from, end, .. } => {
                    let counts = recorded_end.is_none_or(|recorded| from < recorded);
                    unreadable_behind += u64::from(counts);
                    if recorded_end.is_none() || !counts {
                        info.torn_bytes += u64::from(end.offset() - from.offset());
                    }
                }
                Piece::Blank => {}
            }
        }
        info.state = self.state(file, &info, recorded_end);
        if let Some(end) = recorded_end {
            info.end = Some(end.into());
            info.unreadable_ranges += unreadable_behind;
        }
        info
    }

    fn state(
        &self,
        file: &SegmentFile,
        info: &SegmentInfo,
        recorded_end: Option<LogPosition>,
    ) -> SegmentState {
        if let Some(reason) = file.header_fault(&self.directory) {
            return SegmentState::Refused { reason };
        }
        match (file.state(), recorded_end) {
            (None, _) if info.blocks == 0 => SegmentState::Ahead,
            (None, _) => SegmentState::WithoutState,
            (Some(_), Some(_)) => SegmentState::Sealed,
            (Some(_), None) => SegmentState::Active,
        }
    }
}
