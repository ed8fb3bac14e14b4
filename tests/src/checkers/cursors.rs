//! I16: a cursor goes forward only; what a sync or the log said of it holds for ever; its counts are those of the room.
//!
//! An answer without sync may be of a move that is lost with the process: it proves nothing for later. Counts are compared with final reads, all of
//! whose records count as messages: who publishes others leaves counts 0.

use crate::checkers::view::{Map, Set, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Op, Room, Seq, Start, User, What};

/// Whose it is, and where.
type Name = (Room, User, u32);

/// Where a cursor stands at least, and the event that shows it.
type Mark = (Seq, EventNo);

struct Cursors<'a> {
    view: &'a View<'a>,
    check: Check,
    /// What is in the log.
    marks: Map<Name, Mark>,
    /// Where somebody moved it, or tried to.
    moves: Set<(Name, Seq)>,
    /// By request: what was in the log when it was made.
    asked: Map<Op, Vec<(Name, Mark)>>,
    /// The last position told to a subscription.
    told: Map<(Op, User, u32), Mark>,
    /// How many messages the room has up to a seq, from its final read.
    counts: Map<Room, Vec<Seq>>,
    /// The user of a subscriber, if it ever touched a cursor.
    users: Map<crate::history::Actor, User>,
}

/// Runs once through the events.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut cursors = Cursors {
        view,
        check: Check::new(Invariant::I16),
        marks: Map::default(),
        moves: Set::default(),
        asked: Map::default(),
        told: Map::default(),
        counts: Map::default(),
        users: Map::default(),
    };
    for read in &view.final_reads {
        if read.gaps.is_empty() {
            let mut seqs: Vec<Seq> = read.records.iter().map(|record| record.seq).collect();
            seqs.sort_unstable();
            cursors.counts.insert(read.room, seqs);
        }
    }
    for (_, happened) in view.events() {
        if let What::Cursor { user, .. } = happened.what {
            cursors.users.insert(happened.by, user);
        }
    }
    for (event, happened) in view.events() {
        cursors.event(event, happened.by, &happened.what);
    }
    cursors.check
}

impl Cursors<'_> {
    fn event(&mut self, event: EventNo, by: crate::history::Actor, what: &What) {
        match *what {
            What::Cursor {
                op,
                room,
                user,
                name,
                seq,
                ..
            } => {
                let name = (room, user, name);
                self.moves.insert((name, seq));
                let mark = self.marks.get(&name).copied();
                self.asked
                    .insert(op, mark.map(|mark| (name, mark)).into_iter().collect());
            }
            What::Subscribe { op, room, .. } => {
                if let Some(user) = self.users.get(&by).copied() {
                    let mine = |name: &&Name| name.0 == room && name.1 == user;
                    let mut marks: Vec<(Name, Mark)> = self
                        .marks
                        .keys()
                        .filter(mine)
                        .map(|name| (*name, self.marks[name]))
                        .collect();
                    marks.sort_unstable();
                    self.asked.insert(op, marks);
                }
            }
            What::CursorAt { op, .. } => self.answered(event, op, what),
            What::CursorMoved {
                sub,
                user,
                name,
                seq,
                count,
            } => self.moved(event, sub, (user, name), (seq, count)),
            What::Subscribed { op, next, .. } => self.subscribed(event, by, op, next),
            _ => {}
        }
    }

    fn answered(&mut self, event: EventNo, op: Op, what: &What) {
        let What::CursorAt {
            seq,
            count,
            head,
            head_count,
            ..
        } = *what
        else {
            return;
        };
        let Some((
            asked,
            &What::Cursor {
                room,
                user,
                name,
                seq: wanted,
                sync,
                ..
            },
        )) = self.view.asked(op)
        else {
            return;
        };
        let name = (room, user, name);
        self.compare(op, event, name, seq, Some((wanted, asked)));
        self.count(op, event, room, (seq, count));
        self.count(op, event, room, (head, head_count));
        if sync && wanted > Seq(0) {
            self.raise(name, (seq, event));
        }
    }

    fn moved(&mut self, event: EventNo, sub: Op, cursor: (User, u32), at: (Seq, u64)) {
        let Some((_, &What::Subscribe { room, .. })) = self.view.asked(sub) else {
            return;
        };
        let (user, name) = cursor;
        let before = self.told.insert((sub, user, name), (at.0, event));
        let name = (room, user, name);
        self.compare(sub, event, name, at.0, before);
        self.count(sub, event, room, at);
        self.raise(name, (at.0, event));
    }

    fn subscribed(&mut self, event: EventNo, by: crate::history::Actor, op: Op, next: Seq) {
        let Some((asked, &What::Subscribe { room, start, .. })) = self.view.asked(op) else {
            return;
        };
        let Start::Cursor(name) = start else { return };
        // The second SUBSCRIBED of a room that came into being begins at its beginning.
        let is_first = self
            .view
            .requests
            .get(&op)
            .and_then(|request| request.outcome)
            == Some(event);
        if let Some(user) = self.users.get(&by).copied().filter(|_| is_first) {
            let at = Seq(next.0.saturating_sub(1));
            self.compare(op, event, (room, user, name), at, Some((Seq(0), asked)));
        }
    }

    /// A cursor was told to stand at `at`: not below `before`, nor below what was known when that was asked for, and where somebody moved it.
    fn compare(&mut self, op: Op, event: EventNo, name: Name, at: Seq, before: Option<Mark>) {
        self.check.compare();
        let known = self.asked.get(&op).and_then(|marks| {
            let mine = marks.iter().find(|(of, _)| *of == name);
            mine.map(|(_, mark)| *mark)
        });
        let least = known.into_iter().chain(before).max();
        if let Some((before, by)) = least.filter(|(seq, _)| *seq > at) {
            let anomaly = Anomaly::CursorBack { op, at, before };
            self.check.violated(anomaly, &[by, event]);
        } else if at > Seq(0) && !self.moves.contains(&(name, at)) {
            let anomaly = Anomaly::CursorNowhere { op, at };
            self.check.violated(anomaly, &[event]);
        }
    }

    fn count(&mut self, op: Op, event: EventNo, room: Room, (at, count): (Seq, u64)) {
        let Some(seqs) = self.counts.get(&room).filter(|_| count > 0 || at == Seq(0)) else {
            return;
        };
        let there = seqs.partition_point(|seq| *seq <= at) as u64;
        // What is missing in the final read is I1's.
        if there == at.0 && count != there {
            let anomaly = Anomaly::WrongUnread { op, at, count };
            self.check.violated(anomaly, &[event]);
        }
    }

    fn raise(&mut self, name: Name, mark: Mark) {
        let known = self.marks.entry(name).or_insert(mark);
        if mark.0 > known.0 {
            *known = mark;
        }
    }
}
