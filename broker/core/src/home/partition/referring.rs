//! Records that refer to another: whether the target is there, and whether this user may do that to it.
//!
//! docs/protocol.md, "Records that refer to another", has the rules and their order. A refusal rests on committed state only: whatever depends on a
//! target that is on its way, or on a redact of it, waits. Who published a target is told by its record; one that only the log has is looked for by a
//! reader thread, see `targets`.

use antiphon_protocol::{Code, GapReason, Headers, RecordKind, RoomId, Seq};

use crate::channel::{PublishBatch, PublishRequest};
use crate::home::admission::Verdict;
use crate::home::overlay::Proposal;
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::partition::stamping::{Draft, Run};
use crate::home::partition::targets::Author;

impl Partition {
    /// The verdict, once it is also known whether the record's target is there, its publisher may refer to it so, and its seq is the one expected.
    pub(super) fn claims(
        &self,
        verdict: Verdict,
        draft: &Draft,
        run: &Run,
        batch: &PublishBatch,
        publish: &PublishRequest,
    ) -> Verdict {
        let Verdict::Admit { .. } = verdict else {
            return verdict;
        };
        if RecordKind::from_wire(publish.kind).refers()
            && let Some(objection) = self.objection(draft, run, batch, publish)
        {
            return objection;
        }
        if is_expected(run, publish) {
            return verdict;
        }
        let head = run.at.map_or(0, |(_, head)| head.seq.0);
        self.unsettled_head(draft, run)
            .map_or(Verdict::Refuse(Code::CONFLICT, head), Verdict::Wait)
    }

    /// What there is to say against a record because of its target.
    fn objection(
        &self,
        draft: &Draft,
        run: &Run,
        batch: &PublishBatch,
        publish: &PublishRequest,
    ) -> Option<Verdict> {
        let target = target_of(batch, publish);
        let Some((room, head)) = run.at else {
            return Some(Verdict::Refuse(Code::NOT_FOUND, 0));
        };
        let not_found = Verdict::Refuse(Code::NOT_FOUND, target.0);
        let committed = self.state.room(room).map_or(Seq(0), |room| room.head.seq);
        if target > committed {
            let by = self.unsettled_head(draft, run);
            return Some(match by.filter(|_| target <= head.seq) {
                Some(by) => Verdict::Wait(by),
                None => not_found,
            });
        }
        let is_kept = target >= self.first_kept(room).max(Seq::FIRST);
        if !is_kept || self.state.erased().has(room, target) {
            return Some(not_found);
        }
        if let Some(by) = self.overlay.erasing(room, target) {
            return Some(Verdict::Wait(by));
        }
        let kind = RecordKind::from_wire(publish.kind);
        match kind {
            RecordKind::EDIT | RecordKind::REDACT => self.trespass(room, target, batch, kind),
            _ => None,
        }
    }

    /// Why this user may not edit or redact a committed record, if so.
    fn trespass(
        &self,
        room: RoomId,
        target: Seq,
        batch: &PublishBatch,
        kind: RecordKind,
    ) -> Option<Verdict> {
        let author = match self.find_records(room, target, target.next(), 1) {
            Found::Hot(slice) => {
                Author::of(&slice.records).expect("INV-HOME-57: the hot tail has whole records")
            }
            Found::Cold(_) => match self.targets.find(room, target) {
                Some(Some(author)) => author.clone(),
                Some(None) => return Some(Verdict::Refuse(Code::DAMAGED, 0)),
                None => return Some(Verdict::Look(target)),
            },
            Found::Missing(_) if self.missing_reason(room, target) == GapReason::RETENTION => {
                return Some(Verdict::Refuse(Code::NOT_FOUND, target.0));
            }
            Found::Missing(readable) => {
                let hint = readable.map_or(0, |seq| seq.0);
                return Some(Verdict::Refuse(Code::DAMAGED, hint));
            }
        };
        let is_right_kind = kind != RecordKind::EDIT || author.is_original();
        let may = author.sender == batch.sender && is_right_kind;
        (!may).then_some(Verdict::Refuse(Code::FORBIDDEN, 0))
    }

    /// The proposal that the room's head rests on, if it is not committed: whoever is refused for that head waits.
    fn unsettled_head(&self, draft: &Draft, run: &Run) -> Option<Proposal> {
        if run.is_open {
            return Some(draft.by);
        }
        self.overlay.head_by(run.at?.0)
    }
}

/// Whether the record would get the seq that its publisher expects.
fn is_expected(run: &Run, publish: &PublishRequest) -> bool {
    let next = run.at.map_or(Seq::FIRST, |(_, head)| head.seq.next());
    publish.expect_seq == Seq(0) || publish.expect_seq == next
}

/// The seq that a publish of a kind that refers to another record names.
pub(super) fn target_of(batch: &PublishBatch, publish: &PublishRequest) -> Seq {
    let headers = Headers::new(batch.headers(publish));
    headers.reference().unwrap_or(Seq(0))
}
