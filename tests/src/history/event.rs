//! One event: when, by whom, what.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::history::{
    BodyHash, Client, Fault, GapRange, Link, Node, Op, Origin, Position, Producer, Range, Record,
    Room, Seq, Start, User, Way, Why,
};

/// Something that happened; a line `[at, by, what]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Event {
    /// ns on one monotonic clock, real or virtual, that all writers share.
    pub at: u64,
    /// Who saw or did it.
    pub by: Actor,
    /// What it was.
    pub what: What,
}

/// Who saw or did something; `c3`, `n1` or `w` in a line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// A client, from what it sent and received.
    Client(Client),
    /// A broker or its disk.
    Node(Node),
    /// The simulator or the harness.
    World,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(client) => write!(f, "c{}", client.0),
            Self::Node(node) => write!(f, "n{}", node.0),
            Self::World => f.write_str("w"),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl TryFrom<String> for Actor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |rest: &str| rest.parse::<u32>().map_err(|_| format!("no actor: {text}"));
        match text.split_at_checked(1) {
            Some(("c", rest)) => Ok(Self::Client(Client(number(rest)?))),
            Some(("n", rest)) => Ok(Self::Node(Node(number(rest)?))),
            Some(("w", "")) => Ok(Self::World),
            _ => Err(format!("no actor: {text}")),
        }
    }
}

/// What happened. The first two groups are by clients, the third is by nodes, the last by the world.
///
/// Every request (`Connect`, `Publish`, `Subscribe`, `Fetch`, `Cursor`) has an `op` and at most one outcome: its own, `Failed`
/// (ERROR came, or it never left) or `Unknown` (it may have had or may still have an effect).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "fields are named by their types; the event's text tells the rest"
)]
pub enum What {
    /// A signal leaves. `via` is a number of the connection that no other one has, `key` 0 means that it has none; `number` is dense from 1 per (via, room, key). Success is not answered.
    Signal {
        op: Op,
        room: Room,
        via: u64,
        key: u32,
        number: u64,
    },
    /// A signal came to a subscription, or (number 0) the news alone that some were dropped.
    Signalled {
        sub: Op,
        via: u64,
        key: u32,
        number: u64,
        dropped: u32,
    },
    /// Asked to move a cursor of this user up to a record (seq 0: only to tell it), with the count of messages up to there.
    Cursor {
        op: Op,
        room: Room,
        user: User,
        name: u32,
        seq: Seq,
        count: u64,
        sync: bool,
    },
    /// Where the cursor stands, and the head of its room.
    CursorAt {
        op: Op,
        seq: Seq,
        count: u64,
        head: Seq,
        head_count: u64,
    },
    /// A subscription was told where a cursor stands, by the log: with SUBSCRIBED, or later because it has moved.
    CursorMoved {
        sub: Op,
        user: User,
        name: u32,
        seq: Seq,
        count: u64,
    },
    /// Asked for a connection.
    Connect { op: Op, node: Node },
    /// WELCOME came.
    Connected { op: Op, producer: Producer },
    /// The connection is no more, and with it all subscriptions of this client.
    Disconnected,
    /// The application gave this client up, by itself: nothing more is demanded for it (I12).
    Closed,
    /// One attempt to publish. A retry is an event of its own, with another op and the same origin and body.
    Publish {
        op: Op,
        room: Room,
        origin: Origin,
        body: BodyHash,
    },
    /// The publish with this op is to get this seq, or to be refused.
    Expect { op: Op, seq: Seq },
    /// PUBACK came. Seq, link and time are 0 if the broker did not tell them; `time` is the record's, in ms.
    Published {
        op: Op,
        seq: Seq,
        link: Link,
        time: u64,
        duplicate: bool,
    },
    /// Asked for a subscription; `op` is its name in what follows.
    Subscribe { op: Op, room: Room, start: Start },
    /// SUBSCRIBED came. Twice, with head 0 and next 1, if the room did not exist at first.
    Subscribed {
        op: Op,
        head: Seq,
        next: Seq,
        link: Link,
    },
    /// The subscription ended: UNSUBSCRIBE was answered, or came.
    Ended { sub: Op },
    /// Asked for history, at most `limit` records.
    Fetch {
        op: Op,
        room: Room,
        range: Range,
        limit: u32,
    },
    /// All pages came.
    Fetched {
        op: Op,
        head: Seq,
        records: Vec<Record>,
        gaps: Vec<GapRange>,
    },
    /// ERROR came with this code, or the request never left (code 0). Unless the code says "send again", it had no
    /// effect and will have none.
    Failed { op: Op, code: u16, hint: u64 },
    /// Nobody knows whether the request had or will have an effect.
    Unknown { op: Op },

    /// RECORD came.
    Deliver { sub: Op, record: Record, way: Way },
    /// GAP came; `link` is that of its last record.
    Gap { sub: Op, gap: GapRange, link: Link },
    /// A record came, at about `seq`, that the client's own check refuses.
    Broken { sub: Op, seq: Seq, why: Why },

    /// The broker came up. What its log held above `log_end` before is lost.
    Started { log_end: Position },
    /// The broker went down.
    Stopped { how: String },
    /// Bytes went to the log's file, not yet safe: records `first..next` of the room, in a block that ends at `end`.
    Written {
        room: Room,
        first: Seq,
        next: Seq,
        end: Position,
    },
    /// The disk confirmed that everything written in `from..end` is safe. To be noted at the disk, not by the log.
    Synced { from: Position, end: Position },
    /// The broker let an ack of this record go.
    AckSent { room: Room, seq: Seq },
    /// All that this broker holds of the room, read when everything was over. No records if it knows no such room.
    FinalRead {
        room: Room,
        head: Seq,
        records: Vec<Record>,
        gaps: Vec<GapRange>,
    },

    /// A disturbance begins.
    FaultStart(Fault),
    /// A disturbance ends.
    FaultStop(Fault),
    /// No disturbance from here on: progress is demanded (I12).
    Healed,
    /// Nothing is under way any more: every open subscription should stand at the head of its room (I4).
    Settled,
}
