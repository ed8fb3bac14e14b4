//! What cores say to each other.
//!
//! From every core to every other leads one bounded first-in-first-out lane; a message to oneself takes the same path through a local queue.
//! A lane carries no message per subscriber: live records travel once per (room batch, edge).
//!
//! # Order, and what a full lane means
//! Everything below relies on one rule: **what a core sends to another arrives in the order it was sent, and nothing that is not a
//! [`ToEdge::Deliver`] is ever lost.** `lanes` keeps the rule when a lane is full: what was refused waits in order, and every `Deliver` among it
//! shrinks to one *dirty* entry per room, sent as [`ToEdge::Dirty`] **after** all that waits. So home just emits messages and never asks whether a
//! lane has room.
//!
//! # How a subscriber becomes live
//! 1. The edge sends [`Subscribe`]. Home looks the position up, then, in one step, notes that this edge is interested in the room and sends
//!    [`Subscribed`]: every record applied later is delivered to this edge *behind* that message.
//! 2. If `next == apply_end` at that moment, home says `live` and the next `Deliver` continues exactly there.
//! 3. Else the subscriber is behind and the edge fetches with [`Tail`]. A [`Slice`] that was cut from the hot tail and ends at `apply_end` is flagged
//!    `ends_at_apply`; what follows it in the lane is the next seq, so only such a slice makes a subscriber live.
//!
//! # How an edge leaves a room
//! Home numbers its [`Subscribed`] and [`Created`] messages to all edges with ascending *grants* and remembers, per (room, edge), the newest one. An edge
//! without a subscriber left sends [`Unsubscribe`] with the newest grant it has seen for the room; home forgets the edge only if it has granted nothing
//! newer: else an answer is under way to a subscriber that needs the deliveries.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_protocol::{
    Class, Code, Count, CursorPosition, CursorScope, Device, GapReason, Link, Namespace, Producer,
    ProducerSeq, RequestId, RoomId, RoomName, Seq, Timestamp, UserName, Wants,
};
use bytes::Bytes;

use crate::channel::RoomChannel;
use crate::core::ConnId;
pub use crate::identity::Claim;
use crate::planted::{Bug, planted};

/// One message from core to core.
#[derive(Clone, Debug)]
pub enum Message {
    /// From an edge to a home.
    ToHome(ToHome),
    /// From a home to an edge.
    ToEdge(ToEdge),
    /// From an edge to an edge: a session took this producer; older connections that use it end.
    Replace(Replace),
}

/// A room as a client names it: by name, or by the number it learned.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RoomKey {
    /// By number; whether it lies in the namespace is checked by home.
    Id(RoomId),
    /// By name.
    Name(RoomName),
}

/// Tells the answers of one edge's requests apart; ascending per edge, never reused.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

/// Numbers the [`Subscribed`] and [`Created`] messages of one home core, ascending from 1.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Grant(pub u64);

/// From an edge to a home.
#[derive(Clone, Debug)]
pub enum ToHome {
    /// Asks for the room's channel. Answered by [`ToEdge::ChannelOpened`] or [`ToEdge::ChannelRefused`].
    OpenChannel {
        /// Where the room is looked up.
        namespace: Namespace,
        /// The room; a name need not exist yet, an id must.
        room: RoomKey,
    },
    /// A client subscribes. Answered by [`ToEdge::Subscribed`] or [`ToEdge::Reject`].
    Subscribe(Box<Subscribe>),
    /// This edge has no subscriber of the room left.
    Unsubscribe(Unsubscribe),
    /// A subscriber that is behind asks for what follows. Answered by [`ToEdge::Slice`] or [`ToEdge::TailFailed`].
    Tail(Tail),
    /// A client reads history. Answered by [`ToEdge::Page`] or [`ToEdge::Reject`]; the edge asks for each further page when its client has room for it.
    Fetch(Fetch),
    /// A client signals. Only a refusal is answered, by [`ToEdge::Reject`].
    Signal(Box<SignalIn>),
    /// A client moves a cursor. Answered by [`ToEdge::CursorTold`] or [`ToEdge::Reject`].
    Cursor(Box<CursorIn>),
    /// A client asks whether it missed anything. Answered by [`ToEdge::BarrierPassed`], behind all that this home sent the edge before.
    Barrier(Barrier),
}

/// A client moves a cursor, or asks where it stands.
#[derive(Clone, Debug)]
pub struct CursorIn {
    /// The client's connection.
    pub conn: ConnId,
    /// Echoed by the answer.
    pub ticket: Ticket,
    /// The client's request id.
    pub request: RequestId,
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// The room.
    pub room: RoomKey,
    /// Whose cursor.
    pub user: UserName,
    /// Its name.
    pub name: Box<str>,
    /// Where it shall stand; seq 0: as it does.
    pub position: CursorPosition,
    /// Who is told.
    pub scope: CursorScope,
    /// Answer when it is committed.
    pub is_sync: bool,
}

