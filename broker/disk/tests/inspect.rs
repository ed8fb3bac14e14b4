//! The offline tools over directories that are whole, torn, damaged or in use.

mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use antiphon_disk::inspect::{
    DumpOptions, Dumped, Finding, InspectError, Inspector, ItemDump, LogOutcome, Place, RoomLoss,
    SegmentInfo, SegmentState, Verification,
};
use antiphon_disk::{DataDirectory, NewDirectory};
use antiphon_log::{
    Checkpoint, GroupId, GroupRecovery, Index, Located, Log, LogPosition, LogSettings, Recover,
    RecoveredEntry, Retention, Term,
};
use antiphon_protocol::{NodeId, RoomId, Seq};
use tempfile::TempDir;

use crate::workload::{Partition, SEGMENT_BYTES};

const A: RoomId = RoomId(1);
const B: RoomId = RoomId(2);

/// A directory with 40 entries over several segments, closed or dropped, and where room A's batches are.
fn filled(close: bool) -> (TempDir, Vec<Located>) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    for _ in 0..40 {
        partition.append(&[(A, 1), (B, 2)], 1_000);
    }
    let located = partition.state.index.locate(A, Seq(1)).collect();
    if close {
        partition.log.close().expect("closed");
    }
    (temp, located)
}

fn verify(path: &Path) -> Verification {
    Inspector::open(path)
        .expect("a directory")
        .verify()
        .expect("verifiable")
}

fn segment_path(root: &Path, segment: u32) -> PathBuf {
    root.join(format!("log/{segment:016x}.seg"))
}

/// Changes one byte of the block at `at`, `inside` bytes from its start.
fn flip(root: &Path, at: LogPosition, inside: usize) {
    let path = segment_path(root, at.segment().0);
    let mut bytes = fs::read(&path).expect("readable");
    bytes[at.offset() as usize + inside] ^= 1;
    fs::write(&path, bytes).expect("writable");
}

/// Every file with its content.
fn files(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(path).expect("listable").flatten() {
        if entry.path().is_dir() {
            all.extend(files(&entry.path()));
        } else {
            all.insert(entry.path(), fs::read(entry.path()).expect("readable"));
        }
    }
    all
}

#[test]
fn a_directory_that_is_none_is_told_as_such() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let error = Inspector::open(temp.path()).expect_err("nothing there");
    assert!(
        matches!(error, InspectError::NotADirectory { .. }),
        "{error}"
    );
}

#[test]
fn a_whole_directory_is_verified_record_by_record_and_left_alone() {
    for close in [true, false] {
        let (temp, _) = filled(close);
        let before = files(temp.path());
        let result = verify(temp.path());
        assert!(result.is_whole(), "{result:?}");
        assert_eq!(
            result.outcome,
            if close {
                LogOutcome::Clean
            } else {
                LogOutcome::Unclean
            }
        );
        assert_eq!((result.entries, result.records, result.rooms), (40, 120, 2));
        assert_eq!(result.groups.len(), 1);
        assert_eq!((result.groups[0].first, result.groups[0].last), (1, 40));
        assert_eq!(files(temp.path()), before);
        let json = serde_json::to_value(&result).expect("serializable");
        assert_eq!(json["outcome"], if close { "clean" } else { "unclean" });
    }
}

#[test]
fn ls_tells_each_segment_with_its_extent() {
    let (temp, located) = filled(true);
    let infos = Inspector::open(temp.path())
        .expect("a directory")
        .ls()
        .expect("listable");
    let used: Vec<_> = infos
        .iter()
        .filter(|info| info.state != SegmentState::Ahead)
        .collect();
    assert!(used.len() > 2);
    let (active, sealed) = used.split_last().expect("several");
    assert_eq!(active.state, SegmentState::Active);
    assert!(sealed.iter().all(|info| info.state == SegmentState::Sealed));
    assert_eq!(used.iter().map(|info| info.entries).sum::<u64>(), 40);
    for info in &used {
        assert_eq!((info.bytes, info.torn_bytes), (u64::from(SEGMENT_BYTES), 0));
        assert_eq!(
            info.first,
            Some(Place {
                segment: info.segment,
                offset: 4_096
            })
        );
        assert_eq!(info.unreadable_ranges, 0);
    }
    let last = located.last().expect("batches").at;
    assert!(active.end > Some(Place::from(last)));
}

