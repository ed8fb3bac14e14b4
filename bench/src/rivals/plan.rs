//! What is compared with what: the rows of the table, and the goal of each.

use std::time::Duration;

use super::system::System;
use crate::pace::Pace;
use crate::workload::{Catchup, Connect, Fanout, History, Publish, Rooms, Workload};

/// A comparison: one load, one figure, our system, and others.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Short and stable; it stands in the configuration of each of its runs.
    pub id: &'static str,
    /// For people.
    pub title: &'static str,
    /// The load.
    pub load: Load,
    /// Name of the figure that is compared, as in a run's metrics.
    pub figure: &'static str,
    /// Which of our systems.
    pub ours: System,
    /// The others.
    pub against: Vec<Against>,
    /// A second row from the same runs: another figure, with goals of its own.
    pub also: Option<Also>,
}

/// A second figure of a row's runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Also {
    /// As [`Row::id`].
    pub id: &'static str,
    /// As [`Row::title`].
    pub title: &'static str,
    /// As [`Row::figure`].
    pub figure: &'static str,
    /// The same systems as in the row.
    pub against: Vec<Against>,
}

/// What a row loads its systems with.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Always the same.
    Fixed(Workload),
    /// An open loop at half of what a rival can do at most; that is searched for with these closed loops, smallest window first.
    HalfOf {
        /// Whose maximum.
        rival: System,
        /// How it is found.
        closed: Vec<Workload>,
        /// The publishers of a fan-out's open loop: signals are limited per connection.
        publishers: u32,
    },
}

/// One of the others in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Against {
    /// Which.
    pub system: System,
    /// What ratio of ours to theirs is wanted; `None`: it is only told.
    pub goal: Option<Goal>,
}

/// A wanted ratio of ours to theirs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Goal {
    /// At least.
    Least(f64),
    /// At most.
    Most(f64),
}

impl Goal {
    /// Whether `ratio` reaches it.
    #[must_use]
    pub fn is_met_by(self, ratio: f64) -> bool {
        match self {
            Goal::Least(least) => ratio >= least,
            Goal::Most(most) => ratio <= most,
        }
    }

    /// The wanted ratio.
    #[must_use]
    pub const fn ratio(self) -> f64 {
        match self {
            Goal::Least(ratio) | Goal::Most(ratio) => ratio,
        }
    }
}

/// What is wanted and cannot be measured yet, and why.
pub const NOT_YET: [(&str, &str); 1] = [(
    "three replicas, synced on a quorum, against JetStream R3",
    "needs a cluster of ours",
)];

/// Publishers of a fan-out by signals: each may send 64 signals a second.
const SIGNAL_PUBLISHERS: u32 = 16;
/// Messages a second to a room by signals at most. A room takes 1,024, and drops more even if a stall of the generator has heaped
/// them up.
pub const SIGNALS_PER_ROOM_AND_SECOND: f64 = 768.0;

const fn least(system: System, ratio: f64) -> Against {
    let goal = Some(Goal::Least(ratio));
    Against { system, goal }
}

const fn most(system: System, ratio: f64) -> Against {
    let goal = Some(Goal::Most(ratio));
    Against { system, goal }
}

const fn told(system: System) -> Against {
    Against { system, goal: None }
}

fn fanout(subscribers: u32, publishers: u32, pace: Pace) -> Workload {
    Workload::Fanout(Fanout {
        subscribers,
        publishers,
        pace,
    })
}

fn rooms(pace: Pace) -> Workload {
    Workload::Rooms(Rooms {
        rooms: 1_000,
        members: 10,
        connections: 1_000,
        pace,
    })
}

fn publish(connections: u32, in_flight: u32) -> Load {
    Load::Fixed(Workload::Publish(Publish {
        connections,
        pace: Pace::InFlight(in_flight),
    }))
}

const PER_CPU: &str = "deliveries_per_cpu_s";