/// Passes through the lane of every home that may have something under way for a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Barrier {
    /// The connection.
    pub conn: ConnId,
    /// Of the question.
    pub ticket: Ticket,
}

/// Something for those who are in a room now.
#[derive(Clone, Debug)]
pub struct SignalIn {
    /// The sender's connection.
    pub conn: ConnId,
    /// The client's request id.
    pub request: RequestId,
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// The room.
    pub room: RoomKey,
    /// Who says it.
    pub sender: UserName,
    /// From which device.
    pub device: Device,
    /// Name, key and value, back to back.
    pub content: Bytes,
    /// Length of the name.
    pub name_len: u8,
    /// Length of the key; 0: none.
    pub key_len: u8,
}

/// A client subscribes to a room.
#[derive(Clone, Debug)]
pub struct Subscribe {
    /// The subscriber's connection at the sending edge.
    pub conn: ConnId,
    /// Echoed by the answer.
    pub ticket: Ticket,
    /// The client's request id.
    pub request: RequestId,
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// The room.
    pub room: RoomKey,
    /// From where on.
    pub start: Start,
    /// Name of the cursor to start from; empty: none.
    pub cursor: Box<str>,
    /// What else; echoed by the answer.
    pub wants: Wants,
    /// Whose last producer_seq the answer carries.
    pub sender: UserName,
    /// With `sender`: whose last producer_seq the answer carries.
    pub producer: Producer,
}

/// Where a subscription starts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start {
    /// With the next record to come.
    Live,
    /// Behind the record `seq`, which must have this link.
    After {
        /// The last seq seen; 0: from the first record.
        seq: Seq,
        /// Its link; `None`: unchecked.
        link: Option<Link>,
    },
    /// With the last `n` records.
    Last(u64),
    /// With the first record whose time is at or above this one; live if there is none.
    Time(Timestamp),
    /// Behind the subscriber's cursor of [`Subscribe::cursor`]; with the first record if there is none.
    Cursor,
}

/// An edge has no subscriber of a room left.
#[derive(Clone, Debug)]
pub struct Unsubscribe {
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// By id, or by name if the room had not been created when the edge last heard of it. It may have been since: then the grant is an old one and
    /// home ignores this.
    pub room: RoomKey,
    /// The newest grant the edge has seen for the room. Home forgets the edge unless it granted a newer one.
    pub grant: Grant,
}

/// A subscriber that is behind asks for records from `from` on.
#[derive(Clone, Copy, Debug)]
pub struct Tail {
    /// The subscriber's connection.
    pub conn: ConnId,
    /// The subscription's ticket, echoed.
    pub ticket: Ticket,
    /// The room.
    pub room: RoomId,
    /// First seq wanted.
    pub from: Seq,
    /// Most bytes of records wanted; one record may exceed it.
    pub bytes_max: u32,
}

/// A client reads history.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// The reader's connection.
    pub conn: ConnId,
    /// Echoed by the answer.
    pub ticket: Ticket,
    /// The client's request id.
    pub request: RequestId,
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// The room.
    pub room: RoomKey,
    /// Which records.
    pub range: FetchRange,
    /// Most records in the whole answer.
    pub limit: u32,
    /// Most bytes of records in one page; one record may exceed it.
    pub bytes_max: u32,
}

/// Which records of history.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FetchRange {
    /// The last ones.
    Latest,
    /// Those below this seq, the newest of them.
    Before(Seq),
    /// Those above this seq, the oldest of them.
    After(Seq),
    /// Half of them below this seq, the others from it on.
    Around(Seq),
    /// From the first one on whose time is at or above this one.
    Time(Timestamp),
}