#[test]
fn a_segment_made_ahead_is_told_as_such_and_is_no_fault() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    partition.append(&[(A, 1)], 100);
    let prepared = partition.log.prepare_segment().expect("made");
    assert!(prepared, "there was none");
    let infos = Inspector::open(temp.path())
        .expect("a directory")
        .ls()
        .expect("listable");
    let states: Vec<_> = infos
        .into_iter()
        .map(|info| (info.state, info.blocks > 0))
        .collect();
    assert_eq!(
        states,
        [(SegmentState::Active, true), (SegmentState::Ahead, false)]
    );
    assert!(verify(temp.path()).is_whole());
}

#[test]
fn dump_tells_every_block_item_and_record() {
    let (temp, located) = filled(true);
    let inspector = Inspector::open(temp.path()).expect("a directory");
    let options = DumpOptions {
        records: true,
        bodies: true,
        segment: None,
    };
    let dumped: Vec<Dumped> = inspector
        .dump(options)
        .expect("readable")
        .collect::<Result<_, _>>()
        .expect("readable");
    let mut blocks = Vec::new();
    for dumped in &dumped {
        match dumped {
            Dumped::Block(block) if block.kind == "append" => blocks.push(block),
            Dumped::Unreadable { .. } => panic!("{dumped:?}"),
            _ => {}
        }
    }
    let places: Vec<Place> = blocks.iter().map(|block| block.at).collect();
    assert_eq!(
        places,
        located
            .iter()
            .map(|located| located.at.into())
            .collect::<Vec<Place>>()
    );
    assert!(
        blocks
            .iter()
            .all(|block| block.counts && block.fault.is_none())
    );
    let first = &blocks[0].items;
    assert!(matches!(&first[0], ItemDump::Room { room: 1, name, .. } if name == "room-1"));
    let ItemDump::Records {
        room: 1,
        first: 1,
        count: 1,
        fault: None,
        records,
        ..
    } = &first[1]
    else {
        panic!("{:?}", first[1]);
    };
    assert_eq!(
        (
            records[0].seq,
            records[0].sender.as_str(),
            records[0].body_bytes
        ),
        (1, "ann", 1_000)
    );
    assert_eq!(
        records[0].body.as_deref(),
        Some("\u{1}".repeat(1_000).as_str())
    );
    let kinds: Vec<&str> = dumped
        .iter()
        .filter_map(|dumped| match dumped {
            Dumped::Block(block) => Some(block.kind),
            _ => None,
        })
        .collect();
    assert_eq!(
        (kinds.first(), kinds.last()),
        (Some(&"state"), Some(&"end"))
    );
    assert!(serde_json::to_string(&dumped).is_ok());

    let one = DumpOptions {
        segment: Some(2),
        ..DumpOptions::default()
    };
    let segments: Vec<u32> = inspector
        .dump(one)
        .expect("readable")
        .filter_map(|dumped| match dumped.expect("readable") {
            Dumped::Segment { segment, .. } => Some(segment),
            _ => None,
        })
        .collect();
    assert_eq!(segments, [2]);
}

