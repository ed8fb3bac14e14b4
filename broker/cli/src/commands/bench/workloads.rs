//! The options of each workload.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use antiphon_bench::pace::Pace;
use antiphon_bench::workload::{self, Workload};
use clap::Args;

use crate::commands::replay::source::Lines;
use crate::failure::Failure;

/// When the next message is published.
#[derive(Args, Clone, Copy, Debug)]
pub(super) struct Pacing {
    /// Open loop: messages a second, whether the broker keeps up or not; latencies count from the intended times.
    #[arg(long, value_name = "PER_SECOND", value_parser = rate, conflicts_with = "in_flight")]
    rate: Option<f64>,

    /// With --rate: so many messages at once, and as much less often.
    #[arg(long, value_name = "MESSAGES", requires = "rate", value_parser = clap::value_parser!(u32).range(1..))]
    burst: Option<u32>,

    /// Closed loop: messages under way; the next one waits for one of them to arrive.
    #[arg(long, value_name = "MESSAGES", value_parser = clap::value_parser!(u32).range(1..))]
    in_flight: Option<u32>,
}

impl Pacing {
    fn pace(self, in_flight: u32) -> Pace {
        match (self.rate, self.burst) {
            (Some(rate), None) => Pace::PerSecond(rate),
            (Some(rate), Some(messages)) => Pace::Bursts {
                messages,
                per_second: rate / f64::from(messages),
            },
            (None, _) => Pace::InFlight(self.in_flight.unwrap_or(in_flight)),
        }
    }
}

/// A positive number of messages a second.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is a number of messages a second, above 0".to_owned()),
    }
}

#[derive(Args, Debug)]
pub(super) struct Fanout {
    /// Connections that subscribe to the room.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    subscribers: u32,
    /// Connections that publish in turn.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    publishers: u32,
    #[command(flatten)]
    pacing: Pacing,
}

impl From<Fanout> for Workload {
    fn from(fanout: Fanout) -> Self {
        Workload::Fanout(workload::Fanout {
            subscribers: fanout.subscribers,
            publishers: fanout.publishers,
            pace: fanout.pacing.pace(64),
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Rooms {
    /// How many rooms.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rooms: u32,
    /// Members of each room.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
    /// Connections that the members are spread over.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    #[command(flatten)]
    pacing: Pacing,
}

impl From<Rooms> for Workload {
    fn from(rooms: Rooms) -> Self {
        Workload::Rooms(workload::Rooms {
            rooms: rooms.rooms,
            members: rooms.members,
            connections: rooms.connections,
            pace: rooms.pacing.pace(2_000),
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Pingpong {}

impl From<Pingpong> for Workload {
    fn from(_: Pingpong) -> Self {
        Workload::Pingpong(workload::Pingpong)
    }
}

#[derive(Args, Debug)]
pub(super) struct Connect {
    /// How many connections; a process has a limited number of descriptors, see `ulimit -n`.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: u32,
    /// How long they are idle before they are weighed, in seconds.
    #[arg(long, default_value_t = 2.0, value_parser = super::common::seconds)]
    hold: f64,
}

impl From<Connect> for Workload {
    fn from(connect: Connect) -> Self {
        Workload::Connect(workload::Connect {
            connections: connect.connections,
            hold: Duration::from_secs_f64(connect.hold),
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct History {
    /// Messages in the room.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
    /// How many of the last ones are asked for.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Connections that ask, each as soon as it has its answer.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    readers: u32,
}

impl From<History> for Workload {
    fn from(history: History) -> Self {
        Workload::History(workload::History {
            records: history.records,
            limit: history.limit,
            readers: history.readers,
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Catchup {
    /// Messages in the room.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    records: u64,
}

impl From<Catchup> for Workload {
    fn from(catchup: Catchup) -> Self {
        Workload::Catchup(workload::Catchup {
            records: catchup.records,
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Publish {
    /// Publishing connections, each with a room of its own.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    #[command(flatten)]
    pacing: Pacing,
}

impl From<Publish> for Workload {
    fn from(publish: Publish) -> Self {
        Workload::Publish(workload::Publish {
            connections: publish.connections,
            pace: publish.pacing.pace(256),
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Mixed {
    /// People, each with a connection.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    users: u32,
    /// How many rooms there are.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rooms: u32,
    /// How many of them each user is in.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rooms_each: u32,
    /// Actions a second of all together, whether the broker keeps up or not.
    #[arg(long, value_name = "PER_SECOND", default_value_t = 2_000.0, value_parser = rate)]
    rate: f64,
}

impl From<Mixed> for Workload {
    fn from(mixed: Mixed) -> Self {
        Workload::Mixed(workload::Mixed {
            users: mixed.users,
            rooms: mixed.rooms,
            rooms_each: mixed.rooms_each,
            rate: mixed.rate,
        })
    }
}

#[derive(Args, Debug)]
pub(super) struct Replay {
    /// NDJSON with at, room, user, text, as `antiphon export` writes it; gzip is fine. Times are not looked at.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Connections that the file's users share.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    #[command(flatten)]
    pacing: Pacing,
}

impl Replay {
    /// Reads the file.
    pub(super) fn workload(&self) -> Result<Workload, Failure> {
        let (mut rooms, mut users) = (HashMap::new(), HashMap::new());
        let mut lines = Vec::new();
        let mut file = Lines::open(&self.file)?;
        while let Some(line) = file.next_line()? {
            let Some(chat) = line.chat else {
                continue;
            };
            lines.push(workload::Line {
                room: number(&mut rooms, chat.room),
                user: number(&mut users, chat.user),
                bytes: u32::try_from(chat.text.len()).unwrap_or(u32::MAX),
            });
        }
        let name = self.file.file_name().unwrap_or_default();
        Ok(Workload::Replay(workload::Replay {
            name: name.to_string_lossy().into_owned(),
            lines: lines.into(),
            connections: self.connections,
            pace: self.pacing.pace(256),
        }))
    }
}

/// The number of a name: as many as there were before it.
fn number(known: &mut HashMap<String, u32>, name: String) -> u32 {
    let next = u32::try_from(known.len()).unwrap_or(u32::MAX);
    *known.entry(name).or_insert(next)
}
