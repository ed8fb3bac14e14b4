//! A process that is killed loses nothing that it was told is durable.
//!
//! The victim is this test program, started again with a path in its environment. It appends until it is killed and
//! prints the index of each entry once its flush has returned.

mod workload;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use antiphon_disk::inspect::Inspector;
use antiphon_log::Outcome;
use antiphon_protocol::RoomId;

use crate::workload::Partition;

const VICTIM: &str = "ANTIPHON_TEST_KILL";
const TEST: &str = "what_was_flushed_survives_kills_at_any_moment";

fn be_the_victim(path: &Path) -> ! {
    let mut partition = Partition::open(path);
    let mut out = std::io::stdout();
    for n in 0_u64.. {
        partition.append(&[(RoomId(1 + n % 5), 1 + n % 3)], 700);
        writeln!(out, "flushed {}", partition.state.last).expect("somebody listens");
    }
    unreachable!("numbers do not end");
}

/// Starts the victim, kills it after `entries` more entries, and gives the index of the last one it was told of.
fn run_and_kill(path: &Path, entries: usize) -> u64 {
    let this = std::env::current_exe().expect("this program has a path");
    let mut victim = Command::new(this)
        .args(["--exact", TEST, "--nocapture"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
    let mut flushed = lines.filter_map(|line| line.ok()?.strip_prefix("flushed ")?.parse().ok());
    let told = flushed.nth(entries).expect("it goes on until it is killed");
    victim.kill().expect("killed");
    victim.wait().expect("ended");
    // What it said between the last line taken and its death counts, too.
    flushed.last().unwrap_or(told)
}

#[test]
fn what_was_flushed_survives_kills_at_any_moment() {
    if let Some(path) = std::env::var_os(VICTIM) {
        be_the_victim(Path::new(&path));
    }
    let temp = tempfile::tempdir().expect("a temporary directory");
    for entries in [0, 40, 75, 130] {
        let told = run_and_kill(temp.path(), entries);
        let verification = Inspector::open(temp.path()).and_then(|inspector| inspector.verify());
        let verification = verification.expect("verifiable");
        assert!(verification.is_whole(), "{verification:?}");

        // Opening checks that entries are dense and that every room continues.
        let partition = Partition::open(temp.path());
        assert_eq!(partition.recovery.outcome, Outcome::Unclean);
        assert!(
            partition.state.last.0 >= told,
            "entry {told} was flushed, {} is left",
            partition.state.last
        );
        assert!(
            partition.state.last.0 <= told + 1,
            "at most one was under way"
        );
        assert_eq!(verification.entries, partition.state.last.0);
    }
}
