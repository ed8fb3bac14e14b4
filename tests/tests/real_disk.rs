//! Disks that fail a sync, and disks that are full: the broker says so, and loses nothing that it acked.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use antiphon_client::{Client, ClientOptions, HistoryRange, Message, Pending, Seq};
use antiphon_tests::binary;
use antiphon_tests::broker::{BrokerProcess, SMALL};
use antiphon_tests::checkers::{Invariant, check_all};
use antiphon_tests::real::means::{Means, Mounted, strace};
use antiphon_tests::real::traced::{Acked, history, mark, tracing};

/// Exit code of a broker whose log failed (broker/server/src/exit.rs).
const EXIT_STORAGE: i32 = 74;

/// A broker that met a failed sync ends at once; this is for machines that are busy.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

fn start(front: &[std::ffi::OsString], data: &Path) -> BrokerProcess {
    let binary: PathBuf = binary::antiphon().unwrap();
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    BrokerProcess::start_under(front, &binary, data, anywhere, &SMALL)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn connect(broker: &BrokerProcess) -> Client {
    let options = ClientOptions::new(broker.address().to_string())
        .user("ann")
        .publish_deadline(Duration::from_secs(3));
    Client::connect(options).unwrap()
}

/// What a publisher saw.
#[derive(Debug)]
struct Seen {
    /// How many were acked.
    acked: u64,
    /// What it was told of the first one that was not.
    told: String,
}

/// Publishes one after the other until one has no ack; `trouble` begins after the first ten.
fn publish_until_refused(broker: &BrokerProcess, trouble: impl FnOnce()) -> Seen {
    let client = connect(broker);
    let mut acked = 0;
    let mut trouble = Some(trouble);
    // Bounded: far more than any fault of these tests lets through.
    while acked < 20_000 {
        if acked == 10
            && let Some(trouble) = trouble.take()
        {
            trouble();
        }
        match client.publish("lobby", format!("no. {}", acked + 1)) {
            Ok(_) => acked += 1,
            Err(error) => {
                let told = error.to_string();
                return Seen { acked, told };
            }
        }
    }
    panic!("the fault never came");
}

/// The next start serves everything that was acked, in order.
fn serves(data: &Path, acked: u64) {
    let broker = start(&[], data);
    let client = connect(&broker);
    let mut read = Vec::new();
    while (read.len() as u64) < acked {
        let after = HistoryRange::After(Seq(read.len() as u64));
        let page = client.history("lobby", after, 1_000).unwrap();
        assert!(!page.records.is_empty(), "{} of {acked}", read.len());
        read.extend(page.records.iter().map(|record| record.text().into_owned()));
    }
    for (at, text) in read.iter().enumerate().take(acked as usize) {
        assert_eq!(*text, format!("no. {}", at + 1));
    }
    client.publish("lobby", "and on it goes").unwrap();
    assert!(broker.stop().unwrap().success());
}

/// It ended by itself with the code of a failed log, and told that nothing was acked afterwards and what to do.
fn has_given_up(mut broker: BrokerProcess) {
    let status = broker.ends_within(ENDS_WITHIN).unwrap();
    let log = broker.log_end();
    let code = status.and_then(|status| status.code());
    assert_eq!(code, Some(EXIT_STORAGE), "{log}");
    for said in [
        "the log failed",
        "Nothing was acked after it",
        "then start again",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acked_and_a_restart_has_all_that_was() {
    if let Some(why) = Means::Strace.missing() {
        eprintln!("skipped: {why}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let broker = start(&strace("fdatasync:error=EIO:when=20+"), &data);
    let acked = publish_until_refused(&broker, || {}).acked;
    assert!(acked > 0);
    has_given_up(broker);
    serves(&data, acked);
}

/// Takes all the space that there is.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    for bytes in [1 << 20, 4_096] {
        let block = vec![1; bytes];
        while file.write_all(&block).is_ok() {}
    }
}

/// A publish that is made while there is no space, and its answer once it has one.
fn publish_patiently(broker: &BrokerProcess, number: u64) -> (Client, Pending) {
    let options = ClientOptions::new(broker.address().to_string())
        .user("bob")
        .publish_deadline(Duration::from_secs(60));
    let client = Client::connect(options).unwrap();
    let message = Message::from(format!("no. {number}"));
    let pending = client.publish_pipelined("lobby", message).unwrap();
    (client, pending)
}

/// The disk fills up under a broker: it says so to its clients and in its log, loses nothing, and goes on in the same life once there is
/// space again.
fn survives_a_full_disk(place: &Path) {
    let data = place.join("data");
    let ballast = place.join("ballast");
    let mut broker = start(&[], &data);
    let before = publish_until_refused(&broker, || fill(&ballast));
    assert!(before.acked >= 10);
    assert!(
        before.told.contains("STORAGE_FULL"),
        "a client is told why: {}",
        before.told
    );
    assert!(
        broker.log_end().contains("storage_full"),
        "{}",
        broker.log_end()
    );
    // Reading goes on.
    let reader = connect(&broker);
    let page = reader.history("lobby", HistoryRange::Latest, 1).unwrap();
    assert!(page.head_seq.0 >= before.acked);
    // What is published now is acked as soon as there is space.
    let (_client, mut pending) = publish_patiently(&broker, page.head_seq.0 + 1);
    assert!(pending.wait_timeout(Duration::from_millis(700)).is_none());
    fs::remove_file(&ballast).unwrap();
    let receipt = pending.wait_timeout(ENDS_WITHIN).unwrap().unwrap();
    assert!(receipt.seq.0 > before.acked);
    assert_eq!(broker.ended().unwrap(), None, "the same life");
    assert!(broker.stop().unwrap().success());
    serves(&data, before.acked);
}

#[test]
fn a_full_tmpfs_is_told_loses_nothing_and_is_gone_on_with_once_there_is_space() {
    if let Some(why) = Means::Mount.missing() {
        eprintln!("skipped: {why}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let _mounted = Mounted::tmpfs(home.path(), "80m").unwrap();
    survives_a_full_disk(home.path());
}

#[test]
fn a_full_ext4_is_told_loses_nothing_and_is_gone_on_with_once_there_is_space() {
    if let Some(why) = Means::Loop.missing() {
        eprintln!("skipped: {why}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let place = home.path().join("place");
    fs::create_dir(&place).unwrap();
    let _mounted = Mounted::ext4(&place, &home.path().join("image"), 96 << 20).unwrap();
    survives_a_full_disk(&place);
}

fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since_epoch.as_nanos() as u64
}

/// The trace of a broker that has ended, once strace has written all of it.
fn finished(trace: &Path) -> String {
    let deadline = Instant::now() + ENDS_WITHIN;
    loop {
        let text = fs::read_to_string(trace).unwrap_or_default();
        let last = text.lines().last().unwrap_or_default();
        if last.contains("+++ exited with 0 +++") || Instant::now() > deadline {
            return text;
        }
        thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn no_ack_comes_before_the_kernel_has_synced_its_bytes() {
    const MESSAGES: u64 = 120;
    if let Some(why) = Means::Strace.missing() {
        eprintln!("skipped: {why}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let trace = home.path().join("trace");
    let broker = start(&tracing(&trace), &home.path().join("data"));
    let client = connect(&broker);
    let publish = |number| {
        let asked_at = now();
        let receipt = client.publish("lobby", mark(number)).unwrap();
        Acked {
            number,
            asked_at,
            acked_at: now(),
            seq: receipt.seq.0,
        }
    };
    let acks: Vec<Acked> = (1..=MESSAGES).map(publish).collect();
    drop(client);
    assert!(broker.stop().unwrap().success());
    let report = check_all(&history(&finished(&trace), &acks));
    let check = report
        .checks
        .iter()
        .find(|check| check.invariant == Invariant::I14)
        .unwrap();
    assert_eq!((check.compared, check.found), (MESSAGES, 0), "{report}");
}
