//! Who published the records that edits and redacts refer to, where memory does not tell.
//!
//! A publish whose target only the log has waits for a reader thread, and all that its connection publishes to that room waits behind it: its numbers
//! go on in order. What was read is remembered for a while; the publishes are then looked at again from the start, for much may have happened.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_protocol::{Code, Record, RecordKind, RoomId, Seq, UserName};

use crate::channel::{PublishBatch, RoomChannel};
use crate::core::{ConnId, CoreId};
use crate::home::desk::Turn;
use crate::home::limits::{TARGET_LOOKS_MAX, TARGETS_KNOWN_MAX};
use crate::home::partition::Partition;
use crate::home::partition::proposals::{Parked, refuse_batch};
use crate::home::partition::slicing::Found;
use crate::home::reads::{Purpose, Reading};
use crate::home::records::records;
use crate::read::{HomeRead, ReadFailure, ReadRecords};

/// What matters of a target. A record never changes in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Author {
    pub(super) sender: UserName,
    kind: RecordKind,
}

impl Author {
    /// That of the first record of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> Option<Author> {
        let record: Record<'_> = records(bytes).next()?.ok()?;
        Some(Author {
            sender: UserName::try_from(record.sender().as_bytes()).ok()?,
            kind: record.kind(),
        })
    }

    /// Whether it is of a kind that can be edited: a message, or an application's own.
    pub(super) fn is_original(&self) -> bool {
        self.kind.is_served() && !self.kind.refers()
    }
}

/// A target that is looked for.
#[derive(Debug)]
struct Looking {
    room: RoomId,
    seq: Seq,
    /// `None`: not asked for yet.
    read: Option<HomeRead>,
    /// In order. Bounded, with all others, by the publishes in flight of all connections.
    parked: Vec<Parked>,
}

impl Looking {
    fn is_of(&self, edge: CoreId, conn: ConnId, channel: &Arc<RoomChannel>) -> bool {
        self.parked.iter().any(|(known, batch)| {
            batch.edge == edge && batch.conn == conn && Arc::ptr_eq(known, channel)
        })
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Oldest first; `None`: it cannot be read.
    known: VecDeque<(RoomId, Seq, Option<Author>)>,
    /// In the order in which they were wanted.
    looking: Vec<Looking>,
}

impl Targets {
    /// Nobody waits for a target.
    pub(super) fn is_idle(&self) -> bool {
        self.looking.is_empty()
    }

    /// What was read of a target: `None`, nothing was tried; `Some(None)`: it cannot be read.
    pub(super) fn find(&self, room: RoomId, seq: Seq) -> Option<&Option<Author>> {
        self.known
            .iter()
            .rev()
            .find(|(known_room, known_seq, _)| (*known_room, *known_seq) == (room, seq))
            .map(|(_, _, author)| author)
    }

    /// Takes a batch if its connection waits for a target in this room already. `false`: it does not.
    pub(super) fn park_behind(&mut self, channel: &Arc<RoomChannel>, batch: &PublishBatch) -> bool {
        let behind = self
            .looking
            .iter_mut()
            .find(|looking| looking.is_of(batch.edge, batch.conn, channel));
        let Some(looking) = behind else {
            return false;
        };
        looking.parked.push((Arc::clone(channel), batch.clone()));
        true
    }

    fn remember(&mut self, room: RoomId, seq: Seq, author: Option<Author>) {
        if self.known.len() >= TARGETS_KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((room, seq, author));
    }

    fn take_read(&mut self, read: HomeRead) -> Option<Looking> {
        let at = self
            .looking
            .iter()
            .position(|looking| looking.read == Some(read))?;
        Some(self.looking.remove(at))
    }

    /// The next one to ask for, if one more may be.
    fn next(&self) -> Option<usize> {
        let under_way = self.looking.iter().filter(|looking| looking.read.is_some());
        if under_way.count() >= TARGET_LOOKS_MAX {
            return None;
        }
        self.looking
            .iter()
            .position(|looking| looking.read.is_none())
    }
}

impl Partition {
    /// Lets a batch wait until it is known who published this record.
    pub(super) fn park_for_target(
        &mut self,
        turn: &mut Turn<'_>,
        room: RoomId,
        seq: Seq,
        parked: Parked,
    ) {
        let looked_for = self
            .targets
            .looking
            .iter_mut()
            .find(|looking| (looking.room, looking.seq) == (room, seq));
        match looked_for {
            Some(looking) => looking.parked.push(parked),
            None => self.targets.looking.push(Looking {
                room,
                seq,
                read: None,
                parked: alloc::vec![parked],
            }),
        }
        self.look_for_targets(turn);
    }

    fn look_for_targets(&mut self, turn: &mut Turn<'_>) {
        while let Some(at) = self.targets.next() {
            let Looking { room, seq, .. } = self.targets.looking[at];
            let Found::Cold(sought) = self.find_records(room, seq, seq.next(), 1) else {
                // It was let go meanwhile: those who wait are told so when they are looked at again.
                let looking = self.targets.looking.remove(at);
                self.held.extend(looking.parked);
                continue;
            };
            let reading = Reading {
                partition: self.number,
                purpose: Purpose::Target,
            };
            let read = turn.read_for_home(reading, sought);
            self.targets.looking[at].read = Some(read);
        }
    }

    /// A reader thread has answered: all who wait for this target are looked at again, or told why that is no use.
    pub(crate) fn target_read(
        &mut self,
        turn: &mut Turn<'_>,
        read: HomeRead,
        result: Result<ReadRecords, ReadFailure>,
    ) {
        let Looking {
            room, seq, parked, ..
        } = self
            .targets
            .take_read(read)
            .expect("INV-HOME-43: a reader answers what home asked, once");
        let found = match result {
            Ok(read) => Author::of(&read.records),
            Err(ReadFailure::Damaged) => None,
            Err(ReadFailure::Busy | ReadFailure::Gone) => {
                for (_, batch) in &parked {
                    refuse_batch(turn, batch, Code::UNAVAILABLE, 0);
                }
                return self.look_for_targets(turn);
            }
        };
        self.targets.remember(room, seq, found);
        self.held.extend(parked);
        self.look_for_targets(turn);
    }
}
