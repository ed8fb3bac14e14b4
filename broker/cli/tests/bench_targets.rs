//! The systems of the load harness that are this program itself: signals of our broker, and the floors.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use antiphon_bench::antiphon::Antiphon;
use antiphon_bench::drive::Phases;
use antiphon_bench::error::BenchError;
use antiphon_bench::pace::Pace;
use antiphon_bench::progress::Progress;
use antiphon_bench::result::Run;
use antiphon_bench::rivals::floor::Floor;
use antiphon_bench::rivals::found::TournamentFile;
use antiphon_bench::rivals::signals::Signals;
use antiphon_bench::run::run;
use antiphon_bench::stage::Options;
use antiphon_bench::target::Target;
use antiphon_bench::workload::{Catchup, Connect, Fanout, History, Publish, Rooms, Workload};

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_antiphon"))
}

fn ran<T: Target>(target: &T, workload: &Workload) -> Result<Run, BenchError> {
    let mut options = Options::new(std::env::temp_dir())?;
    options.cpus = None;
    // Without warm-up the first window counts, however slow the machine is.
    options.phases = Phases {
        warm_up: Duration::ZERO,
        measure: Duration::from_millis(300),
        drain: Duration::from_secs(20),
    };
    let run = run(target, workload, &options, 0, &Progress::default())?;
    assert!(run.verdict.is_clean(), "{}: {:?}", run.key(), run.verdict);
    Ok(run)
}

#[test]
fn a_floor_delivers_and_acks() -> Result<(), BenchError> {
    let floor = Floor {
        binary: binary(),
        keeps: true,
    };
    let rooms = ran(
        &floor,
        &Workload::Rooms(Rooms {
            rooms: 5,
            members: 3,
            connections: 5,
            pace: Pace::InFlight(4),
        }),
    )?;
    assert!(rooms.verdict.delivered >= 12, "{:?}", rooms.verdict);
    let publish = ran(
        &floor,
        &Workload::Publish(Publish {
            connections: 3,
            pace: Pace::InFlight(4),
        }),
    )?;
    assert!(publish.latency["ack"].count >= 12, "{:?}", publish.metrics);
    Ok(())
}

#[test]
fn our_broker_is_connected_to_and_read_from() -> Result<(), BenchError> {
    let mut broker = Antiphon::new(binary());
    broker.settings.push("data.segment_bytes=4MiB".to_owned());
    let connect = ran(
        &broker,
        &Workload::Connect(Connect {
            connections: 120,
            hold: Duration::from_millis(50),
        }),
    )?;
    assert_eq!(connect.latency["connect"].count, 120);
    assert!(connect.metric("anonymous_bytes_per_connection").is_some());
    let history = ran(
        &broker,
        &Workload::History(History {
            records: 300,
            limit: 20,
            readers: 3,
        }),
    )?;
    assert!(
        history.latency["history"].count >= 3,
        "{:?}",
        history.metrics
    );
    let catchup = ran(&broker, &Workload::Catchup(Catchup { records: 3_000 }))?;
    assert_eq!(catchup.verdict.delivered, 3_000);
    Ok(())
}

fn bench(folder: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(binary())
        .arg("bench")
        .args(words)
        .current_dir(folder)
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn a_row_of_rivals_is_measured_written_and_shown() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (code, told, _) = bench(folder.path(), &["rivals", "--list"]);
    assert_eq!(code, Some(0));
    assert!(told.contains("fanout-signals") && told.contains("redis-server"));
    let (code, _, why) = bench(folder.path(), &["rivals", "--only", "nothing"]);
    assert_eq!(code, Some(2), "{why}");

    let words = "rivals --quick --rounds 2 --seconds 0.2 --only pingpong --json";
    let words: Vec<_> = words.split(' ').collect();
    let (code, told, why) = bench(folder.path(), &words);
    assert_eq!(code, Some(0), "{why}");
    let printed: TournamentFile = serde_json::from_str(&told).expect("one object");
    let path = folder.path().join("rivals.json");
    let file = TournamentFile::read(&path).expect("written");
    assert_eq!(file, printed);
    // The floor is always there; of the others those that are installed.
    let row = &file.rows[0];
    let floor = row.ratios.iter().find(|ratio| ratio.theirs.name == "floor");
    assert_eq!(floor.map(|floor| floor.pairs), Some(2), "{row:?}");
    assert!(
        file.result
            .runs
            .iter()
            .all(|run| run.key().contains("row=pingpong"))
    );
    let page = std::fs::read_to_string(folder.path().join("report.html")).expect("written");
    assert!(page.contains("\"id\":\"pingpong\""));

    let (code, table, _) = bench(folder.path(), &["report", "rivals.json", "--markdown"]);
    assert_eq!(code, Some(0));
    assert!(table.contains("| **pingpong**: "), "{table}");
}

#[test]
fn a_broker_that_does_not_start_makes_the_tournament_fail() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let words = "rivals --quick --rounds 1 --seconds 0.1 --only pingpong --program true";
    let words: Vec<_> = words.split(' ').collect();
    let (code, _, why) = bench(folder.path(), &words);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("pingpong: antiphon, signals failed"), "{why}");
    assert!(folder.path().join("rivals.json").exists());
}

#[test]
fn signals_are_measured_from_the_command_line_and_refused_where_they_make_no_sense() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let words = "fanout --signals --subscribers 3 --publishers 4 --rate 100 --burst 5 --seconds 0.2 \
         --warm-up 0 --no-pin --set data.segment_bytes=4MiB --json";
    let words: Vec<_> = words.split_whitespace().collect();
    let (code, told, why) = bench(folder.path(), &words);
    assert_eq!(code, Some(0), "{why}");
    assert!(told.contains("\"antiphon, signals\"") && told.contains("\"5 x 20/s\""));
    let (code, _, why) = bench(folder.path(), &["publish", "--signals"]);
    assert_eq!(code, Some(2), "{why}");
}

/// As many as a connection may send: several publishers share a room.
#[test]
fn signals_reach_everybody_within_their_limits() -> Result<(), BenchError> {
    let mut broker = Antiphon::new(binary());
    broker.settings.push("data.segment_bytes=4MiB".to_owned());
    let fanout = Workload::Fanout(Fanout {
        subscribers: 7,
        publishers: 4,
        pace: Pace::Bursts {
            messages: 8,
            per_second: 20.0,
        },
    });
    let run = ran(&Signals { broker }, &fanout)?;
    assert!(run.verdict.delivered >= 7 * 8, "{:?}", run.verdict);
    Ok(())
}
