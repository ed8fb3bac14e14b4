//! Finding and changing events of the scripted history.

use crate::history::{
    Actor, BodyHash, Client, Event, Link, Op, Origin, Producer, ProducerSeq, Record, Room, Seq,
    User, Way, What,
};

/// The name of an event's kind.
pub(super) fn kind(what: &What) -> &'static str {
    match what {
        What::Connect { .. } => "connect",
        What::Connected { .. } => "connected",
        What::Disconnected => "disconnected",
        What::Closed => "closed",
        What::Publish { .. } => "publish",
        What::Published { .. } => "published",
        What::Subscribe { .. } => "subscribe",
        What::Subscribed { .. } => "subscribed",
        What::Ended { .. } => "ended",
        What::Fetch { .. } => "fetch",
        What::Fetched { .. } => "fetched",
        What::Failed { .. } => "failed",
        What::Unknown { .. } => "unknown",
        What::Deliver { .. } => "deliver",
        What::Gap { .. } => "gap",
        What::Expect { .. } => "expect",
        What::Signal { .. } => "signal",
        What::Signalled { .. } => "signalled",
        What::Cursor { .. } => "cursor",
        What::CursorAt { .. } => "cursor_at",
        What::CursorMoved { .. } => "cursor_moved",
        What::Broken { .. } => "broken",
        What::Started { .. } => "started",
        What::Stopped { .. } => "stopped",
        What::Written { .. } => "written",
        What::Synced { .. } => "synced",
        What::AckSent { .. } => "ack_sent",
        What::FinalRead { .. } => "final_read",
        What::FaultStart(_) => "fault_start",
        What::FaultStop(_) => "fault_stop",
        What::Healed => "healed",
        What::Settled => "settled",
    }
}

/// The place of the n-th (from 0) event that fits.
pub(super) fn nth(events: &[Event], n: usize, fits: impl Fn(&What) -> bool) -> usize {
    let mut places = (0..events.len()).filter(|at| fits(&events[*at].what));
    places.nth(n).expect("the scripted history has it")
}

/// The place of the n-th event of a kind.
pub(super) fn nth_kind(events: &[Event], n: usize, name: &str) -> usize {
    nth(events, n, |what| kind(what) == name)
}

/// The place of the n-th delivery of a seq.
pub(super) fn delivery(events: &[Event], n: usize, seq: u64) -> usize {
    nth(
        events,
        n,
        |what| matches!(what, What::Deliver { record, .. } if record.seq == Seq(seq)),
    )
}

/// The place of the PUBACK of a seq.
pub(super) fn ack(events: &[Event], of: u64) -> usize {
    nth(
        events,
        0,
        |what| matches!(what, What::Published { seq, .. } if *seq == Seq(of)),
    )
}

/// Removes the delivery of a seq to a subscription.
pub(super) fn undeliver(events: &mut Vec<Event>, from: Op, seq: u64) {
    let at = nth(
        events,
        0,
        |what| matches!(what, What::Deliver { sub, record, .. } if *sub == from && record.seq == Seq(seq)),
    );
    events.remove(at);
}

/// Gives the times to the events again, after some were moved.
pub(super) fn restamp(events: &mut [Event]) {
    for (at, event) in events.iter_mut().enumerate() {
        event.at = at as u64 * 1_000_000;
    }
}

/// Moves an event to the place that another has now.
pub(super) fn shift(events: &mut Vec<Event>, from: usize, to: usize) {
    let event = events.remove(from);
    events.insert(to, event);
    restamp(events);
}

/// The records of the final read of the lobby.
pub(super) fn final_records(events: &mut [Event]) -> &mut Vec<Record> {
    let at = nth_kind(events, 0, "final_read");
    match &mut events[at].what {
        What::FinalRead { records, .. } => records,
        other => panic!("no final read: {other:?}"),
    }
}

/// Changes every record that anybody reads, but not the acks.
pub(super) fn every_record(events: &mut [Event], change: impl Fn(&mut Record)) {
    for event in events {
        match &mut event.what {
            What::Deliver { record, .. } => change(record),
            What::Fetched { records, .. } | What::FinalRead { records, .. } => {
                records.iter_mut().for_each(&change);
            }
            _ => {}
        }
    }
}

/// Puts an event in, at the time of the one that it displaces or follows.
pub(super) fn insert(events: &mut Vec<Event>, at: usize, by: Actor, what: What) {
    let time = events[at.min(events.len() - 1)].at;
    events.insert(at, Event { at: time, by, what });
}

pub(super) const LOBBY: Room = Room(1);
pub(super) const ANN: Actor = Actor::Client(Client(1));
pub(super) const BOB: Actor = Actor::Client(Client(2));
/// Bob's first subscription, live.
pub(super) const BOB_LIVE: Op = Op(3);
/// Bob's second one, the resume after seq 5.
pub(super) const BOB_RESUMED: Op = Op(14);
/// Ann's one, the last 3.
pub(super) const ANN_LAST: Op = Op(19);

/// A message of Ann's.
pub(super) fn ann(number: u64) -> Origin {
    (User(1), Producer(10), ProducerSeq(number)).into()
}

/// A message of Bob's.
pub(super) fn bob(number: u64) -> Origin {
    (User(2), Producer(20), ProducerSeq(number)).into()
}

/// A message of nobody's.
pub(super) fn stranger() -> Origin {
    (User(3), Producer(30), ProducerSeq(1)).into()
}

/// A tenth record of the lobby, as everybody reads it.
pub(super) fn tenth(events: &mut Vec<Event>, origin: Origin, body: BodyHash) {
    let record: Record = (Seq(10), Link(10), origin, body).into();
    final_records(events).push(record);
    let settled = nth_kind(events, 0, "settled");
    for (by, sub) in [(ANN, ANN_LAST), (BOB, BOB_RESUMED)] {
        let way = Way::Live;
        insert(events, settled, by, What::Deliver { sub, record, way });
    }
}

/// Changes the event at a place, which is of the kind that is named.
macro_rules! set {
    ($events:expr, $at:expr, $pattern:pat => $change:expr) => {{
        let at = $at;
        match &mut $events[at].what {
            $pattern => $change,
            other => panic!("another event: {other:?}"),
        }
    }};
}
pub(super) use set;
