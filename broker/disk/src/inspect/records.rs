//! The records of one item, checked one by one.

use antiphon_log::RecordsItem;
use antiphon_protocol::{Link, records};

/// What the records of an item end with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct RecordsEnd {
    /// Seq after the last record.
    pub(super) next: u64,
    pub(super) link: Link,
    pub(super) count: u64,
}

/// Checks each record of an item: checksum, room, seq, count, link.
pub(super) fn check_records(item: &RecordsItem<'_>) -> Result<RecordsEnd, String> {
    let mut end = RecordsEnd {
        next: item.first.0,
        link: item.link_before,
        count: item.count_before.0,
    };
    for record in records(item.records) {
        let record = record.map_err(|error| format!("record {}: {error}", end.next))?;
        let count = end.count + u64::from(record.kind().wire() == 0);
        let fault = if record.room_id() != item.room {
            Some("belongs to another room")
        } else if record.seq().0 != end.next {
            Some("has another seq")
        } else if !record.verify_link(end.link) {
            Some("does not follow its predecessor: the link differs")
        } else if record.count().0 != count {
            Some("has another count")
        } else {
            None
        };
        if let Some(fault) = fault {
            return Err(format!("record {} {fault}", end.next));
        }
        end = RecordsEnd {
            next: end.next + 1,
            link: record.link(),
            count,
        };
    }
    Ok(end)
}
