//! The log over real files, read back through maps.

mod workload;

use antiphon_disk::{MapError, RoomRead, RoomReadError};
use antiphon_log::{Located, LogPosition, Outcome, ReadError, RoomIndex, SegmentId};
use antiphon_protocol::{RoomId, Seq};

use crate::workload::{Partition, SEGMENT_BYTES, seqs};

const A: RoomId = RoomId(1);
const B: RoomId = RoomId(2);

fn located(index: &RoomIndex, room: RoomId, from: u64) -> Vec<Located> {
    index.locate(room, Seq(from)).take(16).collect()
}

/// Enough entries for several segments.
fn fill(partition: &mut Partition) {
    for n in 0..60 {
        partition.append(&[(A, 1 + n % 3), (B, n % 2 + 1)], 1_000);
    }
}

#[test]
fn what_was_flushed_is_there_after_a_reopen_whether_closed_or_not() {
    for close in [true, false] {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let mut partition = Partition::open(temp.path());
        assert_eq!(partition.recovery.outcome, Outcome::Fresh);
        fill(&mut partition);
        let Partition {
            directory,
            log,
            state,
            ..
        } = partition;
        if close {
            log.close().expect("closed");
        } else {
            drop(log);
        }
        drop(directory);

        let again = Partition::open(temp.path());
        let expected = if close {
            Outcome::Clean
        } else {
            Outcome::Unclean
        };
        assert_eq!(again.recovery.outcome, expected);
        assert!(again.recovery.segments > 2, "several segments were filled");
        assert_eq!(again.state.rooms, state.rooms);
        assert_eq!(again.state.last, state.last);
        for room in [A, B] {
            let all = |index: &RoomIndex| index.locate(room, Seq(1)).collect::<Vec<_>>();
            assert_eq!(all(&again.state.index), all(&state.index));
        }
    }
}

#[test]
fn a_room_is_read_through_maps_in_slices_across_segments() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    fill(&mut partition);
    // One map at a time: every change of segment evicts the other.
    let maps = partition.directory.maps(1);
    for room in [A, B] {
        let frames = &partition.state.rooms[&room];
        let mut next = 1;
        while next <= frames.len() as u64 {
            let located = located(&partition.state.index, room, next);
            let read = RoomRead {
                room,
                from: Seq(next),
                records_max: 7,
                bytes_max: 5_000,
                located: &located,
                below: partition.state.sync_end,
            };
            let mut out = Vec::new();
            let slice = maps.read_room(&read, &mut out).expect("readable");
            assert_eq!(slice.first, Seq(next));
            let expected = &frames[next as usize - 1..slice.next.0 as usize - 1];
            assert_eq!(out, expected.concat());
            assert!(out.len() <= 5_000 && slice.next.0 - next <= 7);
            next = slice.next.0;
        }
    }
}

#[test]
fn the_active_segment_is_read_while_it_is_appended_to() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    let maps = partition.directory.maps(4);
    for n in 1..=20 {
        partition.append(&[(A, 1)], 100);
        let located = located(&partition.state.index, A, n);
        let below = partition.state.sync_end;
        let read = RoomRead {
            room: A,
            from: Seq(n),
            records_max: 10,
            bytes_max: 10_000,
            located: &located,
            below,
        };
        let mut out = Vec::new();
        maps.read_room(&read, &mut out).expect("readable");
        assert_eq!(seqs(&out), [n]);
    }
}

#[test]
fn nothing_at_or_above_the_synced_end_is_read() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    partition.append(&[(A, 1)], 100);
    let located = located(&partition.state.index, A, 1);
    let maps = partition.directory.maps(4);
    let read = |below| {
        let located = &located;
        let read = RoomRead {
            room: A,
            from: Seq(1),
            records_max: 10,
            bytes_max: 10_000,
            located,
            below,
        };
        maps.read_room(&read, &mut Vec::new())
    };
    let at = located[0].at;
    let inside = LogPosition::new(at.segment(), at.offset() + 8);
    assert!(matches!(
        read(at),
        Err(RoomReadError::Read(ReadError::NotSynced { .. }))
    ));
    assert!(matches!(read(inside), Err(RoomReadError::Read(_))));
    assert!(read(partition.state.sync_end).is_ok());
}

#[test]
fn damage_and_missing_files_are_told_and_what_was_whole_before_is_given() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    for _ in 0..3 {
        partition.append(&[(A, 2)], 100);
    }
    let located = located(&partition.state.index, A, 1);
    let name = temp.path().join("log/0000000000000001.seg");
    let mut bytes = std::fs::read(&name).expect("readable");
    assert_eq!(bytes.len(), SEGMENT_BYTES as usize);
    bytes[located[1].at.offset() as usize + 200] ^= 1;
    std::fs::write(&name, bytes).expect("writable");

    let maps = partition.directory.maps(4);
    let below = partition.state.sync_end;
    let read = |located: &[Located], from| {
        let read = RoomRead {
            room: A,
            from: Seq(from),
            records_max: 10,
            bytes_max: 10_000,
            located,
            below,
        };
        let mut out = Vec::new();
        maps.read_room(&read, &mut out).map(|_| seqs(&out))
    };
    assert_eq!(read(&located, 1).expect("the first batch is whole"), [1, 2]);
    assert!(matches!(
        read(&located[1..], 3),
        Err(RoomReadError::Read(ReadError::Block { .. }))
    ));
    assert_eq!(
        read(&located[2..], 5).expect("the third batch is whole"),
        [5, 6]
    );
    assert!(matches!(
        maps.get(SegmentId(77)),
        Err(MapError::Missing {
            segment: SegmentId(77)
        })
    ));
}