/// The table.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = fan_out_rows();
    rows.extend(rooms_rows());
    rows.extend(half_rows());
    rows.push(pingpong_row());
    rows.extend(publish_rows());
    rows.push(connect_row());
    rows.extend(reading_rows());
    rows
}

fn connect_row() -> Row {
    Row {
        id: "connect",
        title: "10,000 connections that say hello and subscribe once, 100 under way: a second",
        load: Load::Fixed(Workload::Connect(Connect {
            connections: 10_000,
            hold: Duration::from_millis(500),
        })),
        figure: "connects_per_s",
        ours: System::Records,
        against: vec![
            least(System::NatsCore, 2.0),
            least(System::Mosquitto, 1.0),
            told(System::Floor),
            told(System::RedisPubSub),
        ],
        also: Some(Also {
            id: "idle",
            title: "anonymous memory of an idle connection with one subscription, 16-byte user",
            figure: "anonymous_bytes_per_connection",
            against: vec![
                most(System::NatsCore, 0.01),
                most(System::Mosquitto, 0.5),
                told(System::RedisPubSub),
            ],
        }),
    }
}

fn reading_rows() -> Vec<Row> {
    vec![
        Row {
            id: "history",
            title: "the last 100 of a room of 100,000, 64 readers, warm",
            load: Load::Fixed(Workload::History(History {
                records: 100_000,
                limit: 100,
                readers: 64,
            })),
            figure: "reads_per_s",
            ours: System::Records,
            against: vec![
                least(System::RedisEverySecond, 1.5),
                least(System::JetStream, 5.0),
            ],
            also: None,
        },
        Row {
            id: "catchup",
            title: "one reader reads a room of 1,000,000 from its beginning, warm",
            load: Load::Fixed(Workload::Catchup(Catchup { records: 1_000_000 })),
            figure: "deliveries_per_s",
            ours: System::Records,
            against: vec![least(System::JetStream, 3.0)],
            also: None,
        },
    ]
}

fn fan_out_rows() -> Vec<Row> {
    let bursts = Pace::Bursts {
        messages: 64,
        per_second: SIGNALS_PER_ROOM_AND_SECOND / 64.0,
    };
    vec![
        Row {
            id: "fanout-signals",
            title: "one room x 1,000 subscribers, signals, bursts of 64",
            load: Load::Fixed(fanout(1_000, SIGNAL_PUBLISHERS, bursts)),
            figure: PER_CPU,
            ours: System::Signals,
            against: vec![
                least(System::RedisPubSub, 1.3),
                least(System::NatsCore, 2.5),
                least(System::Floor, 0.85),
            ],
            also: None,
        },
        Row {
            id: "fanout-records",
            title: "one room x 1,000 subscribers, records synced before delivery, 64 in flight",
            load: Load::Fixed(fanout(1_000, 1, Pace::InFlight(64))),
            figure: PER_CPU,
            ours: System::Records,
            against: vec![
                least(System::RedisPubSub, 1.0),
                told(System::Floor),
                told(System::NatsCore),
                told(System::Mosquitto),
                told(System::RabbitExchange),
            ],
            also: None,
        },
    ]
}

fn rooms_rows() -> Vec<Row> {
    let bursts = Pace::Bursts {
        messages: 2_000,
        per_second: 5.0,
    };
    vec![
        Row {
            id: "rooms-signals",
            title: "1,000 rooms x 10 members on 1,000 connections, signals, bursts of 2,000",
            load: Load::Fixed(rooms(bursts)),
            figure: PER_CPU,
            ours: System::Signals,
            against: vec![
                least(System::RedisPubSub, 1.2),
                least(System::NatsCore, 4.0),
                least(System::Floor, 0.95),
            ],
            also: None,
        },
        Row {
            id: "rooms-records",
            title: "1,000 rooms x 10 members, records synced before delivery, 2,000 in flight",
            load: Load::Fixed(rooms(Pace::InFlight(2_000))),
            figure: PER_CPU,
            ours: System::Records,
            against: vec![
                told(System::RedisPubSub),
                told(System::Floor),
                told(System::NatsCore),
                told(System::Mosquitto),
                told(System::RabbitExchange),
            ],
            also: None,
        },
    ]
}

