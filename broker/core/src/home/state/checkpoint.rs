//! The body of a checkpoint: the state as bytes. docs/log-format.md, "Checkpoint body", has the tables.
//!
//! Canonical: one state has one encoding, whatever path led to it, so replicas can compare checkpoints. Decoding is total and checks every relation
//! that apply relies on; a body that breaks one is refused as a whole and the older checkpoint is tried.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_log::{Index, Term};
use antiphon_protocol::limits::CURSOR_NAME_BYTES_MAX;
use antiphon_protocol::{
    Count, CursorScope, Link, Namespace, Producer, ProducerSeq, RoomId, RoomName, Seq, Slot,
    Timestamp, UserName,
};

use crate::home::cursors::Cursor;
use crate::home::limits::SEQ_END;
use crate::home::state::{ProducerState, Room, State};
use crate::lane::Head;
use crate::planted::{Bug, planted};

/// Version of a body without cursors and erased records: brokers that know no other can open a directory in which nobody ever set or redacted one.
const BODY_VERSION: u32 = 1;
/// Version of a body with cursors or erased records.
const BODY_VERSION_BESIDE: u32 = 2;
/// Length of the head of the body.
const HEAD_BYTES: usize = 40;
/// Length of the head of a section.
const SECTION_BYTES: usize = 16;

/// Numbers of the sections, in the order in which they stand. A number never changes meaning; an unknown one is refused.
mod section {
    /// `slot u16 | 6 bytes = 0 | counter u64`
    pub(super) const COUNTERS: u32 = 1;
    /// `room id u64 | seq u64 | count u64 | link u64 | time u64 | namespace u32 | name_len u8 | name`
    pub(super) const ROOMS: u32 = 2;
    /// `room id u64 | producer u64 | last u64 | seq u64 | time u64 | sender_len u8 | sender`
    pub(super) const PRODUCERS: u32 = 3;
    /// `room id u64 | seq u64 | count u64 | time u64 | scope u8 | name_len u8 | user_len u8 | name | user`
    pub(super) const CURSORS: u32 = 4;
    /// `room id u64 | seq u64`
    pub(super) const ERASED: u32 = 5;
}

/// Why bytes are not the body of a checkpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CheckpointFault {
    /// Shorter or longer than its counts say.
    #[error("the body's length contradicts its counts")]
    Length,
    /// Written by another version.
    #[error("body version {0} is not known")]
    Version(u32),
    /// A section is missing, unknown or out of order.
    #[error("section {0} does not belong here")]
    Section(u32),
    /// A value that apply could not have made.
    #[error("a {0} contradicts the rest")]
    Value(&'static str),
}

impl State {
    /// The state as bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        let has_beside = self.cursors.len() > 0 || self.erased.len() > 0;
        let version = if has_beside {
            BODY_VERSION_BESIDE
        } else {
            BODY_VERSION
        };
        out.extend_from_slice(&version.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        put_all(
            &mut out,
            &[self.applied.0, self.term.0, self.time.0, self.forgotten.0],
        );
        put_section(&mut out, section::COUNTERS, self.counters.len());
        for (slot, counter) in &self.counters {
            put_all(&mut out, &[u64::from(slot.0), *counter]);
        }
        put_section(&mut out, section::ROOMS, self.rooms.len());
        for (id, room) in &self.rooms {
            let head = &room.head;
            put_all(
                &mut out,
                &[id.0, head.seq.0, head.count.0, head.link.0, head.time.0],
            );
            out.extend_from_slice(&room.namespace.0.to_le_bytes());
            put_name(&mut out, room.name.as_bytes());
        }
        put_section(&mut out, section::PRODUCERS, self.producers.len());
        for (room, producer, sender, state) in self.producers.iter() {
            put_all(
                &mut out,
                &[room.0, producer.0, state.last.0, state.seq.0, state.time.0],
            );
            put_name(&mut out, sender.as_bytes());
        }
        if has_beside {
            self.encode_cursors(&mut out);
            self.encode_erased(&mut out);
        }
        out
    }

    fn encode_cursors(&self, out: &mut Vec<u8>) {
        put_section(out, section::CURSORS, self.cursors.len());
        for (room, user, cursor) in self.cursors.iter() {
            put_all(out, &[room.0, cursor.seq.0, cursor.count.0, cursor.time.0]);
            let (name, user) = (cursor.name.as_bytes(), user.as_bytes());
            out.extend_from_slice(&[cursor.scope, name.len() as u8, user.len() as u8]);
            out.extend_from_slice(name);
            out.extend_from_slice(user);
        }
    }