/// From a home to an edge.
#[derive(Clone, Debug)]
pub enum ToEdge {
    /// The channel that was asked for.
    ChannelOpened(ChannelOpened),
    /// There is no such room (asked by id), or its partition cannot take publishes.
    ChannelRefused {
        /// As asked.
        namespace: Namespace,
        /// As asked.
        room: RoomKey,
        /// Why; each waiting publish is answered with it.
        code: Code,
        /// Per code; 0 if none.
        hint: u64,
    },
    /// What was committed, once per turn and edge.
    Acks(Vec<Ack>),
    /// A request was refused.
    Reject(Reject),
    /// A subscription exists.
    Subscribed(Box<Subscribed>),
    /// Records for one subscriber that is behind.
    Slice(Box<Slice>),
    /// The records asked for by [`Tail`] cannot be read: the subscription ends for this reason.
    TailFailed {
        /// Whose.
        conn: ConnId,
        /// Of the subscription.
        ticket: Ticket,
        /// Why.
        code: Code,
    },
    /// Records for one reader of history.
    Page(Box<Page>),
    /// Records just applied, for all live subscribers of the room here.
    Deliver(Deliver),
    /// A room that subscribers here wait for now exists; its first `Deliver` follows.
    Created(Created),
    /// Deliveries of this room were dropped; all below `apply_end` can be fetched. Made by `lanes` only.
    Dirty {
        /// The room.
        room: RoomId,
        /// All records below are applied.
        apply_end: Seq,
    },
    /// A signal for all live subscribers of the room here that want it. A full lane drops it and tells how many it dropped.
    Signal(SignalOut),
    /// Where a cursor stands, or will.
    CursorTold(CursorTold),
    /// Cursors of a room that moved, for the subscribers here that want to know.
    CursorsMoved(CursorMoves),
    /// Everything that this home had for the edge when it got the [`Barrier`] stands before this: deliveries that a full lane dropped, as the
    /// [`ToEdge::Dirty`] that tells of them.
    BarrierPassed(Barrier),
    /// All subscriptions of the room end; home has forgotten this edge.
    Ended {
        /// The room.
        room: RoomId,
        /// Why.
        code: Code,
    },
    /// All subscriptions that wait for the room of this name end: home will not create it, and has forgotten this edge.
    NameEnded {
        /// Where the name is looked up.
        namespace: Namespace,
        /// The name.
        name: RoomName,
        /// Why.
        code: Code,
    },
}

/// The channel of a room.
#[derive(Clone, Debug)]
pub struct ChannelOpened {
    /// As asked.
    pub namespace: Namespace,
    /// As asked.
    pub room: RoomKey,
    /// The room's only channel; it tells the room's name.
    pub channel: Arc<RoomChannel>,
}

/// One committed publish.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ack {
    /// The publisher's connection.
    pub conn: ConnId,
    /// The client's request id.
    pub request: RequestId,
    /// The room.
    pub room: RoomId,
    /// As published.
    pub producer_seq: ProducerSeq,
    /// The record's seq; 0 for a duplicate that is too old.
    pub seq: Seq,
    /// The record's link; 0 like seq.
    pub link: Link,
    /// The record's time; 0 like seq.
    pub time: Timestamp,
    /// An earlier attempt had taken effect already.
    pub duplicate: bool,
    /// The publisher asked for no ack: the edge only counts it as answered.
    pub quiet: bool,
}

/// Which kind of request was refused; it tells the edge which count falls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// A publish, identified by its request id.
    Publish,
    /// A signal, identified by its request id.
    Signal,
    /// A cursor.
    Cursor(Ticket),
    /// A subscribe.
    Subscribe(Ticket),
    /// A fetch, maybe after some pages of it.
    Fetch(Ticket),
}

/// A request was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Reject {
    /// The requester's connection.
    pub conn: ConnId,
    /// The client's request id.
    pub request: RequestId,
    /// Which kind of request.
    pub of: Refused,
    /// Why.
    pub code: Code,
    /// The class, if it is not the usual one of `code`.
    pub class: Option<Class>,
    /// As docs/protocol.md section 6 says for `code`.
    pub hint: u64,
    /// When to try again, if that helps.
    pub retry_after_ms: u32,
}

/// A subscription exists, on committed state.
#[derive(Clone, Debug)]
pub struct Subscribed {
    /// The subscriber's connection.
    pub conn: ConnId,
    /// As asked.
    pub ticket: Ticket,
    /// As asked.
    pub request: RequestId,
    /// See the module.
    pub grant: Grant,
    /// Where the room is looked up.
    pub namespace: Namespace,
    /// The room's name, also if the client named it by id.
    pub name: RoomName,
    /// The room; `None`: it does not exist yet, and a [`Created`] will follow.
    pub room: Option<RoomId>,
    /// Where the room stands; all zeros if it does not exist.
    pub head: Head,
    /// Oldest record kept; 0 if none.
    pub first_kept: Seq,
    /// First record (or gap start) that the subscription will send; 1 if the room does not exist.
    pub next: Seq,
    /// Link of `next - 1`.
    pub link: Link,
    /// As asked.
    pub wants: Wants,
    /// The subscriber's cursors in the room, as the frame has them, if they were asked for.
    pub cursors: Vec<u8>,
    /// The last producer_seq of (sender, producer) in this room; 0: none.
    pub producer_seq: ProducerSeq,
    /// `next` is `apply_end` as of this message in the lane: live at once.
    pub live: bool,
}

/// Where a room stands: its newest applied record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Head {
    /// 0: no record.
    pub seq: Seq,
    /// How many records count as messages.
    pub count: Count,
    /// Link of the newest record; link(0) of the room if there is none.
    pub link: Link,
    /// Time of the newest record.
    pub time: Timestamp,
}

