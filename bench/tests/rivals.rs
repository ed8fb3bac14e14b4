//! Each rival, alive and small: it starts, does what its wire asks, delivers or acks everything, and is gone afterwards.
//!
//! A rival that is not installed is skipped with a line.

use std::time::Duration;

use antiphon_bench::drive::Phases;
use antiphon_bench::error::{BenchError, StartError};
use antiphon_bench::pace::Pace;
use antiphon_bench::progress::Progress;
use antiphon_bench::result::Run;
use antiphon_bench::rivals::mosquitto::Mosquitto;
use antiphon_bench::rivals::nats::{Core, JetStream, SyncInterval};
use antiphon_bench::rivals::rabbitmq::{RabbitMq, Use};
use antiphon_bench::rivals::redis::{AppendFsync, PubSub, Streams};
use antiphon_bench::run::run;
use antiphon_bench::server::{Place, Server};
use antiphon_bench::stage::Options;
use antiphon_bench::target::Target;
use antiphon_bench::workload::{Catchup, Connect, Fanout, History, Publish, Rooms, Workload};

type Outcome = Result<(), BenchError>;

fn options() -> Result<Options, BenchError> {
    let mut options = Options::new(std::env::temp_dir())?;
    // Tests run side by side.
    options.cpus = None;
    // Without warm-up the first window counts, however slow the machine is: what must come does not hang on time.
    options.phases = Phases {
        warm_up: Duration::ZERO,
        measure: Duration::from_millis(300),
        drain: Duration::from_secs(20),
    };
    Ok(options)
}

/// Runs, unless the program is not installed.
fn ran<T: Target>(target: &T, workload: &Workload) -> Result<Option<Run>, BenchError> {
    match run(target, workload, &options()?, 0, &Progress::default()) {
        Ok(run) => Ok(Some(run)),
        Err(BenchError::Start(StartError::Missing { program, advice })) => {
            println!("skipped: {program} is not installed; {advice}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// All that was published came to all that had asked for it.
fn delivers<T: Target>(target: &T) -> Outcome {
    let fanout = Workload::Fanout(Fanout {
        subscribers: 7,
        publishers: 1,
        pace: Pace::InFlight(3),
    });
    delivers_in(target, &fanout)?;
    delivers_in(target, &rooms())
}

fn rooms() -> Workload {
    Workload::Rooms(Rooms {
        rooms: 5,
        members: 3,
        connections: 5,
        pace: Pace::InFlight(4),
    })
}

fn delivers_in<T: Target>(target: &T, workload: &Workload) -> Outcome {
    if let Some(run) = ran(target, workload)? {
        assert!(run.verdict.is_clean(), "{}: {:?}", run.key(), run.verdict);
        assert!(
            run.verdict.delivered >= 12,
            "{}: {:?}",
            run.key(),
            run.verdict
        );
    }
    Ok(())
}

/// All that was published was acked, once.
fn acks<T: Target>(target: &T) -> Outcome {
    let publish = Workload::Publish(Publish {
        connections: 3,
        pace: Pace::InFlight(4),
    });
    if let Some(run) = ran(target, &publish)? {
        assert!(run.verdict.is_clean(), "{:?}", run.verdict);
        assert!(run.latency["ack"].count >= 12, "{:?}", run.metrics);
    }
    Ok(())
}

#[test]
fn redis_delivers_what_is_published() -> Outcome {
    delivers(&PubSub)
}

#[test]
fn redis_acks_what_it_keeps() -> Outcome {
    for appendfsync in [AppendFsync::Always, AppendFsync::EverySecond] {
        acks(&Streams { appendfsync })?;
    }
    Ok(())
}

#[test]
fn nats_delivers_what_is_published() -> Outcome {
    delivers(&Core)
}

#[test]
fn jetstream_acks_what_it_keeps() -> Outcome {
    for sync in [SyncInterval::Default, SyncInterval::Always] {
        acks(&JetStream { sync, replicas: 1 })?;
    }
    Ok(())
}

#[test]
fn jetstream_consumers_deliver_what_is_published() -> Outcome {
    delivers(&JetStream {
        sync: SyncInterval::Default,
        replicas: 1,
    })
}

#[test]
fn three_jetstream_servers_ack_together() -> Outcome {
    acks(&JetStream {
        sync: SyncInterval::Default,
        replicas: 3,
    })
}

#[test]
fn mosquitto_delivers_what_is_published_and_acks_at_qos_1() -> Outcome {
    for qos in [0, 1] {
        delivers(&Mosquitto { qos })?;
    }
    acks(&Mosquitto { qos: 1 })
}

#[test]
fn rabbitmq_delivers_what_is_published() -> Outcome {
    let target = RabbitMq {
        used: Use::Exchange,
    };
    delivers_in(&target, &rooms())
}

#[test]
fn rabbitmq_acks_what_it_keeps() -> Outcome {
    // Classic queues are spoken to in the same way, and each start of Erlang takes seconds.
    acks(&RabbitMq { used: Use::Quorum })
}

/// Answers of history hold the last messages, once each.
fn remembers<T: Target>(target: &T) -> Outcome {
    let history = Workload::History(History {
        records: 300,
        limit: 20,
        readers: 3,
    });
    if let Some(run) = ran(target, &history)? {
        assert!(run.verdict.is_clean(), "{:?}", run.verdict);
        assert!(run.latency["history"].count >= 3, "{:?}", run.metrics);
    }
    Ok(())
}

#[test]
fn redis_streams_and_jetstream_tell_history() -> Outcome {
    remembers(&Streams {
        appendfsync: AppendFsync::EverySecond,
    })?;
    remembers(&JetStream {
        sync: SyncInterval::Default,
        replicas: 1,
    })
}

#[test]
fn a_jetstream_consumer_catches_up() -> Outcome {
    let target = JetStream {
        sync: SyncInterval::Default,
        replicas: 1,
    };
    let catchup = Workload::Catchup(Catchup { records: 3_000 });
    if let Some(run) = ran(&target, &catchup)? {
        assert!(run.verdict.is_clean(), "{:?}", run.verdict);
        assert_eq!(run.verdict.delivered, 3_000);
    }
    Ok(())
}

#[test]
fn nats_and_mosquitto_are_connected_to() -> Outcome {
    let connect = Workload::Connect(Connect {
        connections: 120,
        hold: Duration::from_millis(50),
    });
    for run in [ran(&Core, &connect)?, ran(&Mosquitto { qos: 0 }, &connect)?]
        .into_iter()
        .flatten()
    {
        assert!(run.verdict.is_clean(), "{:?}", run.verdict);
        assert_eq!(run.latency["connect"].count, 120);
    }
    Ok(())
}

#[test]
fn a_rival_is_gone_once_it_is_dropped() -> Outcome {
    let place = Place {
        cpu: None,
        parent: std::env::temp_dir(),
    };
    let server: Server = match PubSub.start(&place) {
        Err(StartError::Missing { program, .. }) => {
            println!("skipped: {program} is not installed");
            return Ok(());
        }
        started => started?,
    };
    let (pids, directory) = (server.pids(), server.directory.path().to_owned());
    assert!(!pids.is_empty() && directory.exists());
    drop(server);
    assert!(!directory.exists());
    for pid in pids {
        let alive = std::path::Path::new("/proc").join(pid.to_string());
        assert!(!alive.exists(), "{pid} is left");
    }
    Ok(())
}
