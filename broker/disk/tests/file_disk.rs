//! The log's disk over real files.

use std::path::Path;

use antiphon_disk::{DataDirectory, FileDisk, NewDirectory};
use antiphon_log::{Disk, DiskError, DiskErrorKind, DiskOp, SegmentId};
use antiphon_protocol::NodeId;

fn with_disk(test: impl FnOnce(&Path, &FileDisk)) {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(temp.path(), new).expect("made");
    test(temp.path(), &directory.disk());
}

fn failed(op: DiskOp, kind: DiskErrorKind) -> DiskError {
    DiskError { op, kind }
}

#[test]
fn what_is_written_is_read_and_reserved_space_is_there() {
    with_disk(|_, disk| {
        let file = disk.create("log/a.tmp").expect("created");
        assert_eq!(disk.reserve(&file, 8192), Ok(()));
        assert_eq!(disk.size(&file), Ok(8192));
        assert_eq!(disk.write_at(&file, 4096, b"hello"), Ok(()));
        assert_eq!(disk.sync(&file), Ok(()));
        assert_eq!(disk.forget_cached(&file), Ok(()));
        let mut into = [7; 6];
        assert_eq!(disk.read_at(&file, 4096, &mut into), Ok(6));
        assert_eq!(&into, b"hello\0");
        let mut into = [7; 10];
        assert_eq!(disk.read_at(&file, 8190, &mut into), Ok(2));
        assert_eq!(into, [0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
        assert_eq!(disk.read_at(&file, 9000, &mut into), Ok(0));
    });
}

#[test]
fn files_are_listed_renamed_and_removed() {
    with_disk(|_, disk| {
        assert_eq!(disk.list("log"), Ok(vec![]));
        assert_eq!(disk.list("nowhere"), Ok(vec![]));
        drop(disk.create("log/a.tmp").expect("created"));
        drop(disk.create("log/b").expect("created"));
        assert_eq!(disk.rename("log/a.tmp", "log/b"), Ok(()));
        assert_eq!(disk.sync_directory("log"), Ok(()));
        assert_eq!(disk.list("log"), Ok(vec!["b".to_owned()]));
        assert_eq!(disk.remove("log/b"), Ok(()));
        assert_eq!(disk.list("log"), Ok(vec![]));
    });
}

#[test]
fn refusals_are_told_as_kinds_to_the_log_and_with_names_to_people() {
    with_disk(|root, disk| {
        drop(disk.create("log/a").expect("created"));
        let error = disk.create("log/a").expect_err("it exists");
        assert_eq!(error, failed(DiskOp::Create, DiskErrorKind::Exists));
        let failure = disk.take_failure().expect("kept");
        let expected = format!("create {}/log/a: File exists (os error 17)", root.display());
        assert_eq!(failure.to_string(), expected);
        assert!(disk.take_failure().is_none());

        let missing = DiskErrorKind::Missing;
        assert_eq!(
            disk.open("log/z").expect_err("missing"),
            failed(DiskOp::Open, missing)
        );
        assert_eq!(
            disk.rename("log/z", "log/y"),
            Err(failed(DiskOp::Rename, missing))
        );
        assert_eq!(disk.remove("log/z"), Err(failed(DiskOp::Remove, missing)));
        assert_eq!(
            disk.sync_directory("z"),
            Err(failed(DiskOp::SyncDirectory, missing))
        );
    });
}

/// `/dev/full` answers every write with ENOSPC.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_told_as_full() {
    with_disk(|root, disk| {
        std::os::unix::fs::symlink("/dev/full", root.join("log/full")).expect("linkable");
        let file = disk.open("log/full").expect("opened");
        assert_eq!(
            disk.write_at(&file, 0, b"x"),
            Err(failed(DiskOp::Write, DiskErrorKind::Full))
        );
    });
}

/// `/proc/self/mem` answers a read of an address that is not mapped with EIO.
#[test]
#[cfg(target_os = "linux")]
fn a_failing_device_is_told_as_io() {
    with_disk(|root, disk| {
        std::os::unix::fs::symlink("/proc/self/mem", root.join("log/mem")).expect("linkable");
        let file = disk.open("log/mem").expect("opened");
        let error = disk.read_at(&file, 0, &mut [0; 16]);
        assert_eq!(error, Err(failed(DiskOp::Read, DiskErrorKind::Io)));
    });
}

/// The same device, as a segment.
#[test]
#[cfg(target_os = "linux")]
fn a_page_of_a_segment_that_cannot_be_read_is_noted_once() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(temp.path(), new).expect("made");
    let disk = directory.disk();
    let name = "log/000000000000002a.seg";
    std::os::unix::fs::symlink("/proc/self/mem", temp.path().join(name)).expect("linkable");
    let file = disk.open(name).expect("opened");
    let io = failed(DiskOp::Read, DiskErrorKind::Io);
    assert_eq!(disk.read_at(&file, 0, &mut [0; 16 * 1024]), Err(io));
    assert_eq!(
        directory.bad_pages().pages(),
        [],
        "which page is bad is not known yet"
    );
    for _ in 0..2 {
        assert_eq!(disk.read_at(&file, 4096, &mut [0; 4096]), Err(io));
    }
    assert_eq!(directory.bad_pages().pages(), [(SegmentId(0x2a), 1)]);
    let noted = std::fs::read(temp.path().join("bad-pages")).expect("there");
    assert_eq!(noted, b"0000002a 00000001\n");
}