/// Records that do not exist any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gap {
    /// First one missing.
    pub from: Seq,
    /// Last one missing, inclusive.
    pub to: Seq,
    /// Link of `to`.
    pub link: Link,
    /// Why.
    pub reason: GapReason,
}

impl Gap {
    /// Records `from..readable` are missing; `link` is that of the last of them.
    pub(crate) fn before(from: Seq, readable: Seq, link: Link, reason: GapReason) -> Gap {
        let to = match planted(Bug::GapEndOffByOne) {
            true => readable,
            false => readable.previous(),
        };
        Gap {
            from,
            to,
            link,
            reason,
        }
    }
}

/// Records for one subscriber that is behind.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The subscriber's connection.
    pub conn: ConnId,
    /// Of the subscription.
    pub ticket: Ticket,
    /// The room.
    pub room: RoomId,
    /// What is missing before the records: it starts at the seq asked for.
    pub gap: Option<Gap>,
    /// Seq of the first record here; with a gap: `gap.to + 1`, else the seq asked for.
    pub first: Seq,
    /// Seq behind the last record here; `first` if there is none.
    pub next: Seq,
    /// Link of `first - 1`.
    pub link_before: Link,
    /// Whole RECORD frames, ascending.
    pub records: Bytes,
    /// Cut from the hot tail by home, and `next` is `apply_end` as of this message in the lane. Never set by a reader thread.
    pub ends_at_apply: bool,
}

/// Records for one reader of history.
#[derive(Clone, Debug)]
pub struct Page {
    /// The reader's connection.
    pub conn: ConnId,
    /// As asked.
    pub ticket: Ticket,
    /// The room.
    pub room: RoomId,
    /// What is missing before the records.
    pub gap: Option<Gap>,
    /// Seq of the first record here.
    pub first: Seq,
    /// Seq behind the last record here; `first` if there is none.
    pub next: Seq,
    /// Seq behind the last record of the whole answer, fixed by the first page. The edge asks on with `After(next - 1)` and `limit = until - next`
    /// while `next < until`.
    pub until: Seq,
    /// Link of `first - 1`; with a gap: of `gap.from - 1`.
    pub link_before: Link,
    /// The newest applied record.
    pub head: Seq,
    /// Oldest record kept.
    pub first_kept: Seq,
    /// Whole RECORD frames, ascending.
    pub records: Bytes,
}

/// Records just applied.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// The room.
    pub room: RoomId,
    /// Seq of the first record.
    pub first: Seq,
    /// Seq behind the last record; `first < next`.
    pub next: Seq,
    /// Whole RECORD frames, ascending.
    pub records: Bytes,
}

/// A signal on its way to subscribers.
#[derive(Clone, Debug)]
pub struct SignalOut {
    /// The room.
    pub room: RoomId,
    /// The whole SIGNAL frame, with `dropped` 0; empty: there is none, only the number of those lost.
    pub frame: Bytes,
    /// Of several with the same sender, name and key only the newest matters.
    pub is_keyed: bool,
    /// How many signals of the room were lost on the way since the last one.
    pub lost: u32,
}

/// The answer to a [`CursorIn`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CursorTold {
    /// The client's connection.
    pub conn: ConnId,
    /// As asked.
    pub ticket: Ticket,
    /// Where the cursor stands; not committed yet, unless sync was asked for.
    pub position: CursorPosition,
    /// The room's newest applied record.
    pub head: CursorPosition,
}

/// Cursors of one room that moved, committed; shared by all edges.
#[derive(Clone, Debug)]
pub struct CursorMoves {
    /// The room.
    pub room: RoomId,
    /// Which.
    pub moves: Arc<[MovedCursor]>,
}

/// A cursor that moved.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MovedCursor {
    /// The room.
    pub room: RoomId,
    /// Whose it is.
    pub user: UserName,
    /// Its name.
    pub name: Box<str>,
    /// Where it stands.
    pub position: CursorPosition,
    /// Who is told.
    pub scope: CursorScope,
}

/// A room that subscribers of an edge wait for now exists. Home has moved the edge's interest from the name to the room.
#[derive(Clone, Debug)]
pub struct Created {
    /// See the module.
    pub grant: Grant,
    /// Where the name is looked up.
    pub namespace: Namespace,
    /// As subscribed.
    pub name: RoomName,
    /// Its number. Nothing of it has been delivered to this edge yet; all waiting subscribers are live at seq 1.
    pub room: RoomId,
}

/// A session took this producer.
#[derive(Clone, Debug)]
pub struct Replace {
    /// Where the user is known.
    pub namespace: Namespace,
    /// Only this user's connections are meant: a producer means nothing without its sender.
    pub user: UserName,
    /// The producer.
    pub producer: Producer,
    /// Connections whose own claim is greater stay.
    pub claim: Claim,
}
