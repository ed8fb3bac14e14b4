//! Cutting a run of RECORD frames without looking into them more than needed.

use antiphon_protocol::{DecodeError, Gap, GapReason, RawFrame, Record, Seq, next_frame};
use bytes::Bytes;

/// The records from `from` on of a run that starts at `first`; shared, not copied. `None`: the run is shorter, or no run of frames.
pub(super) fn from_seq(records: &Bytes, first: Seq, from: Seq) -> Option<Bytes> {
    let mut at = 0;
    for _ in first.0..from.0 {
        at += next_of(records, at)?.whole.len();
    }
    Some(records.slice(at..))
}

/// A piece of a run, as a client gets it that takes only small frames.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Piece {
    /// Frames that fit.
    Records(Bytes),
    /// In place of one that does not.
    Gap(Gap),
}

/// Cuts a run into what fits into frames of `len_max` and gaps for what does not.
///
/// # Errors
/// What is wrong with the run.
pub(super) fn fitting(
    records: &Bytes,
    len_max: u32,
    mut piece: impl FnMut(Piece),
) -> Result<(), DecodeError> {
    let (mut start, mut at) = (0, 0);
    while at < records.len() {
        let frame = next_of(records, at).ok_or(DecodeError::Truncated)?;
        let end = at + frame.whole.len();
        if frame.header.len > len_max {
            if start < at {
                piece(Piece::Records(records.slice(start..at)));
            }
            piece(Piece::Gap(gap_for(&frame)?));
            start = end;
        }
        at = end;
    }
    if start < at {
        piece(Piece::Records(records.slice(start..at)));
    }
    Ok(())
}

/// How many frames a run has.
pub(super) fn count(records: &[u8]) -> u32 {
    let (mut count, mut at) = (0, 0);
    while let Some(frame) = next_of(records, at) {
        at += frame.whole.len();
        count += 1;
    }
    count
}

fn gap_for(frame: &RawFrame<'_>) -> Result<Gap, DecodeError> {
    let record = Record::parse_unchecked_crc(frame.whole)?;
    Ok(Gap {
        room_id: record.room_id(),
        from: record.seq(),
        to: record.seq(),
        link: record.link(),
        reason: GapReason::SKIPPED,
    })
}

fn next_of(records: &[u8], at: usize) -> Option<RawFrame<'_>> {
    next_frame(records.get(at..)?, u32::MAX).ok().flatten()
}