    fn encode_erased(&self, out: &mut Vec<u8>) {
        put_section(out, section::ERASED, self.erased.len());
        for (room, seq) in self.erased.iter() {
            put_all(out, &[room.0, seq.0]);
        }
    }

    fn encoded_bytes(&self) -> usize {
        HEAD_BYTES
            + 5 * SECTION_BYTES
            + 16 * self.counters.len()
            + 80 * self.rooms.len()
            + 64 * self.producers.len()
            + 64 * self.cursors.len()
            + 16 * self.erased.len()
    }

    /// Reads the state that the entry `(index, term)` left.
    ///
    /// # Errors
    /// See [`CheckpointFault`]. Any bytes are answered, none panic.
    pub(crate) fn decode(
        body: &[u8],
        index: Index,
        term: Term,
        seed: u64,
    ) -> Result<State, CheckpointFault> {
        let mut input = Input { rest: body };
        let version = input.u32()?;
        if version != BODY_VERSION && version != BODY_VERSION_BESIDE {
            return Err(CheckpointFault::Version(version));
        }
        if input.u32()? != 0 {
            return Err(CheckpointFault::Value("reserved field"));
        }
        let mut state = State::new(seed);
        state.applied = Index(input.u64()?);
        state.term = Term(input.u64()?);
        state.time = Timestamp(input.u64()?);
        if (state.applied, state.term) != (index, term) {
            return Err(CheckpointFault::Value("position"));
        }
        state.forgotten = Timestamp(input.u64()?);
        let newest = Producer::new(state.forgotten, 0);
        let has_left = state.time > newest.kept_until(Timestamp(0));
        if state.forgotten != Timestamp(0) && (newest.birth() != state.forgotten || !has_left) {
            return Err(CheckpointFault::Value("birth forgotten"));
        }
        state.decode_counters(&mut input)?;
        state.decode_rooms(&mut input)?;
        state.decode_producers(&mut input)?;
        if version == BODY_VERSION_BESIDE {
            state.decode_cursors(&mut input)?;
            state.decode_erased(&mut input)?;
            if state.cursors.len() + state.erased.len() == 0 {
                return Err(CheckpointFault::Version(version));
            }
        }
        if planted(Bug::ProducersForgotten) {
            state.producers.clear();
        }
        if planted(Bug::CheckpointAhead) {
            state.applied = index.next();
        }
        if !input.rest.is_empty() {
            return Err(CheckpointFault::Length);
        }
        Ok(state)
    }

    fn decode_counters(&mut self, input: &mut Input<'_>) -> Result<(), CheckpointFault> {
        const WRONG: CheckpointFault = CheckpointFault::Value("counter");
        let mut previous = None;
        for _ in 0..input.section(section::COUNTERS)? {
            let slot = Slot(u16::try_from(input.u64()?).map_err(|_| WRONG)?);
            let counter = input.u64()?;
            let is_lawful = RoomId::new(slot, counter).is_some() && previous < Some(slot);
            if !is_lawful {
                return Err(WRONG);
            }
            previous = Some(slot);
            self.counters.insert(slot, counter);
        }
        Ok(())
    }

    fn decode_rooms(&mut self, input: &mut Input<'_>) -> Result<(), CheckpointFault> {
        const WRONG: CheckpointFault = CheckpointFault::Value("room");
        let mut previous = None;
        for _ in 0..input.section(section::ROOMS)? {
            let id = RoomId(input.u64()?);
            let head = Head {
                seq: Seq(input.u64()?),
                count: Count(input.u64()?),
                link: Link(input.u64()?),
                time: Timestamp(input.u64()?),
            };
            let namespace = Namespace(input.u32()?);
            let name = RoomName::try_from(input.name()?).map_err(|_| WRONG)?;
            let is_given = id.counter() != 0 && id.counter() <= self.counter(id.slot());
            let is_lawful =
                is_given && id.slot() == Slot::of(namespace, &name) && previous < Some(id);
            let is_reached = head.seq.0 < SEQ_END;
            let is_head = is_reached && head.count.0 <= head.seq.0 && head.time <= self.time;
            if !is_lawful || !is_head || self.names.insert((namespace, name.clone()), id).is_some()
            {
                return Err(WRONG);
            }
            previous = Some(id);
            let head = match planted(Bug::HeadLinkLost) {
                true => Head {
                    link: Link::start(id),
                    ..head
                },
                false => head,
            };
            self.rooms.insert(
                id,
                Room {
                    namespace,
                    name,
                    head,
                },
            );
        }
        Ok(())
    }

