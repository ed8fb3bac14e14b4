//! The harness is told one lie at a time, on each of its workloads, and has to say which it was.

mod liar;

use std::time::Duration;

use antiphon_bench::drive::Phases;
use antiphon_bench::error::BenchError;
use antiphon_bench::pace::Pace;
use antiphon_bench::progress::Progress;
use antiphon_bench::run::run;
use antiphon_bench::stage::Options;
use antiphon_bench::verify::Verdict;
use antiphon_bench::workload::{
    Catchup, Connect, Fanout, History, Line, Mixed, Pingpong, Publish, Replay, Rooms, Workload,
};

use crate::liar::{Lie, Running};

type Outcome = Result<(), BenchError>;

/// What the harness says of a system that tells this lie.
fn verdict(workload: &Workload, lie: Lie) -> Result<Verdict, BenchError> {
    let running = Running::start(lie)?;
    let mut options = Options::new(std::env::temp_dir())?;
    // Tests run side by side.
    options.cpus = None;
    options.phases = Phases {
        warm_up: Duration::ZERO,
        measure: Duration::from_millis(100),
        // What is lost is waited for; all else is here long before.
        drain: Duration::from_secs(2),
    };
    let run = run(&running.liar, workload, &options, 0, &Progress::default())?;
    let heard = run.latency.values().any(|latency| latency.count >= 5);
    assert!(heard, "{:?}", run.metrics);
    Ok(Verdict {
        delivered: 0,
        ..run.verdict
    })
}

/// The truth is clean, and each lie is exactly the one that was told.
fn tells(workload: &Workload, lies: &[(Lie, Verdict)]) -> Outcome {
    assert_eq!(verdict(workload, Lie::None)?, Verdict::default());
    for &(lie, expected) in lies {
        let found = verdict(workload, lie)?;
        assert_eq!(found, expected, "{} {lie:?}", workload.name());
        assert!(!found.is_clean());
    }
    Ok(())
}

const CLEAN: Verdict = Verdict {
    delivered: 0,
    lost: 0,
    duplicated: 0,
    reordered: 0,
    stray: 0,
    corrupted: 0,
    refused: 0,
    acked_again: 0,
    unacked: 0,
};
const LOST: (Lie, Verdict) = (Lie::Lost, Verdict { lost: 1, ..CLEAN });
const TWICE: (Lie, Verdict) = (
    Lie::Twice,
    Verdict {
        duplicated: 1,
        ..CLEAN
    },
);
const LATE: (Lie, Verdict) = (
    Lie::Late,
    Verdict {
        reordered: 1,
        ..CLEAN
    },
);
const STRAY: (Lie, Verdict) = (Lie::Stray, Verdict { stray: 1, ..CLEAN });
/// What is not legible is missing, too.
const FLIPPED: (Lie, Verdict) = (
    Lie::Flipped,
    Verdict {
        corrupted: 1,
        lost: 1,
        ..CLEAN
    },
);
const INSTEAD: (Lie, Verdict) = (
    Lie::Instead,
    Verdict {
        duplicated: 1,
        lost: 1,
        ..CLEAN
    },
);

#[test]
fn lies_to_the_subscribers_of_one_room_are_told() -> Outcome {
    let fanout = Workload::Fanout(Fanout {
        subscribers: 4,
        publishers: 1,
        pace: Pace::InFlight(8),
    });
    tells(&fanout, &[LOST, TWICE, LATE, STRAY, FLIPPED])
}

#[test]
fn lies_in_an_open_loop_are_told() -> Outcome {
    let fanout = Workload::Fanout(Fanout {
        subscribers: 2,
        publishers: 2,
        pace: Pace::PerSecond(500.0),
    });
    tells(&fanout, &[LOST, TWICE, LATE, STRAY, FLIPPED])
}

#[test]
fn lies_to_the_members_of_many_rooms_are_told() -> Outcome {
    let rooms = Workload::Rooms(Rooms {
        rooms: 5,
        members: 3,
        connections: 5,
        pace: Pace::InFlight(10),
    });
    tells(&rooms, &[LOST, TWICE, LATE, STRAY, FLIPPED])
}

#[test]
fn lies_in_a_chat_that_is_replayed_are_told() -> Outcome {
    // Three rooms of two and three members; the fourth connection is in none with the others.
    let line = |(room, user)| Line {
        room,
        user,
        bytes: 10 + 30 * user,
    };
    let said = [
        (0, 0),
        (0, 1),
        (0, 0),
        (1, 1),
        (1, 2),
        (2, 3),
        (1, 0),
        (2, 1),
    ];
    let replay = Workload::Replay(Replay {
        name: "a few lines".to_owned(),
        lines: said.into_iter().map(line).collect(),
        connections: 4,
        pace: Pace::InFlight(20),
    });
    tells(&replay, &[LOST, TWICE, LATE, STRAY, FLIPPED])
}

#[test]
fn lies_to_people_who_come_and_go_are_told() -> Outcome {
    // Each of eight rooms has four members.
    let mixed = Workload::Mixed(Mixed {
        users: 8,
        rooms: 8,
        rooms_each: 4,
        rate: 2_000.0,
    });
    tells(&mixed, &[LOST, TWICE, LATE, STRAY, FLIPPED])
}

#[test]
fn lies_in_a_ping_pong_are_told() -> Outcome {
    // The next one waits for the one before: none can be late.
    tells(
        &Workload::Pingpong(Pingpong),
        &[LOST, TWICE, STRAY, FLIPPED, INSTEAD],
    )
}

#[test]
fn lies_to_publishers_are_told() -> Outcome {
    let publish = Workload::Publish(Publish {
        connections: 3,
        pace: Pace::InFlight(4),
    });
    let lies = [
        (
            Lie::AnswerLost,
            Verdict {
                unacked: 1,
                ..CLEAN
            },
        ),
        (
            Lie::AnswerTwice,
            Verdict {
                acked_again: 1,
                ..CLEAN
            },
        ),
        (
            Lie::Refused,
            Verdict {
                refused: 1,
                ..CLEAN
            },
        ),
    ];
    tells(&publish, &lies)
}

#[test]
fn lies_to_those_who_connect_are_told() -> Outcome {
    let connect = Workload::Connect(Connect {
        connections: 40,
        hold: Duration::from_millis(20),
    });
    let lies = [
        (
            Lie::AnswerTwice,
            Verdict {
                acked_again: 1,
                ..CLEAN
            },
        ),
        (
            Lie::Refused,
            Verdict {
                refused: 1,
                ..CLEAN
            },
        ),
    ];
    tells(&connect, &lies)
}

#[test]
fn lies_about_the_past_are_told() -> Outcome {
    let history = Workload::History(History {
        records: 50,
        limit: 20,
        readers: 2,
    });
    tells(&history, &[LOST, TWICE, LATE, FLIPPED, INSTEAD])
}

#[test]
fn lies_to_who_catches_up_are_told() -> Outcome {
    // One that is lost, or not legible, ends the run after it was waited for in vain; see `BenchError::Stalled`.
    tells(
        &Workload::Catchup(Catchup { records: 2_000 }),
        &[LATE, INSTEAD],
    )
}
