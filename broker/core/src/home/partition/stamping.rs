//! Stamping: admitted publishes become records, and the batch of one turn becomes one entry.
//!
//! A record's bytes are built once, here, at the end of the payload that is logged, replicated and delivered.

use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::ItemWriter;
use antiphon_protocol::{Code, Producer, RecordFields, RecordKind, RoomId, Seq, Slot, Timestamp};

use crate::channel::{PublishBatch, PublishRequest, RoomChannel};
use crate::core::CoreId;
use crate::home::admission::{Age, Known, Verdict, form, window};
use crate::home::desk::{Asker, Turn};
use crate::home::limits::ERASE_HEAD_BYTES;
use crate::home::overlay::{Proposal, Staged};
use crate::home::partition::gathering::Visit;
use crate::home::partition::proposals::{Parked, Pending, refuse_acks};
use crate::home::partition::referring::target_of;
use crate::home::partition::{Partition, Role};
use crate::home::replica::NotProposed;
use crate::home::settings::HomeSettings;
use crate::home::state::{Named, ProducerState, head_at_start};
use crate::lane::{Ack, Head, Refused};
use crate::planted::{Bug, dawdle, planted};

/// Unused bytes that an entry may keep in memory beside its payload.
const SLACK_BYTES_MAX: usize = 1_024;

/// The entry being stamped.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) by: Proposal,
    /// Stamped into all its records.
    pub(super) time: Timestamp,
    pub(super) writer: ItemWriter,
    acks: Vec<(CoreId, Ack)>,
    /// What its redacts erase.
    erased: Vec<(RoomId, Seq)>,
    /// Publishes whose answer depends on this very entry.
    parked: Vec<Parked>,
}

/// The run of records of one room in the draft.
#[derive(Debug)]
pub(super) struct Run {
    named: Named,
    /// `None`: the room does not exist until a publish is admitted.
    pub(super) at: Option<(RoomId, Head)>,
    /// A RECORDS item is open.
    pub(super) is_open: bool,
}

/// The publisher of consecutive publishes: looked up once, staged once.
#[derive(Debug)]
struct Publisher {
    room: Option<RoomId>,
    producer: Producer,
    known: Known,
    is_moved: bool,
    /// It was not known before.
    is_new: bool,
}

impl Partition {
    /// Stamps what is ready, as far as one entry reaches, and proposes it.
    pub(super) fn admit(&mut self, turn: &mut Turn<'_>) {
        if let Role::Impaired(code) = self.role {
            return self.refuse_ready(turn, code, 0);
        }
        if let Some((code, hint)) = self.elsewhere(turn.now.mono_ms) {
            return self.refuse_ready(turn, code, hint);
        }
        if !self.may_admit() {
            turn.desk.stats.stalls += u64::from(!self.ready.is_empty() || !self.held.is_empty());
            return;
        }
        self.gather(turn);
        let now_ms = turn.now.mono_ms;
        let has_cursors = self.cursors.is_due(now_ms);
        if self.gathered.is_empty() && self.sweep.is_empty() && !has_cursors {
            return;
        }
        let by = self.overlay.begin();
        let time = self.overlay.stamp(&self.state, turn.now.wall);
        let bytes = ERASE_HEAD_BYTES
            + self.gathered.bytes
            + self.sweep.bytes()
            + self.cursors.bytes(now_ms);
        let writer = ItemWriter::new(Vec::with_capacity(bytes));
        let mut draft = Draft {
            by,
            time,
            writer,
            acks: self.proposals.list(),
            erased: Vec::new(),
            parked: Vec::new(),
        };
        self.stamp_expired(&mut draft);
        self.stamp_cursors(turn, &mut draft);
        let visits = core::mem::take(&mut self.gathered.visits);
        for visit in &visits {
            self.stamp_visit(turn, &mut draft, visit);
        }
        self.gathered.recycle(visits);
        // Behind all RECORDS: no target stands in the entry that erases it.
        draft.writer.erase(draft.erased.drain(..));
        self.propose(turn, draft);
    }

    /// Gives the draft to Raft, or takes everything back.
    fn propose(&mut self, turn: &mut Turn<'_>, draft: Draft) {
        let Draft {
            by,
            writer,
            mut acks,
            parked,
            ..
        } = draft;
        let mut payload = writer.finish();
        if payload.capacity() > payload.len() + SLACK_BYTES_MAX {
            // Much of what was gathered was refused: the hot tail counts lengths, not capacities.
            payload.shrink_to_fit();
        }
        let Role::Running(replica) = &mut self.role else {
            panic!("INV-HOME-41: only a partition that runs proposes");
        };
        if payload.is_empty() {
            self.overlay.roll_back();
            self.proposals.recycle(acks);
            assert!(
                parked.is_empty(),
                "INV-HOME-25: nothing waits for an empty entry"
            );
            return;
        }
        turn.desk.stats.proposals += 1;
        match replica.propose(payload) {
            Ok((index, term)) => {
                let staging = self.overlay.keep();
                if planted(Bug::AckBeforeSync) {
                    acks.drain(..)
                        .for_each(|(edge, ack)| turn.desk.ack(edge, ack));
                }
                self.proposals.push(Pending {
                    by,
                    index,
                    term,
                    staging,
                    acks,
                    parked,
                });
            }
            Err(why) => {
                if !planted(Bug::OverlayKept) {
                    self.overlay.roll_back();
                }
                self.unpropose_cursors(Some(by), turn.now.mono_ms);
                turn.desk.stats.proposals_dropped += 1;
                let code = if why == NotProposed::Dropped {
                    Code::UNAVAILABLE
                } else {
                    Code::INTERNAL
                };
                refuse_acks(turn, &acks, code);
                self.proposals.recycle(acks);
                self.held.extend(parked);
            }
        }
    }