    fn decode_cursors(&mut self, input: &mut Input<'_>) -> Result<(), CheckpointFault> {
        const WRONG: CheckpointFault = CheckpointFault::Value("cursor");
        let mut previous: Option<(RoomId, UserName, Box<str>)> = None;
        for _ in 0..input.section(section::CURSORS)? {
            let room = RoomId(input.u64()?);
            let (seq, count) = (Seq(input.u64()?), Count(input.u64()?));
            let time = Timestamp(input.u64()?);
            let lengths = input.take(3)?;
            let (scope, name_len, user_len) = (lengths[0], lengths[1], lengths[2]);
            let name = input.take(usize::from(name_len))?;
            let user = UserName::try_from(input.take(usize::from(user_len))?).map_err(|_| WRONG)?;
            let head = self.rooms.get(&room).ok_or(WRONG)?.head;
            let is_named = (1..=CURSOR_NAME_BYTES_MAX).contains(&name.len());
            let name: Box<str> = core::str::from_utf8(name).map_err(|_| WRONG)?.into();
            let is_lawful = is_named
                && seq >= Seq(1)
                && seq <= head.seq
                && count.0 <= seq.0.min(head.count.0)
                && time <= self.time
                && scope <= CursorScope::MEMBERS.wire();
            let key = Some((room, user.clone(), name.clone()));
            if !is_lawful || previous >= key {
                return Err(WRONG);
            }
            previous = key;
            let cursor = Cursor {
                name,
                seq,
                count,
                time,
                scope,
            };
            self.cursors.set(room, user, cursor);
        }
        Ok(())
    }

    fn decode_erased(&mut self, input: &mut Input<'_>) -> Result<(), CheckpointFault> {
        const WRONG: CheckpointFault = CheckpointFault::Value("erased record");
        let mut previous: Option<(RoomId, Seq)> = None;
        for _ in 0..input.section(section::ERASED)? {
            let (room, seq) = (RoomId(input.u64()?), Seq(input.u64()?));
            let head = self.rooms.get(&room).ok_or(WRONG)?.head;
            let is_there = seq >= Seq::FIRST && seq <= head.seq;
            if !is_there || previous >= Some((room, seq)) || !self.erased.mark(room, seq) {
                return Err(WRONG);
            }
            previous = Some((room, seq));
        }
        Ok(())
    }

    fn decode_producers(&mut self, input: &mut Input<'_>) -> Result<(), CheckpointFault> {
        const WRONG: CheckpointFault = CheckpointFault::Value("producer");
        let mut previous: Option<(RoomId, Producer, UserName)> = None;
        for _ in 0..input.section(section::PRODUCERS)? {
            let room = RoomId(input.u64()?);
            let producer = Producer(input.u64()?);
            let state = ProducerState {
                last: ProducerSeq(input.u64()?),
                seq: Seq(input.u64()?),
                time: Timestamp(input.u64()?),
            };
            let sender = UserName::try_from(input.name()?).map_err(|_| WRONG)?;
            let head = self.rooms.get(&room).ok_or(WRONG)?.head;
            let is_lawful = state.last.0 >= 1
                && state.last.0 <= state.seq.0
                && state.seq <= head.seq
                && state.time <= head.time;
            let key = Some((room, producer, sender.clone()));
            if !is_lawful || previous >= key {
                return Err(WRONG);
            }
            previous = key;
            self.producers.insert(room, producer, sender, state);
        }
        Ok(())
    }
}

fn put_all(out: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn put_section(out: &mut Vec<u8>, number: u32, count: usize) {
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &[u8]) {
    out.push(u8::try_from(name.len()).expect("INV-HOME-9: lawful names have at most 255 bytes"));
    out.extend_from_slice(name);
}

/// What is left of the body.
struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], CheckpointFault> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(CheckpointFault::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, CheckpointFault> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<4>()
            .ok_or(CheckpointFault::Length)?;
        self.rest = rest;
        Ok(u32::from_le_bytes(*bytes))
    }

    fn u64(&mut self) -> Result<u64, CheckpointFault> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk::<8>()
            .ok_or(CheckpointFault::Length)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn name(&mut self) -> Result<&'a [u8], CheckpointFault> {
        let length = self.take(1)?[0];
        self.take(usize::from(length))
    }

    /// The head of the next section, which must have this number: how many entries it has. Nothing is allocated for the count.
    fn section(&mut self, number: u32) -> Result<u64, CheckpointFault> {
        let found = self.u32()?;
        if found != number || self.u32()? != 0 {
            return Err(CheckpointFault::Section(found));
        }
        self.u64()
    }
}
