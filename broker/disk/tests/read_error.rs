//! A read error under a map ends the process once, and only once.
//!
//! The error is made by cutting a file under its map, which the kernel answers exactly as it answers a bad sector. The
//! victim is this test program, started again with a path in its environment.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::Command;

use antiphon_disk::{DataDirectory, NewDirectory, SIGBUS_EXIT_STATUS};
use antiphon_log::{LogPosition, SegmentId};
use antiphon_protocol::NodeId;

const VICTIM: &str = "ANTIPHON_TEST_READ_ERROR";
const SEGMENT_BYTES: u64 = 64 * 1024;
const SEGMENT: SegmentId = SegmentId(0x2a);
/// Everything of the segment.
const BELOW: LogPosition = LogPosition::new(SegmentId(0x2b), 0);

fn open(path: &Path) -> DataDirectory {
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    DataDirectory::open(path, new).expect("the directory opens")
}

fn segment_file(path: &Path) -> PathBuf {
    path.join("log/000000000000002a.seg")
}

/// Touches the page at 20,480 after the file was cut to 16 KiB. Does not return.
fn be_the_victim(path: &Path) -> ! {
    let maps = open(path).maps(4);
    let map = maps.get(SEGMENT).expect("mapped");
    let file = OpenOptions::new()
        .write(true)
        .open(segment_file(path))
        .expect("opened");
    file.set_len(16 * 1024).expect("cut");
    let byte = std::hint::black_box(map.below(BELOW))[20_500];
    panic!("read {byte} where nothing can be read");
}

#[test]
fn a_read_error_under_a_map_is_noted_and_read_around_from_the_next_start_on() {
    if let Some(path) = std::env::var_os(VICTIM) {
        be_the_victim(Path::new(&path));
    }
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()));
    fs::write(segment_file(temp.path()), vec![7; SEGMENT_BYTES as usize]).expect("written");

    let this = std::env::current_exe().expect("this program has a path");
    let name = "a_read_error_under_a_map_is_noted_and_read_around_from_the_next_start_on";
    let victim = Command::new(this)
        .args(["--exact", name, "--nocapture"])
        .env(VICTIM, temp.path())
        .output()
        .expect("started");
    let told = String::from_utf8_lossy(&victim.stderr).into_owned();
    assert_eq!(victim.status.code(), Some(SIGBUS_EXIT_STATUS), "{told}");
    assert!(
        told.ends_with("Segment and page: 0000002a 00000005\n"),
        "{told}"
    );
    assert_eq!(
        fs::read(temp.path().join("bad-pages")).expect("there"),
        b"0000002a 00000005\n"
    );

    // The next start: the segment is copied, what can be read is read, and nothing ends the process.
    let directory = open(temp.path());
    assert_eq!(directory.bad_pages().pages(), [(SEGMENT, 5)]);
    let map = directory.maps(4).get(SEGMENT).expect("copied");
    let file = OpenOptions::new()
        .write(true)
        .open(segment_file(temp.path()))
        .expect("opened");
    file.set_len(0).expect("cut");
    assert_eq!(map.below(BELOW), vec![7; 16 * 1024]);
}
