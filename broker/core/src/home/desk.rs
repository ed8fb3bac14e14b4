//! What the partitions of one core share: what goes out, reads under way, counters.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use antiphon_log::{GroupId, LogPosition};
use antiphon_protocol::peer::Message as PeerMessage;
use antiphon_protocol::{Code, NodeId, RequestId};

use crate::channel::Exchange;
use crate::core::{ConnId, CoreId, Now, Output};
use crate::home::limits::STORAGE_RETRY_MS;
use crate::home::reads::{Reading, Sought};
use crate::home::settings::HomeSettings;
use crate::home::state::Effects;
use crate::home::stats::HomeStats;
use crate::lane::{Ack, Grant, Message, Refused, Reject, ToEdge};
use crate::planted::{Bug, planted};
use crate::read::{HomeRead, ReadJob, ReadPurpose};

/// One turn of a partition: the time, what is fixed, and the desk.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    /// The time of this input.
    pub(crate) now: Now,
    /// Fixed.
    pub(crate) settings: &'a HomeSettings,
    /// Ready queues of all cores.
    pub(crate) exchange: &'a Exchange,
    /// Shared with the other partitions of this core.
    pub(crate) desk: &'a mut Desk,
}

impl Turn<'_> {
    /// Asks a reader thread for records that go straight to an edge.
    pub(crate) fn read_for_edge(&mut self, edge: CoreId, purpose: ReadPurpose, sought: Sought) {
        self.put_read(edge, purpose, sought);
    }

    /// Asks a reader thread for records that home itself needs.
    pub(crate) fn read_for_home(&mut self, reading: Reading, sought: Sought) -> HomeRead {
        let read = self.desk.expect_read(reading);
        self.put_read(self.settings.core, ReadPurpose::Home(read), sought);
        read
    }

    fn put_read(&mut self, reply_to: CoreId, purpose: ReadPurpose, sought: Sought) {
        let Sought {
            room,
            from,
            until,
            bytes_max,
            located,
            erased,
        } = sought;
        self.desk.stats.reads_cold += 1;
        let below = self.desk.sync_end;
        self.desk.put(Output::Read(ReadJob {
            reply_to,
            purpose,
            room,
            from,
            until,
            bytes_max,
            located,
            erased,
            below,
        }));
    }
}

/// Who asked: where an answer goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asker {
    /// The core of the connection.
    pub(crate) edge: CoreId,
    /// The connection.
    pub(crate) conn: ConnId,
    /// Its request.
    pub(crate) request: RequestId,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    outputs: VecDeque<Output>,
    /// Acks of this turn, per edge.
    acks: Vec<Vec<Ack>>,
    /// Edges with acks, in the order of their first one.
    acked: Vec<CoreId>,
    /// What this turn has for other nodes.
    peers: BTreeMap<NodeId, Vec<(GroupId, PeerMessage)>>,
    grant: Grant,
    reads: BTreeMap<HomeRead, Reading>,
    read_newest: HomeRead,
    /// Everything below is on disk.
    pub(crate) sync_end: LogPosition,
    /// Counters.
    pub(crate) stats: HomeStats,
    /// Reused by apply.
    pub(crate) effects: Effects,
}

impl Desk {
    pub(crate) fn new(cores: u16) -> Desk {
        Desk {
            outputs: VecDeque::new(),
            acks: (0..cores).map(|_| Vec::new()).collect(),
            acked: Vec::new(),
            peers: BTreeMap::new(),
            grant: Grant(0),
            reads: BTreeMap::new(),
            read_newest: HomeRead(0),
            sync_end: LogPosition::ZERO,
            stats: HomeStats::default(),
            effects: Effects::default(),
        }
    }

    /// The next output.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Puts an output out.
    pub(crate) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Sends a message to an edge.
    pub(crate) fn send(&mut self, to: CoreId, message: ToEdge) {
        self.outputs.push_back(Output::Lane {
            to,
            message: Message::ToEdge(message),
        });
    }

    /// Tells a publisher that its record is committed; goes out with the others of this turn.
    pub(crate) fn ack(&mut self, edge: CoreId, ack: Ack) {
        let edge = match planted(Bug::AckToOtherCore) {
            true => CoreId(0),
            false => edge,
        };
        let acks = &mut self.acks[usize::from(edge.0)];
        if acks.is_empty() {
            self.acked.push(edge);
        }
        acks.push(ack);
        self.stats.acks += 1;
        self.stats.duplicates += u64::from(ack.duplicate);
    }

    /// Sends the acks of this turn, one message per edge.
    pub(crate) fn flush_acks(&mut self) {
        for at in 0..self.acked.len() {
            let edge = self.acked[at];
            let acks = core::mem::take(&mut self.acks[usize::from(edge.0)]);
            self.send(edge, ToEdge::Acks(acks));
        }
        self.acked.clear();
    }

    /// A message of `group` for its replica on `node`; goes out with the others of this turn.
    pub(crate) fn tell_peer(&mut self, node: NodeId, group: GroupId, message: PeerMessage) {
        self.peers.entry(node).or_default().push((group, message));
    }

    /// Sends what this turn has for other nodes, one output per node.
    pub(crate) fn flush_peers(&mut self) {
        while let Some((to, messages)) = self.peers.pop_first() {
            self.stats.peer_messages += messages.len() as u64;
            self.put(Output::Peer { to, messages });
        }
    }

    /// Refuses a request.
    pub(crate) fn refuse(&mut self, asker: Asker, of: Refused, code: Code, hint: u64) {
        self.stats.refusals += 1;
        let Asker {
            edge,
            conn,
            request,
        } = asker;
        let reject = Reject {
            conn,
            request,
            of,
            code,
            class: None,
            hint,
            retry_after_ms: match code {
                Code::STORAGE_FULL => STORAGE_RETRY_MS,
                _ => 0,
            },
        };
        self.send(edge, ToEdge::Reject(reject));
    }

    /// The next grant.
    pub(crate) fn next_grant(&mut self) -> Grant {
        self.grant = Grant(self.grant.0 + 1);
        self.grant
    }

    /// Numbers a read whose answer comes back to home.
    fn expect_read(&mut self, reading: Reading) -> HomeRead {
        self.read_newest = HomeRead(self.read_newest.0 + 1);
        self.reads.insert(self.read_newest, reading);
        self.read_newest
    }

    /// What an answered read was for; `None` if it is unknown.
    pub(crate) fn take_read(&mut self, read: HomeRead) -> Option<Reading> {
        self.reads.remove(&read)
    }
}