#[test]
fn dump_tells_no_body_that_was_erased_also_where_the_erasing_entry_is_segments_away() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    for _ in 0..40 {
        partition.append(&[(A, 1), (B, 2)], 1_000);
    }
    partition.erase(&[(A, Seq(1)), (B, Seq(4))]);
    let inspector = Inspector::open(temp.path()).expect("a directory");
    for segment in [None, Some(1)] {
        let options = DumpOptions {
            records: true,
            bodies: true,
            segment,
        };
        let dumped = inspector.dump(options).expect("readable");
        let items = dumped.flat_map(|dumped| match dumped.expect("readable") {
            Dumped::Block(block) => block.items,
            _ => Vec::new(),
        });
        let (mut hidden, mut shown, mut named) = (Vec::new(), 0, Vec::new());
        for item in items {
            match item {
                ItemDump::Records { room, records, .. } => {
                    for record in records {
                        assert_eq!(record.body.is_none(), record.erased);
                        match record.body {
                            None => hidden.push((room, record.seq)),
                            Some(_) => shown += 1,
                        }
                    }
                }
                ItemDump::Erase { erased } => {
                    named.extend(erased.iter().map(|record| (record.room, record.seq)));
                }
                _ => {}
            }
        }
        assert_eq!(hidden, [(1, 1), (2, 4)]);
        match segment {
            None => assert_eq!((shown, named), (118, hidden)),
            Some(_) => assert!(shown < 118 && named.is_empty()),
        }
    }
    assert!(verify(temp.path()).is_whole());
}

#[test]
fn a_torn_end_is_told_and_is_no_damage() {
    let (temp, located) = filled(false);
    let last = located.last().expect("batches").at;
    // What an unsynced write may leave: bytes behind the last block that are none.
    let path = segment_path(temp.path(), last.segment().0);
    let end = verify(temp.path()).end;
    let mut bytes = fs::read(&path).expect("readable");
    bytes[end.offset as usize..end.offset as usize + 100].fill(0x11);
    fs::write(&path, bytes).expect("writable");

    let before = files(temp.path());
    let result = verify(temp.path());
    assert!(result.is_whole(), "{result:?}");
    assert_eq!(result.findings, [Finding::Torn { at: end }]);
    assert_eq!((result.outcome, result.records), (LogOutcome::Unclean, 120));
    assert_eq!(files(temp.path()), before);
    let infos = Inspector::open(temp.path())
        .expect("a directory")
        .ls()
        .expect("listable");
    let active = infos
        .iter()
        .find(|info| info.state == SegmentState::Active)
        .expect("one");
    assert_eq!(active.end, Some(end));
    assert!(active.torn_bytes >= 100);
}

#[test]
fn damage_is_told_in_rooms_and_seqs() {
    let (temp, located) = filled(true);
    // Entry 11 holds record 11 of A and records 21 and 22 of B.
    flip(temp.path(), located[10].at, 300);
    let result = verify(temp.path());
    assert!(!result.is_whole());
    assert_eq!(result.outcome, LogOutcome::Damaged);
    assert_eq!(result.groups[0].hole, Some(11));
    assert_eq!(result.groups[0].seen_again, Some(12));
    let loss = |room: RoomId, end, lost, behind| RoomLoss {
        room: room.0,
        name: Some(format!("room-{}", room.0)),
        group: 1,
        served_end: end,
        lost: Some(lost),
        behind: Some(behind),
    };
    assert_eq!(
        result.losses,
        [
            loss(A, 11, (11, 11), (12, 40)),
            loss(B, 21, (21, 22), (23, 80))
        ]
    );
    assert_eq!(
        result.losses[1].to_string(),
        "room 2 (\"room-2\"): served up to seq 20; seqs 21 to 22 are lost; \
         seqs 23 to 80 are whole but stand behind the damage"
    );
    let head = result.findings.iter().find_map(|finding| match finding {
        Finding::Unreadable { from, head, .. } if *from == located[10].at.into() => head.clone(),
        _ => None,
    });
    assert!(
        head.expect("the head is whole")
            .starts_with("append of group 1, index 11, ")
    );
}

#[test]
fn damage_up_to_the_end_says_that_everything_after_may_be_lost() {
    let (temp, located) = filled(true);
    // From entry 31 on nothing can be read; what follows in later segments, too.
    for located in &located[30..] {
        flip(temp.path(), located.at, 20);
        flip(temp.path(), located.at, 300);
    }
    let result = verify(temp.path());
    assert_eq!(result.outcome, LogOutcome::Damaged);
    assert_eq!(result.groups[0].hole, Some(31));
    assert_eq!(
        result.losses[0].to_string(),
        "room 1 (\"room-1\"): served up to seq 30; may have lost everything after"
    );
}