/// Both loads at half of the maximum of Redis and of NATS.
fn half_rows() -> Vec<Row> {
    let fan_out: Vec<_> = [64, 512]
        .map(|window| fanout(1_000, 1, Pace::InFlight(window)))
        .into();
    let many: Vec<_> = [2_000, 8_000]
        .map(|window| rooms(Pace::InFlight(window)))
        .into();
    let row = |id, title, rival, closed: &Vec<Workload>, goal| Row {
        id,
        title,
        load: Load::HalfOf {
            rival,
            closed: closed.clone(),
            publishers: SIGNAL_PUBLISHERS,
        },
        figure: "delivery_p99_us",
        ours: System::Signals,
        against: vec![most(rival, goal), told(System::Floor)],
        also: None,
    };
    vec![
        row(
            "fanout-half-redis",
            "one room x 1,000, signals: p99 at half of the maximum of Redis",
            System::RedisPubSub,
            &fan_out,
            1.0,
        ),
        row(
            "fanout-half-nats",
            "one room x 1,000, signals: p99 at half of the maximum of NATS",
            System::NatsCore,
            &fan_out,
            0.5,
        ),
        row(
            "rooms-half-redis",
            "1,000 rooms x 10, signals: p99 at half of the maximum of Redis",
            System::RedisPubSub,
            &many,
            1.0,
        ),
        row(
            "rooms-half-nats",
            "1,000 rooms x 10, signals: p99 at half of the maximum of NATS",
            System::NatsCore,
            &many,
            0.5,
        ),
    ]
}

fn pingpong_row() -> Row {
    Row {
        id: "pingpong",
        title: "one message to one subscriber, signals, 640 a second",
        load: Load::Fixed(fanout(1, SIGNAL_PUBLISHERS, Pace::PerSecond(640.0))),
        figure: "delivery_p50_us",
        ours: System::Signals,
        against: vec![
            most(System::Floor, 1.25),
            most(System::NatsCore, 0.9),
            told(System::RedisPubSub),
            told(System::Mosquitto),
        ],
        also: None,
    }
}

fn publish_rows() -> Vec<Row> {
    vec![
        Row {
            id: "publish-pipelined",
            title: "publish, synced before the ack, 64 connections x 256 in flight",
            load: publish(64, 256),
            figure: "acks_per_s",
            ours: System::Records,
            against: vec![
                least(System::RedisAlways, 3.0),
                least(System::RabbitQuorum, 30.0),
                least(System::JetStream, 5.0),
                told(System::Floor),
                told(System::RedisEverySecond),
                told(System::RabbitClassic),
                told(System::MosquittoAcked),
                told(System::JetStreamR3),
            ],
            also: None,
        },
        Row {
            id: "publish-64",
            title: "publish, synced before the ack, 64 connections x 1 in flight",
            load: publish(64, 1),
            figure: "acks_per_s",
            ours: System::Records,
            against: vec![
                least(System::RedisAlways, 1.5),
                least(System::JetStreamAlways, 30.0),
                told(System::Floor),
            ],
            also: None,
        },
        Row {
            id: "publish-one",
            title: "publish, synced before the ack, one in flight",
            load: publish(1, 1),
            figure: "ack_p50_us",
            ours: System::Records,
            against: vec![
                most(System::RedisAlways, 0.6),
                most(System::Floor, 1.3),
                told(System::JetStreamAlways),
                told(System::RabbitQuorum),
            ],
            also: None,
        },
    ]
}

/// What something costs as something grows.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Short and stable; the row of its runs.
    pub id: &'static str,
    /// What is on the y axis, and what grows.
    pub title: &'static str,
    /// Why it looks as it does.
    pub text: &'static str,
    /// What grows: a key of a run's configuration.
    pub x: &'static str,
    /// What it costs: a metric of a run.
    pub figure: &'static str,
    /// How much of it.
    pub sizes: Vec<u32>,
    /// The load of one size.
    pub workload: fn(u32) -> Workload,
    /// Who is measured.
    pub systems: Vec<System>,
    /// Whether a quick table has it, too.
    pub is_quick: bool,
}

