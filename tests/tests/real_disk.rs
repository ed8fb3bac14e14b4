//! A disk that fails a sync: the broker stops acking, says so, ends with its code for that, and loses nothing that it acked.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use antiphon_client::{Client, ClientOptions, HistoryRange, Seq};
use antiphon_tests::binary;
use antiphon_tests::broker::{BrokerProcess, SMALL};
use antiphon_tests::real::means::{Means, strace};

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

/// Publishes one after the other until one has no ack; gives how many were acked.
fn publish_until_refused(broker: &BrokerProcess) -> u64 {
    let client = connect(broker);
    let mut acked = 0;
    // Bounded: far more than any fault of these tests lets through.
    while acked < 5_000
        && client
            .publish("lobby", format!("no. {}", acked + 1))
            .is_ok()
    {
        acked += 1;
    }
    assert!(acked < 5_000, "the fault never came");
    acked
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
    let acked = publish_until_refused(&broker);
    assert!(acked > 0);
    has_given_up(broker);
    serves(&data, acked);
}
