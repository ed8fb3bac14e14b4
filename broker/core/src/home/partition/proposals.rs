//! Entries proposed and not applied yet, with everything that waits for each.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::{Index, Term};
use antiphon_protocol::Code;

use crate::channel::{PublishBatch, RoomChannel};
use crate::core::CoreId;
use crate::home::desk::{Asker, Turn};
use crate::home::overlay::{Proposal, Staging};
use crate::lane::{Ack, Refused};

/// One publish whose answer waits for a proposal, as a batch of its own.
pub(super) type Parked = (Arc<RoomChannel>, PublishBatch);

/// An entry under way.
#[derive(Debug)]
pub(super) struct Pending {
    /// Its number here.
    pub(super) by: Proposal,
    /// Where Raft put it.
    pub(super) index: Index,
    /// The term it was proposed in.
    pub(super) term: Term,
    /// What it staged.
    pub(super) staging: Staging,
    /// What its publishers are told when it is applied.
    pub(super) acks: Vec<(CoreId, Ack)>,
    /// Looked at again when it is applied or gone.
    pub(super) parked: Vec<Parked>,
}

/// See the module. Ascending by index and by number.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    queue: VecDeque<Pending>,
    /// An emptied list of acks for the next proposal.
    spare: Vec<(CoreId, Ack)>,
}

impl Proposals {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// An empty list for the acks of the next proposal.
    pub(super) fn list(&mut self) -> Vec<(CoreId, Ack)> {
        core::mem::take(&mut self.spare)
    }

    /// Takes an emptied list back.
    pub(super) fn recycle(&mut self, mut list: Vec<(CoreId, Ack)>) {
        list.clear();
        self.spare = list;
    }

    pub(super) fn push(&mut self, pending: Pending) {
        let is_next = self
            .queue
            .back()
            .is_none_or(|last| last.index < pending.index && last.by < pending.by);
        assert!(is_next, "INV-HOME-24: proposals are appended in order");
        self.queue.push_back(pending);
    }

    /// Lets a publish wait for `by`; gives it back if that is not under way.
    pub(super) fn park(&mut self, by: Proposal, parked: Parked) -> Result<(), Parked> {
        match self.queue.binary_search_by_key(&by, |pending| pending.by) {
            Ok(at) => {
                self.queue[at].parked.push(parked);
                Ok(())
            }
            Err(_) => Err(parked),
        }
    }

    /// The entry `(index, term)` was applied: the proposal that it was, if it was ours.
    pub(super) fn applied(&mut self, index: Index, term: Term) -> Applied {
        match self.queue.front() {
            Some(first) if first.index == index && first.term == term => self
                .queue
                .pop_front()
                .map_or(Applied::Foreign, Applied::Ours),
            Some(first) if first.index <= index => Applied::Overridden,
            _ => Applied::Foreign,
        }
    }

    /// Nothing under way will be answered otherwise: refuses every publish.
    pub(super) fn refuse_all(&mut self, turn: &mut Turn<'_>, code: Code) {
        for pending in self.queue.drain(..) {
            refuse_acks(turn, &pending.acks, code);
            for (_, batch) in &pending.parked {
                refuse_batch(turn, batch, code, 0);
            }
        }
    }

    /// Takes all that waits; its proposals are gone.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Pending> {
        self.queue.drain(..)
    }
}

/// Whose entry was applied.
#[derive(Debug)]
pub(super) enum Applied {
    /// The oldest proposal.
    Ours(Pending),
    /// None of this replica's proposals.
    Foreign,
    /// Another leader's, in the place of the oldest proposal: that one and all after it are gone.
    Overridden,
}

/// Refuses the publishes that were to be acked so.
pub(super) fn refuse_acks(turn: &mut Turn<'_>, acks: &[(CoreId, Ack)], code: Code) {
    for (edge, ack) in acks {
        let asker = Asker {
            edge: *edge,
            conn: ack.conn,
            request: ack.request,
        };
        turn.desk.refuse(asker, Refused::Publish, code, 0);
    }
}

/// Refuses all publishes of a batch.
pub(super) fn refuse_batch(turn: &mut Turn<'_>, batch: &PublishBatch, code: Code, hint: u64) {
    for publish in &batch.publishes {
        let asker = Asker {
            edge: batch.edge,
            conn: batch.conn,
            request: publish.request,
        };
        turn.desk.refuse(asker, Refused::Publish, code, hint);
    }
}