/// The growth curves.
#[must_use]
pub fn curves() -> Vec<Curve> {
    let systems = vec![
        System::Records,
        System::RedisPubSub,
        System::NatsCore,
        System::Floor,
    ];
    vec![
        Curve {
            id: "growth-subscribers",
            title: "CPU seconds of the server per million deliveries, by subscribers of one room",
            text: SUBSCRIBERS_TEXT,
            x: "subscribers",
            figure: "cpu_s_per_million_deliveries",
            sizes: vec![10, 100, 1_000, 10_000],
            workload: |subscribers| fanout(subscribers, 1, Pace::InFlight(64)),
            systems: systems.clone(),
            is_quick: true,
        },
        Curve {
            id: "growth-rooms",
            title: "CPU seconds of the server per million messages, by rooms with one member each",
            text: ROOMS_TEXT,
            x: "rooms",
            figure: "cpu_s_per_million_deliveries",
            // A core of ours keeps 65,536 channels open for a minute, two a room: by name and by number.
            sizes: vec![10, 100, 1_000, 10_000, 30_000],
            workload: |rooms| {
                Workload::Rooms(Rooms {
                    rooms,
                    members: 1,
                    connections: 64,
                    pace: Pace::InFlight(2_000),
                })
            },
            systems,
            is_quick: false,
        },
        Curve {
            id: "growth-connections",
            title: "bytes of anonymous memory per idle connection, by connections",
            text: CONNECTIONS_TEXT,
            x: "connections",
            figure: "anonymous_bytes_per_connection",
            sizes: vec![1_000, 4_000, 16_000],
            workload: |connections| {
                Workload::Connect(Connect {
                    connections,
                    hold: Duration::from_secs(1),
                })
            },
            systems: vec![
                System::Records,
                System::Mosquitto,
                System::RedisPubSub,
                System::NatsCore,
            ],
            is_quick: false,
        },
    ]
}

const SUBSCRIBERS_TEXT: &str = "One room, 64 messages in flight. Per message a system pays once for taking it in (and ours for logging \
     and syncing it), per subscriber and round once for waking and writing a socket, and per delivery for its bytes. With few \
     subscribers the first part is spread over few deliveries, so the curve falls; once the per-socket part prevails it is flat. \
     Where it rises again, sockets and their buffers no longer fit into the caches.";

const ROOMS_TEXT: &str = "64 connections, 2,000 messages in flight, each to the next room. Messages of one room that come \
     together share what is done once a batch: taking it in, and with ours also logging it. Among many rooms hardly two come together, \
     so each message pays alone: the curve rises until there are as many rooms as messages in flight. Beyond that it rises as far as \
     the state of the rooms outgrows the caches.";

const CONNECTIONS_TEXT: &str = "Connections that have said hello and subscribed to one room, after a second of idleness. A tenth as \
     many came before and are not counted. A curve that falls shows a fixed part that is spread over more connections; tables that \
     double as they grow let it jump.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own_and_no_rival_twice() {
        let rows = rows();
        for (at, row) in rows.iter().enumerate() {
            assert!(rows[..at].iter().all(|other| other.id != row.id));
            for (at, against) in row.against.iter().enumerate() {
                let before = &row.against[..at];
                assert!(before.iter().all(|other| other.system != against.system));
                assert_ne!(against.system, row.ours, "{}", row.id);
            }
        }
    }

    #[test]
    fn a_goal_is_met_on_its_side_and_on_its_edge() {
        let met = |goal: Goal| [0.5, 1.0, 2.0].map(|ratio| goal.is_met_by(ratio));
        assert_eq!(met(Goal::Least(1.0)), [false, true, true]);
        assert_eq!(met(Goal::Most(1.0)), [true, true, false]);
    }
}
