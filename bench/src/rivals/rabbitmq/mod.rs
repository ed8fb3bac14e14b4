//! RabbitMQ over AMQP 0-9-1: an exchange for what is not kept, classic and quorum queues with confirms for what is.

mod frame;
mod node;
mod wire;

pub use self::wire::RabbitWire;
use super::talk::Talk;
use crate::error::StartError;
use crate::server::{Place, Server};
use crate::target::{Durability, Event, Room, Target};

/// Queues declared at once.
const DECLARED_AT_ONCE: usize = 100;

/// What RabbitMQ is used as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// A direct exchange, a queue in memory per connection, no acks.
    Exchange,
    /// A durable classic queue a room, persistent messages, confirms.
    Classic,
    /// A quorum queue a room, confirms.
    Quorum,
}

/// RabbitMQ, one node.
#[derive(Clone, Copy, Debug)]
pub struct RabbitMq {
    /// As what.
    pub used: Use,
}

impl Target for RabbitMq {
    type Wire = RabbitWire;

    fn name(&self) -> String {
        match self.used {
            Use::Exchange => "rabbitmq exchange",
            Use::Classic => "rabbitmq classic",
            Use::Quorum => "rabbitmq quorum",
        }
        .to_owned()
    }

    fn durability(&self) -> Durability {
        let (acked, is_synced) = match self.used {
            Use::Exchange => ("never; kept in memory", false),
            Use::Classic if node::classic_syncs() => (
                "after fsync of the queue's index, at the latest every 200 ms",
                true,
            ),
            Use::Classic => ("after a write to the queue's files, not synced", false),
            Use::Quorum => (
                "after fdatasync of the write-ahead log that its queues share",
                true,
            ),
        };
        Durability {
            acked: acked.to_owned(),
            synced_before_ack: is_synced,
            synced_before_delivery: is_synced,
        }
    }

    fn settings(&self) -> Vec<String> {
        node::in_words()
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        node::start(place)
    }

    /// The queues. To declare one that is there already changes nothing.
    fn prepare(&self, server: &Server, rooms: &[Room]) -> Result<(), StartError> {
        if self.used == Use::Exchange {
            return Ok(());
        }
        let mut talk = Talk::open("rabbitmq-server", server.addresses[0], self.wire(u32::MAX))?;
        for some in rooms.chunks(DECLARED_AT_ONCE) {
            for room in some {
                talk.say(|wire, out| wire.declare(&room.name, out));
            }
            talk.hear(some.len(), |event| *event == Event::Subscribed)?;
        }
        Ok(())
    }

    fn wire(&self, _number: u32) -> RabbitWire {
        RabbitWire::new(self.used)
    }
}
