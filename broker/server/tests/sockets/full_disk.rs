//! A disk that fills up under a running broker, on a small tmpfs of its own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use antiphon_protocol::{Code, FetchRange, Seq, ServerFrame};
use tempfile::TempDir;

use crate::support::{BEGINNING, Broker, Client, PATIENCE};

/// A file system of 48 MiB that is mounted as long as the value lives.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None`, with a line that says so: this process may not mount.
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "antiphon-test"])
            .arg(place.path())
            .output();
        if mounted.is_ok_and(|done| done.status.success()) {
            return Some(Self(place));
        }
        eprintln!("skipped: mounting a tmpfs needs root");
        None
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.0.path().join("ballast")
    }

    /// Takes space until `free` bytes are left.
    fn fill_but(&self, free: u64) {
        let told = Command::new("df")
            .args(["--output=avail", "-B1"])
            .arg(self.0.path())
            .output()
            .expect("df runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let avail: u64 = told
            .lines()
            .last()
            .and_then(|line| line.trim().parse().ok())
            .expect("df tells a number");
        let ballast = vec![1; usize::try_from(avail - free).expect("it is small")];
        fs::write(self.ballast(), ballast).expect("there is space for it");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a failed test may leave files open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn broker(place: &Path) -> Broker {
    let data = TempDir::new_in(place).expect("a folder");
    let marks = [
        ("data.reserve_bytes", "6MiB"),
        ("data.resume_bytes", "12MiB"),
    ];
    Broker::start_in(data, &marks)
}

/// Publishes one record; its seq, or how it is refused.
fn publish(client: &mut Client, producer_seq: u64, body: &[u8]) -> Result<u64, (Code, u32)> {
    client.publish("tea", producer_seq, body);
    let frame = client.expect("an answer");
    match frame.decode() {
        ServerFrame::Puback(puback) => Ok(puback.entries().next().expect("one").seq.0),
        ServerFrame::Error(error) => Err((error.code, error.retry_after_ms)),
        other => panic!("{other:?} is no answer"),
    }
}

#[test]
fn publishes_are_refused_before_the_disk_is_full_and_taken_again_when_there_is_space() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let broker = broker(disk.0.path());
    let mut reader = broker.client("bob");
    let mut writer = broker.client("ann");
    let body = [7; 64 * 1024];
    assert_eq!(publish(&mut writer, 1, &body), Ok(1));
    // Nothing of the next segments can be made any more: what is made is the rest of one and another one.
    disk.fill_but(3 << 20);
    let mut stored = 1;
    let refused = loop {
        match publish(&mut writer, stored + 1, &body) {
            Ok(seq) => {
                assert_eq!(seq, stored + 1);
                stored = seq;
            }
            Err(refused) => break refused,
        }
        assert!(stored < 200, "the disk has no place for so much");
    };
    assert_eq!(refused, (Code::STORAGE_FULL, 500));
    // Readers do not notice.
    reader.subscribe("tea", BEGINNING);
    let records = reader.records(stored as usize, None);
    assert_eq!(records.last().map(|(seq, _)| *seq), Some(stored));
    let history = writer.history("tea", FetchRange::After(Seq(0)), 1_000);
    assert_eq!(history.len() as u64, stored);
    // A retry of what is stored is acked all the same.
    assert_eq!(publish(&mut writer, stored, &body), Ok(stored));
    fs::remove_file(disk.ballast()).expect("it is there");
    let until = Instant::now() + PATIENCE;
    let seq = loop {
        match publish(&mut writer, stored + 1, &body) {
            Ok(seq) => break seq,
            Err((code, _)) => assert_eq!(code, Code::STORAGE_FULL),
        }
        assert!(Instant::now() < until, "there is space, and it is not seen");
    };
    assert_eq!(seq, stored + 1, "the same life of the broker goes on");
    assert_eq!(reader.records(1, None)[0].0, seq);
    drop((reader, writer));
    broker.stop();
}
