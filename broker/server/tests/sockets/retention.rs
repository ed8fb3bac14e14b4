//! A broker that lets its oldest segments go.

use std::fs;
use std::path::Path;
use std::time::Instant;

use antiphon_protocol::{FetchRange, Gap, GapReason, Seq, ServerFrame};

use crate::support::{BEGINNING, Broker, Client, PATIENCE};

const MIB: u64 = 1 << 20;
const KEEPS: [(&str, &str); 1] = [("data.retention_bytes", "8MiB")];

/// Bytes of the log's files, and whether the first segment is among them.
fn log_of(directory: &Path) -> (u64, bool) {
    let files = fs::read_dir(directory.join("log")).expect("a log");
    let files = files.map(|file| file.expect("an entry"));
    files.fold((0, false), |(bytes, has_first), file| {
        let is_first = file.file_name() == "0000000000000001.seg";
        // A file may go while we look.
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        (bytes + len, has_first || is_first)
    })
}

/// The history of the room from its beginning: the gap, then records without another one.
fn history(client: &mut Client) -> (Gap, Vec<u64>) {
    let (records, gaps) = client.history_with_gaps("tea", FetchRange::After(Seq(0)), 10_000);
    let [gap] = gaps.as_slice() else {
        panic!("one gap: {gaps:?}")
    };
    (*gap, records.into_iter().map(|(seq, _)| seq).collect())
}

fn check(client: &mut Client, head: u64) {
    let (gap, seqs) = history(client);
    assert_eq!((gap.from, gap.reason), (Seq(1), GapReason::RETENTION));
    assert!(
        seqs.iter().copied().eq(gap.to.0 + 1..=head),
        "{gap:?}, {seqs:?}"
    );
    // A subscriber from the beginning meets the same gap, and every record behind it, checked by its link.
    client.subscribe("tea", BEGINNING);
    let frame = client.expect("the gap");
    let ServerFrame::Gap(told) = frame.decode() else {
        panic!("{:?} is no gap", frame.decode())
    };
    assert_eq!(told, gap);
    let records = client.records(seqs.len(), Some(gap.link));
    assert!(records.iter().map(|(seq, _)| *seq).eq(seqs));
}

#[test]
fn the_log_stays_small_and_readers_are_told_what_is_gone() {
    let broker = Broker::start_with(&KEEPS);
    let mut writer = broker.client("ann");
    let body = [7; 128 * 1024];
    let head = 24 * MIB / body.len() as u64;
    for seq in 1..=head {
        assert_eq!(writer.publish_acked("tea", seq, &body), seq);
    }
    // Nobody publishes any more. All partitions make two checkpoints now, of which the quiet ones have none: a few looks of the log thread, one a second.
    let until = Instant::now() + PATIENCE;
    while log_of(broker.directory()).1 {
        assert!(Instant::now() < until, "nothing was let go");
        writer.round_trip();
    }
    let mut reader = broker.client("bob");
    check(&mut reader, head);
    drop((reader, writer));
    let directory = broker.stop();
    let broker = Broker::start_in(directory, &KEEPS);
    check(&mut broker.client("bob"), head);
    assert_eq!(
        broker.client("ann").publish_acked("tea", 1, b"on"),
        head + 1
    );
    broker.stop();
}