/// Each byte of a block, flipped: verify never panics, never changes a file, and never calls the directory whole with
/// records missing.
#[test]
fn no_flipped_byte_goes_unseen() {
    let (temp, located) = filled(true);
    let block = located[20].at;
    let pristine = fs::read(segment_path(temp.path(), block.segment().0)).expect("readable");
    for inside in (0..400).step_by(7) {
        let mut bytes = pristine.clone();
        bytes[block.offset() as usize + inside] ^= 0x10;
        fs::write(segment_path(temp.path(), block.segment().0), bytes).expect("writable");
        let result = verify(temp.path());
        assert!(!result.is_whole(), "byte {inside}");
        assert_eq!(result.outcome, LogOutcome::Damaged, "byte {inside}");
    }
}

#[test]
fn a_damaged_checkpoint_file_is_told() {
    let (temp, _) = filled(true);
    let name = "g00000001-0000000000000005.ckpt";
    fs::write(temp.path().join("checkpoint").join(name), b"no checkpoint").expect("writable");
    let result = verify(temp.path());
    let told = result.findings.iter().any(|finding| {
        matches!(finding, Finding::Checkpoint { name: told, fault } if told == name && fault.contains("13 bytes"))
    });
    assert!(told, "{:?}", result.findings);
    assert_eq!(result.records, 120);
}

#[test]
fn a_directory_in_use_is_read_without_its_lock_and_seems_whole_at_every_moment() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut partition = Partition::open(temp.path());
    partition.append(&[(A, 1)], 1_000);
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut records = 0;
            while !done.load(std::sync::atomic::Ordering::Acquire) {
                let result = verify(temp.path());
                assert!(result.is_whole(), "{:?}", result.findings);
                assert!(result.records >= records);
                records = result.records;
            }
            records
        });
        for _ in 0..150 {
            partition.append(&[(A, 1), (B, 1)], 500);
        }
        done.store(true, std::sync::atomic::Ordering::Release);
        assert!(reader.join().expect("never damaged") >= 1);
    });
}

/// Takes whatever an open tells.
struct TakesAll;

impl Recover for TakesAll {
    fn checkpoint(&mut self, _: GroupId, _: &Checkpoint<'_>) -> bool {
        true
    }
    fn committed(&mut self, _: GroupId, _: RecoveredEntry<'_>) {}
    fn group(&mut self, _: GroupId, _: GroupRecovery) {}
}

#[test]
fn segments_that_were_let_go_are_told_and_what_is_left_is_whole() {
    let (temp, _) = filled(true);
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(temp.path(), new).expect("nobody holds it");
    let settings = LogSettings {
        segment_bytes: SEGMENT_BYTES,
        retention: Retention {
            bytes: 2 * u64::from(SEGMENT_BYTES),
            age_ms: 0,
        },
        ..LogSettings::new(directory.file().directory_id)
    };
    let open = || Log::open(directory.disk(), settings, &mut TakesAll);
    let (mut log, _) = open().expect("the log opens");
    for index in [39, 40] {
        log.write_checkpoint(GroupId(1), Index(index), Term(1), b"a state")
            .expect("the disk works");
        log.flush().expect("the disk works");
    }
    assert_eq!(log.retain(), Ok(true));
    let first_kept = log.first_kept().0;
    // The files are still there.
    drop(log);
    let infos = Inspector::open(temp.path())
        .expect("a directory")
        .ls()
        .expect("listable");
    let is_let_go = |info: &&SegmentInfo| info.state == SegmentState::LetGo;
    let let_go: Vec<u32> = infos
        .iter()
        .filter(is_let_go)
        .map(|info| info.segment)
        .collect();
    assert_eq!(let_go, (1..first_kept).collect::<Vec<_>>());
    let result = verify(temp.path());
    assert!(result.is_whole(), "{result:?}");
    let last = open().expect("the log opens").1;
    assert_eq!(last.findings, []);
    assert!(!segment_path(temp.path(), 1).exists());
    let result = verify(temp.path());
    assert!(result.is_whole(), "{result:?}");
    assert!(
        result.entries < 40 && result.groups[0].last == 40,
        "{result:?}"
    );
}
