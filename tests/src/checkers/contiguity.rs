//! I4: a stream misses nothing: seqs rise by one, or a GAP names what will not come, and every open subscription comes
//! to the head of its room.

mod pages;

use std::collections::BTreeMap;

use crate::checkers::view::{Map, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Client, Op, Room, Seq, Start, What};

/// A subscription as the events so far left it.
#[derive(Clone, Copy, Debug)]
struct Stream {
    room: Room,
    /// The next one, and the event from which that follows. Before SUBSCRIBED: none.
    next: Option<(Seq, EventNo)>,
    /// What ended it.
    ended: Option<EventNo>,
}

struct Streams<'a> {
    view: &'a View<'a>,
    streams: Map<Op, Stream>,
    /// At most one for a client and room.
    open: BTreeMap<(Client, Room), Op>,
    check: Check,
}

/// Follows every subscription, and looks at every answer of a fetch.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut streams = Streams {
        view,
        streams: Map::default(),
        open: BTreeMap::new(),
        check: Check::new(Invariant::I4),
    };
    for (event, happened) in view.events() {
        let client = View::client(happened);
        match &happened.what {
            What::Subscribed { op, head, next, .. } => {
                streams.subscribed(event, client, *op, *head, *next)
            }
            What::Deliver { sub, record, .. } => {
                streams.moved(event, *sub, record.seq, record.seq);
            }
            What::Gap { sub, gap, .. } if gap.from > gap.to => {
                let anomaly = Anomaly::BackwardGap { sub: *sub };
                streams.check.violated(anomaly, &[event]);
            }
            What::Gap { sub, gap, .. } => streams.moved(event, *sub, gap.from, gap.to),
            What::Ended { sub } => streams.ended(event, client, *sub),
            What::Disconnected => streams.disconnected(event, client),
            What::Settled => streams.settled(event),
            What::Fetched { op, .. } => {
                if let Some((asked, request)) = view.asked(*op) {
                    pages::check(
                        view,
                        (asked, request),
                        (event, &happened.what),
                        &mut streams.check,
                    );
                }
            }
            _ => {}
        }
    }
    streams.check
}

impl Streams<'_> {
    fn subscribed(
        &mut self,
        event: EventNo,
        client: Option<Client>,
        sub: Op,
        head: Seq,
        next: Seq,
    ) {
        let Some((asked, &What::Subscribe { room, start, .. })) = self.view.asked(sub) else {
            return;
        };
        self.check.compare();
        // The head may have moved on while the position of the last n was read: more than n then, never fewer.
        let is_right = |right: Seq| match start {
            Start::Last(_) => next <= right,
            _ => next == right,
        };
        if let Start::Time(time) = start
            && pages::is_not_from(self.view, room, time, (next, head))
        {
            let (op, first) = (sub, next);
            let anomaly = Anomaly::WrongTime { op, first };
            self.check.violated(anomaly, &[asked, event]);
        }
        if let Some(expected) = start_of(start, head).filter(|right| !is_right(*right)) {
            let anomaly = Anomaly::WrongStart {
                sub,
                head,
                expected,
                next,
            };
            self.check.violated(anomaly, &[asked, event]);
        }
        let stream = Stream {
            room,
            next: Some((next, event)),
            ended: None,
        };
        self.streams.insert(sub, stream);
        let Some(client) = client else { return };
        // A new subscription of a room replaces the old one.
        let old = self.open.insert((client, room), sub);
        if let Some(old) = old.filter(|old| *old != sub) {
            self.end(event, old);
        }
    }

    fn end(&mut self, event: EventNo, sub: Op) {
        if let Some(stream) = self.streams.get_mut(&sub) {
            stream.ended.get_or_insert(event);
        }
    }

    fn ended(&mut self, event: EventNo, client: Option<Client>, sub: Op) {
        self.end(event, sub);
        let Some((client, stream)) = client.zip(self.streams.get(&sub)) else {
            return;
        };
        let of = (client, stream.room);
        if self.open.get(&of) == Some(&sub) {
            self.open.remove(&of);
        }
    }

    fn disconnected(&mut self, event: EventNo, client: Option<Client>) {
        let Some(client) = client else { return };
        let all = (client, Room(0))..=(client, Room(u32::MAX));
        let ended: Vec<_> = self.open.range(all).map(|(of, sub)| (*of, *sub)).collect();
        for (of, sub) in ended {
            self.open.remove(&of);
            self.end(event, sub);
        }
    }

    /// Records or a gap came: `from..=to`.
    fn moved(&mut self, event: EventNo, sub: Op, from: Seq, to: Seq) {
        self.check.compare();
        let stream = self.streams.get_mut(&sub);
        let Some((stream, (expected, since))) =
            stream.and_then(|stream| stream.next.map(|next| (stream, next)))
        else {
            let anomaly = Anomaly::NotSubscribed { sub };
            self.check.violated(anomaly, &[event]);
            return;
        };
        // After a wrong one the stream is taken up from there: one fault, one violation.
        stream.next = Some((to.next(), event));
        let ended = stream.ended;
        let got = from;
        if let Some(ended) = ended {
            let anomaly = Anomaly::AfterEnd { sub };
            self.check.violated(anomaly, &[ended, event]);
        } else if from > expected {
            let anomaly = Anomaly::Hole { sub, expected, got };
            self.check.violated(anomaly, &[since, event]);
        } else if from < expected {
            let anomaly = Anomaly::Repeated { sub, expected, got };
            self.check.violated(anomaly, &[since, event]);
        }
    }

    /// Everybody had the time to hear everything that was ever seen.
    fn settled(&mut self, event: EventNo) {
        let mut heads: BTreeMap<Room, (Seq, EventNo)> = BTreeMap::new();
        for sighting in &self.view.sightings {
            let seen = (sighting.record.seq, sighting.event);
            let head = heads.entry(sighting.room).or_insert(seen);
            if seen.0 > head.0 {
                *head = seen;
            }
        }
        for sub in self.open.values() {
            let Some(stream) = self.streams.get(sub) else {
                continue;
            };
            let Some((next, since)) = stream.next else {
                continue;
            };
            self.check.compare();
            if let Some((head, seen)) = heads.get(&stream.room).filter(|head| head.0 >= next) {
                let (sub, head) = (*sub, *head);
                let anomaly = Anomaly::Behind { sub, next, head };
                self.check.violated(anomaly, &[since, *seen, event]);
            }
        }
    }
}

/// Where a fresh subscription begins, as far as its head tells. A resume is I8's, a cursor I16's.
fn start_of(start: Start, head: Seq) -> Option<Seq> {
    match start {
        Start::Live => Some(head.next()),
        Start::Last(count) => Some(Seq(head.0.saturating_sub(count)).next()),
        Start::After { .. } | Start::Time(_) | Start::Cursor(_) => None,
    }
}
