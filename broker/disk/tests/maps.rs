//! The maps that are kept: a bounded number, the least recently used go first.

use std::fs;
use std::sync::Arc;

use antiphon_disk::{DataDirectory, NewDirectory, SegmentMaps};
use antiphon_log::{LogPosition, SegmentId, segment_name};
use antiphon_protocol::NodeId;

fn with_maps(maps_max: usize, test: impl FnOnce(&SegmentMaps)) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(temp.path(), new).expect("made");
    for segment in 1..=5 {
        let name = temp.path().join(segment_name(SegmentId(segment)));
        fs::write(name, vec![segment as u8; 8192]).expect("written");
    }
    test(&directory.maps(maps_max));
}

#[test]
fn the_least_recently_used_map_makes_place_and_readers_keep_what_they_hold() {
    with_maps(2, |maps| {
        let get = |segment| maps.get(SegmentId(segment)).expect("mapped");
        let first = get(1);
        let second = get(2);
        assert!(Arc::ptr_eq(&first, &get(1)), "kept");
        let third = get(3);
        assert!(Arc::ptr_eq(&first, &get(1)), "used after the second");
        assert!(!Arc::ptr_eq(&second, &get(2)), "gave way to the third");
        assert_eq!(Arc::strong_count(&third), 1, "gave way to the new second");
        let below = LogPosition::new(SegmentId(3), 5000);
        assert_eq!(third.below(below), vec![3; 5000], "still readable");
    });
}

#[test]
fn a_slice_ends_at_the_synced_end_and_at_the_end_of_the_file() {
    with_maps(5, |maps| {
        let map = maps.get(SegmentId(3)).expect("mapped");
        let len = |segment, offset| {
            map.below(LogPosition::new(SegmentId(segment), offset))
                .len()
        };
        assert_eq!(len(2, 8192), 0);
        assert_eq!(len(3, 0), 0);
        assert_eq!(len(3, 5000), 5000);
        assert_eq!(len(3, u32::MAX), 8192);
        assert_eq!(len(4, 0), 8192);
    });
}

#[test]
fn many_threads_share_the_maps() {
    with_maps(2, |maps| {
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                scope.spawn(move || {
                    for n in 0..500 {
                        let segment = (n * 7 + thread) % 5 + 1;
                        let map = maps.get(SegmentId(segment)).expect("mapped");
                        let bytes = map.below(LogPosition::new(SegmentId(9), 0));
                        assert!(
                            bytes
                                .iter()
                                .step_by(512)
                                .all(|byte| u32::from(*byte) == segment)
                        );
                    }
                });
            }
        });
    });
}
