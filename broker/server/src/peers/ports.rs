//! What passes between cores and the peer thread: two bounded queues a core, and nobody ever waits for a place in one.

use std::sync::Arc;

use antiphon_log::GroupId;
use antiphon_protocol::NodeId;
use antiphon_protocol::peer::Message;
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::limits::{PEER_NEWS_MAX, PEER_OUTGOING_MAX};
use crate::wake::Sleeper;

/// What one core says to one node in one turn.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) to: NodeId,
    pub(crate) messages: Vec<(GroupId, Message)>,
}

/// What a core hears of another node.
#[derive(Debug)]
pub(crate) enum PeerNews {
    /// Messages for groups at home on that core, in their order.
    Said {
        /// Who says it.
        from: NodeId,
        /// For which group, and what.
        messages: Vec<(GroupId, Message)>,
    },
    /// What was sent there may be lost.
    Lost(NodeId),
}

/// A core's way to the peer thread.
#[derive(Clone, Debug)]
pub(crate) struct PeerPort {
    sender: Sender<Outgoing>,
    sleeper: Arc<Sleeper>,
    owes_wake: bool,
}

/// A new queue towards the thread whose sleep `sleeper` is.
pub(super) fn between(sleeper: &Arc<Sleeper>) -> (PeerPort, Receiver<Outgoing>) {
    let (sender, receiver) = bounded(PEER_OUTGOING_MAX);
    let port = PeerPort {
        sender,
        sleeper: Arc::clone(sleeper),
        owes_wake: false,
    };
    (port, receiver)
}

impl PeerPort {
    /// Hands it over; false: there is no room, it is dropped.
    pub(crate) fn send(&mut self, to: NodeId, messages: Vec<(GroupId, Message)>) -> bool {
        self.owes_wake = true;
        self.sender.try_send(Outgoing { to, messages }).is_ok()
    }

    /// Once per turn.
    pub(crate) fn wake(&mut self) {
        if std::mem::take(&mut self.owes_wake) {
            self.sleeper.wake();
        }
    }
}

/// The peer thread's way to a core.
#[derive(Debug)]
pub(crate) struct CoreDoor {
    sender: Sender<PeerNews>,
    sleeper: Arc<Sleeper>,
    owes_wake: bool,
}

impl CoreDoor {
    /// To the core whose sleep `sleeper` is.
    pub(crate) fn new(sleeper: &Arc<Sleeper>) -> (CoreDoor, Receiver<PeerNews>) {
        let (sender, receiver) = bounded(PEER_NEWS_MAX);
        let door = CoreDoor {
            sender,
            sleeper: Arc::clone(sleeper),
            owes_wake: false,
        };
        (door, receiver)
    }

    /// Puts it there, unless the core is far behind: then it is lost, as on a network.
    pub(super) fn put(&mut self, news: PeerNews) {
        self.owes_wake |= self.sender.try_send(news).is_ok();
    }

    pub(super) fn wake(&mut self) {
        if std::mem::take(&mut self.owes_wake) {
            self.sleeper.wake();
        }
    }
}