    fn stamp_visit(&mut self, turn: &mut Turn<'_>, draft: &mut Draft, visit: &Visit) {
        let named = (visit.channel.namespace(), visit.channel.name().clone());
        let room = self.overlay.named(&self.state, &named);
        let at = room.map(|room| {
            (
                room,
                self.overlay
                    .head(&self.state, room)
                    .unwrap_or_else(|| head_at_start(room)),
            )
        });
        let mut run = Run {
            named,
            at,
            is_open: false,
        };
        for batch in &visit.batches {
            self.stamp_batch(turn, draft, &mut run, &visit.channel, batch);
        }
        if let (true, Some((room, head))) = (run.is_open, run.at) {
            let written = draft.writer.end_records();
            assert!(
                written.next == head.seq.next(),
                "INV-HOME-26: the head staged is that of the last record written"
            );
            self.overlay.stage_head(room, head);
        }
    }

    fn stamp_batch(
        &mut self,
        turn: &mut Turn<'_>,
        draft: &mut Draft,
        run: &mut Run,
        channel: &Arc<RoomChannel>,
        batch: &PublishBatch,
    ) {
        if self.targets.park_behind(channel, batch) {
            return;
        }
        let mut publisher: Option<Publisher> = None;
        let age = Age {
            forgotten: self.state.forgotten(),
            time: draft.time,
        };
        for (place, publish) in batch.publishes.iter().enumerate() {
            let asker = Asker {
                edge: batch.edge,
                conn: batch.conn,
                request: publish.request,
            };
            if let Err((code, hint)) = form(
                publish.kind,
                publish.headers_len,
                publish.body_len,
                &turn.settings.limits,
            ) {
                turn.desk.refuse(asker, Refused::Publish, code, hint);
                continue;
            }
            if publisher
                .as_ref()
                .is_none_or(|publisher| publisher.producer != publish.producer)
            {
                self.stage(publisher.take(), run, batch);
                publisher = Some(self.publisher(run, publish.producer, batch));
            }
            let Some(publisher) = &mut publisher else {
                continue;
            };
            let verdict = window(
                &publisher.known,
                publish.producer,
                publish.producer_seq,
                age,
            );
            match self.claims(verdict, draft, run, batch, publish) {
                Verdict::Admit { previous } => match self.full(turn, run, previous, publish) {
                    None => self.stamp(draft, run, publisher, previous, batch, publish),
                    Some((code, hint)) => self.judge(turn, asker, code, hint),
                },
                Verdict::Refuse(code, hint) => self.judge(turn, asker, code, hint),
                Verdict::Wait(by) => self.park(draft, by, channel, batch, publish),
                Verdict::Look(target) => {
                    self.park_rest(turn, run, target, channel, batch, place);
                    break;
                }
                Verdict::Duplicate(state) => {
                    let (room, _) = run
                        .at
                        .expect("INV-HOME-36: a committed producer has a committed room");
                    self.duplicate(turn, room, state, batch, publish);
                }
            }
        }
        self.stage(publisher, run, batch);
    }

    fn publisher(&self, run: &Run, producer: Producer, batch: &PublishBatch) -> Publisher {
        let sender = batch.sender.as_bytes();
        let room = run.at.map(|(room, _)| room);
        let known = room.map_or_else(Known::default, |room| Known {
            committed: self.state.producer(room, producer, sender),
            staged: self.overlay.producer(room, producer, sender),
        });
        Publisher {
            room,
            producer,
            known,
            is_moved: false,
            is_new: false,
        }
    }

    /// Stages what a publisher has moved on to.
    fn stage(&mut self, publisher: Option<Publisher>, run: &Run, batch: &PublishBatch) {
        let (Some(publisher), Some((room, _))) = (publisher, run.at) else {
            return;
        };
        if let (true, Some(staged)) = (publisher.is_moved, publisher.known.staged) {
            assert!(
                publisher.room.is_none_or(|known| known == room),
                "INV-HOME-27: a publisher is staged in its room"
            );
            self.overlay.stage_producer(
                room,
                publisher.producer,
                batch.sender.clone(),
                staged.value,
            );
            if publisher.is_new {
                self.overlay.stage_start();
            }
        }
    }

