//! Every system that can be measured, by name: the one place that knows them all.

use std::path::Path;

use super::floor::Floor;
use super::install::Program;
use super::mosquitto::Mosquitto;
use super::nats::{Core, JetStream, SyncInterval};
use super::rabbitmq::{RabbitMq, Use};
use super::redis::{AppendFsync, PubSub, Streams};
use super::signals::Signals;
use crate::antiphon::Antiphon;
use crate::error::BenchError;
use crate::progress::Progress;
use crate::result::Run;
use crate::run::run;
use crate::stage::Options;
use crate::target::Target;
use crate::workload::Workload;

/// A system in one of its uses.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum System {
    /// Our broker by records: logged, synced, committed before delivery and ack.
    Records,
    /// Our broker by signals without keys.
    Signals,
    /// What kernel and disk leave possible.
    Floor,
    /// Redis pub/sub.
    RedisPubSub,
    /// Redis Streams, `appendfsync always`.
    RedisAlways,
    /// Redis Streams, `appendfsync everysec`.
    RedisEverySecond,
    /// NATS core.
    NatsCore,
    /// JetStream with its own idea of when to sync.
    JetStream,
    /// JetStream, `sync_interval: always`.
    JetStreamAlways,
    /// Three of them, with a replica each.
    JetStreamR3,
    /// RabbitMQ, a direct exchange.
    RabbitExchange,
    /// RabbitMQ, classic queues.
    RabbitClassic,
    /// RabbitMQ, quorum queues on one node.
    RabbitQuorum,
    /// Mosquitto at QoS 0.
    Mosquitto,
    /// Mosquitto at QoS 1.
    MosquittoAcked,
}

impl System {
    /// The program that must be installed; `None`: it is ours.
    #[must_use]
    pub const fn program(self) -> Option<Program> {
        match self {
            System::Records | System::Signals | System::Floor => None,
            System::RedisPubSub | System::RedisAlways | System::RedisEverySecond => {
                Some(Program::Redis)
            }
            System::NatsCore
            | System::JetStream
            | System::JetStreamAlways
            | System::JetStreamR3 => Some(Program::Nats),
            System::RabbitExchange | System::RabbitClassic | System::RabbitQuorum => {
                Some(Program::RabbitMq)
            }
            System::Mosquitto | System::MosquittoAcked => Some(Program::Mosquitto),
        }
    }

    /// Measures it once. `ours` is the program that is our broker and the floor.
    ///
    /// # Errors
    /// See [`run`].
    pub fn run(
        self,
        ours: &Path,
        workload: &Workload,
        options: &Options,
        pair: u32,
        progress: &Progress,
    ) -> Result<Run, BenchError> {
        let visitor = Measure {
            workload,
            options,
            pair,
            progress,
        };
        let is_durable = matches!(workload, Workload::Publish(_));
        if is_durable {
            // What the one before has left to be written would be written while this one waits for its syncs.
            rustix::fs::sync();
        }
        self.visit(ours, is_durable, visitor)
    }

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> String {
        self.visit(Path::new(""), false, Name)
    }

    fn visit<V: Visitor>(self, ours: &Path, keeps: bool, visitor: V) -> V::Output {
        let broker = || Antiphon::new(ours.to_owned());
        let streams = |appendfsync| Streams { appendfsync };
        let jetstream = |sync, replicas| JetStream { sync, replicas };
        match self {
            System::Records => visitor.visit(&broker()),
            System::Signals => visitor.visit(&Signals { broker: broker() }),
            System::Floor => visitor.visit(&Floor {
                binary: ours.to_owned(),
                keeps,
            }),
            System::RedisPubSub => visitor.visit(&PubSub),
            System::RedisAlways => visitor.visit(&streams(AppendFsync::Always)),
            System::RedisEverySecond => visitor.visit(&streams(AppendFsync::EverySecond)),
            System::NatsCore => visitor.visit(&Core),
            System::JetStream => visitor.visit(&jetstream(SyncInterval::Default, 1)),
            System::JetStreamAlways => visitor.visit(&jetstream(SyncInterval::Always, 1)),
            System::JetStreamR3 => visitor.visit(&jetstream(SyncInterval::Default, 3)),
            System::RabbitExchange => visitor.visit(&RabbitMq {
                used: Use::Exchange,
            }),
            System::RabbitClassic => visitor.visit(&RabbitMq { used: Use::Classic }),
            System::RabbitQuorum => visitor.visit(&RabbitMq { used: Use::Quorum }),
            System::Mosquitto => visitor.visit(&Mosquitto { qos: 0 }),
            System::MosquittoAcked => visitor.visit(&Mosquitto { qos: 1 }),
        }
    }
}

/// Something that is done with a target, whatever its type.
trait Visitor {
    type Output;
    fn visit<T: Target>(self, target: &T) -> Self::Output;
}

struct Name;

impl Visitor for Name {
    type Output = String;

    fn visit<T: Target>(self, target: &T) -> String {
        target.name()
    }
}

struct Measure<'a> {
    workload: &'a Workload,
    options: &'a Options,
    pair: u32,
    progress: &'a Progress,
}

impl Visitor for Measure<'_> {
    type Output = Result<Run, BenchError>;

    fn visit<T: Target>(self, target: &T) -> Result<Run, BenchError> {
        run(
            target,
            self.workload,
            self.options,
            self.pair,
            self.progress,
        )
    }
}
