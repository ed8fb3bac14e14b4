//! Names of segment files inside a data directory.

use antiphon_log::SegmentId;

/// Folder of the segments.
pub(crate) const LOG_FOLDER: &str = "log";
/// Folder of the checkpoints.
pub(crate) const CHECKPOINT_FOLDER: &str = "checkpoint";

/// Name of a segment's file, from the data directory on.
pub(crate) fn segment_name(segment: SegmentId) -> String {
    format!("{LOG_FOLDER}/{:016x}.seg", segment.0)
}

/// The segment whose file has this name inside the folder of the segments.
pub(crate) fn segment_of_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_suffix(".seg")?;
    let segment = SegmentId(u32::from_str_radix(digits, 16).ok()?);
    (segment_name(segment)
        .strip_prefix(LOG_FOLDER)?
        .strip_prefix('/')?
        == name)
        .then_some(segment)
}

#[cfg(test)]
mod tests {
    use antiphon_log::SegmentId;

    use super::{segment_name, segment_of_name};

    #[test]
    fn a_name_is_its_segment_and_nothing_else_is() {
        assert_eq!(segment_name(SegmentId(0x2a)), "log/000000000000002a.seg");
        assert_eq!(
            segment_of_name("000000000000002a.seg"),
            Some(SegmentId(0x2a))
        );
        for other in [
            "2a.seg",
            "000000000000002A.seg",
            "000000000000002a.tmp",
            "0000000100000000.seg",
            ".seg",
        ] {
            assert_eq!(segment_of_name(other), None, "{other}");
        }
    }
}
