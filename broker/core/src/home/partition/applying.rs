//! Apply: a committed entry becomes state, and everyone who waits for it is told.

use antiphon_log::{Entry, EntryKind};
use antiphon_protocol::{Code, RoomId};

use crate::home::desk::Turn;
use crate::home::partition::proposals::{Applied, Pending, refuse_acks};
use crate::home::partition::{Partition, Role};
use crate::home::records::shared;
use crate::home::state::{Effects, Part};
use crate::lane::{Created, Deliver, ToEdge};
use crate::planted::{Bug, planted};

impl Partition {
    /// Applies one entry that is committed and persisted here.
    ///
    /// # Panics
    /// If the entry does not continue the state (a bug in admission or in the log): the process must not go on.
    pub(super) fn apply(&mut self, turn: &mut Turn<'_>, entry: &Entry) {
        assert!(
            entry.kind == EntryKind::Normal,
            "INV-HOME-29: nothing proposes a change of voters"
        );
        let mut effects = core::mem::take(&mut turn.desk.effects);
        if let Err(fault) = self
            .state
            .apply(entry.index, entry.term, &entry.payload, &mut effects)
        {
            panic!("group {} entry {}: {fault}", self.group, entry.index);
        }
        self.uncovered.log_bytes += entry.payload.len() as u64;
        turn.desk.stats.entries += 1;
        self.index_parts(entry, &effects);
        for room in &effects.created {
            self.tell_created(turn, *room);
        }
        for part in &effects.parts {
            self.deliver(turn, entry, part);
        }
        self.tell_cursors(turn, &effects.cursors);
        turn.desk.effects = effects;
        self.settle(turn, entry);
    }

    /// Notes where the entry's records are: in the log for ever, in memory for a while.
    fn index_parts(&mut self, entry: &Entry, effects: &Effects) {
        let Role::Running(replica) = &mut self.role else {
            panic!("INV-HOME-44: only a partition that runs applies");
        };
        let at = replica
            .hot()
            .and_then(|hot| hot.find(entry.index))
            .and_then(|hot| hot.at);
        self.uncovered.from = self.uncovered.from.or(at);
        for part in &effects.parts {
            let at =
                at.expect("INV-HOME-23: an applied entry is persisted, so its position is known");
            self.index.insert(part.room, part.first, part.next, at);
        }
        replica.applied(entry.index, &effects.parts);
    }

    /// Edges that wait for the room's name want the room from now on.
    fn tell_created(&mut self, turn: &mut Turn<'_>, room: RoomId) {
        let made = self.known_room(room);
        let named = (made.namespace, made.name.clone());
        for (edge, _) in self.interest.take_name(&named) {
            let grant = turn.desk.next_grant();
            self.interest.want_room(room, edge, grant);
            let created = Created {
                grant,
                namespace: named.0,
                name: named.1.clone(),
                room,
            };
            turn.desk.send(edge, ToEdge::Created(created));
        }
    }

    /// Sends the records of one room to each edge that wants it, once.
    fn deliver(&self, turn: &mut Turn<'_>, entry: &Entry, part: &Part) {
        turn.desk.stats.records += part.next.0 - part.first.0;
        let mut edges = self.interest.edges(part.room).peekable();
        if edges.peek().is_none() {
            return;
        }
        let records = shared(
            &entry.payload,
            part.records.start as usize..part.records.end as usize,
        );
        for edge in edges {
            let deliver = Deliver {
                room: part.room,
                first: part.first,
                next: part.next,
                records: records.clone(),
            };
            turn.desk.stats.deliveries += 1;
            turn.desk.send(edge, ToEdge::Deliver(deliver));
        }
    }

    /// Answers whoever waited for this entry.
    fn settle(&mut self, turn: &mut Turn<'_>, entry: &Entry) {
        match self.proposals.applied(entry.index, entry.term) {
            Applied::Ours(pending) => self.settle_ours(turn, pending),
            Applied::Foreign => {}
            Applied::Overridden => {
                // Whatever was proposed behind the overridden entry is gone with it; nothing of it was ever told.
                self.overlay.clear(&self.state);
                self.unpropose_cursors(None, turn.now.mono_ms);
                for pending in self.proposals.take_all() {
                    refuse_acks(turn, &pending.acks, Code::UNAVAILABLE);
                    self.held.extend(pending.parked);
                }
            }
        }
    }

    fn settle_ours(&mut self, turn: &mut Turn<'_>, pending: Pending) {
        self.overlay.settle(pending.staging, pending.by);
        for (edge, ack) in &pending.acks {
            turn.desk.ack(*edge, *ack);
        }
        self.proposals.recycle(pending.acks);
        self.cursors_settled(turn, pending.by);
        if planted(Bug::ParkedForgotten) {
            return;
        }
        self.held.extend(pending.parked);
    }
}