    /// What there is no place for: the record itself if the disk is full, or one more room, producer or erased record at the limit of the partition. Told before
    /// anything is committed: the codes leave the number bound, and the same bytes may be admitted later.
    fn full(
        &self,
        turn: &Turn<'_>,
        run: &Run,
        previous: Option<Seq>,
        publish: &PublishRequest,
    ) -> Option<(Code, u64)> {
        let HomeSettings {
            rooms_max,
            producers_max,
            erased_max,
            ..
        } = turn.settings;
        let is_redact = RecordKind::from_wire(publish.kind) == RecordKind::REDACT;
        if turn.exchange.is_storage_full() {
            Some((Code::STORAGE_FULL, 0))
        } else if run.at.is_none() && self.overlay.room_count(&self.state) >= *rooms_max {
            Some((Code::LIMIT, *rooms_max as u64))
        } else if previous.is_none() && self.overlay.producer_count(&self.state) >= *producers_max {
            Some((Code::LIMIT, *producers_max as u64))
        } else if is_redact && self.overlay.erased_count(&self.state) >= *erased_max {
            Some((Code::LIMIT, *erased_max as u64))
        } else {
            None
        }
    }

    /// Builds one record at the end of the draft.
    fn stamp(
        &mut self,
        draft: &mut Draft,
        run: &mut Run,
        publisher: &mut Publisher,
        previous: Option<Seq>,
        batch: &PublishBatch,
        publish: &PublishRequest,
    ) {
        let (room, mut head) = self.open_run(draft, run);
        let kind = RecordKind::from_wire(publish.kind);
        head.seq = head.seq.next();
        head.count.0 += u64::from(kind.counts());
        head.time = draft.time;
        let back = previous.map_or(0, |previous| {
            u32::try_from(head.seq.0 - previous.0).unwrap_or(0)
        });
        head.link = draft.writer.record(&RecordFields {
            room_id: room,
            seq: head.seq,
            count: head.count,
            time: head.time,
            producer: publish.producer,
            producer_seq: publish.producer_seq,
            back,
            device: batch.device,
            kind,
            codec: publish.codec,
            record_flags: 0,
            sender: batch.sender.as_bytes(),
            headers: batch.headers(publish),
            body: batch.body(publish),
        });
        dawdle(batch.body(publish));
        if kind == RecordKind::REDACT {
            let target = target_of(batch, publish);
            self.overlay.stage_erase(room, target);
            draft.erased.push((room, target));
        }
        run.at = Some((room, head));
        let state = ProducerState {
            last: publish.producer_seq,
            seq: head.seq,
            time: head.time,
        };
        publisher.known.staged = Some(Staged {
            value: Some(state),
            by: draft.by,
        });
        publisher.is_moved = true;
        publisher.is_new |= previous.is_none();
        let ack = Ack {
            conn: batch.conn,
            request: publish.request,
            room,
            producer_seq: publish.producer_seq,
            seq: head.seq,
            link: head.link,
            time: head.time,
            duplicate: false,
            quiet: publish.quiet,
        };
        draft.acks.push((batch.edge, ack));
    }

    /// The run's room and head, created and opened if need be.
    fn open_run(&mut self, draft: &mut Draft, run: &mut Run) -> (RoomId, Head) {
        let (room, head) = run.at.unwrap_or_else(|| {
            let slot = Slot::of(run.named.0, &run.named.1);
            let counter = self.overlay.counter(&self.state, slot) + 1;
            let room = RoomId::new(slot, counter)
                .expect("INV-HOME-28: 2^52 rooms are not made in a slot's life");
            draft.writer.room(room, run.named.0, run.named.1.as_bytes());
            self.overlay.stage_room(run.named.clone(), room);
            (room, head_at_start(room))
        });
        if !run.is_open {
            let link = match planted(Bug::LinkPerEntry) {
                true => head_at_start(room).link,
                false => head.link,
            };
            draft
                .writer
                .begin_records(room, head.seq.next(), head.count, link);
            run.is_open = true;
        }
        (room, head)
    }

    /// Lets one publish wait for a proposal; it is looked at again when that is applied or gone.
    fn park(
        &mut self,
        draft: &mut Draft,
        by: Proposal,
        channel: &Arc<RoomChannel>,
        batch: &PublishBatch,
        publish: &PublishRequest,
    ) {
        let parked = (Arc::clone(channel), part_of(batch, &[*publish]));
        if by == draft.by {
            draft.parked.push(parked);
        } else if let Err(parked) = self.proposals.park(by, parked) {
            // It was applied within this turn: look again in the next one.
            self.held.push_back(parked);
        }
    }

    /// Lets the publishes of a batch from `place` on wait until it is known who published `target`: they go on in order.
    fn park_rest(
        &mut self,
        turn: &mut Turn<'_>,
        run: &Run,
        target: Seq,
        channel: &Arc<RoomChannel>,
        batch: &PublishBatch,
        place: usize,
    ) {
        let (room, _) = run
            .at
            .expect("INV-HOME-58: a target that is looked for is in a room");
        let rest = part_of(batch, &batch.publishes[place..]);
        self.park_for_target(turn, room, target, (Arc::clone(channel), rest));
    }
}

/// Some of a batch's publishes, as a batch of their own.
fn part_of(batch: &PublishBatch, publishes: &[PublishRequest]) -> PublishBatch {
    PublishBatch {
        publishes: publishes.to_vec(),
        ..batch.clone()
    }
}
