//! SIGNAL: something for those who are in a room now.
//!
//! A signal without a key costs what a delivery costs: one step through the room's live list and one clone of shared bytes. It is queued only where
//! there is much room, so a slow reader loses signals before anything else, and is told how many. Of signals with a key the newest value waits for
//! those who could not take it, shared by all of them: nobody has a queue.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use antiphon_protocol::limits::{
    ROOM_SIGNALS_WAITING_MAX, SIGNAL_WAIT_MS_MAX, SIGNALS_BURST_MAX, SIGNALS_PER_SECOND_MAX,
};
use antiphon_protocol::{Code, ErrorFrame, RequestId, Signal, SignalPush, UserName, next_frame};
use bytes::Bytes;

use super::Edge;
use super::handouts::Handouts;
use super::rooms::SubState;
use crate::core::ConnId;
use crate::lane::{Message, SignalIn, SignalOut, Ticket, ToHome};
use crate::limits::{SIGNAL_RETRY_MS, SIGNALS_OWED_PER_TURN};

/// Parts of a millisecond that the pace counts in: a signal's share of a second is a whole number of them.
const PARTS: u32 = 8;
/// A signal's share of a second.
const SHARE: u32 = 1_000 * PARTS / SIGNALS_PER_SECOND_MAX;
const _: () = assert!(SHARE * SIGNALS_PER_SECOND_MAX == 1_000 * PARTS);
/// What a bucket holds.
const BUCKET: u32 = SHARE * SIGNALS_BURST_MAX;

/// How fast a connection may signal: a bucket that is full after a pause.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct SignalPace {
    /// When the bucket is full again, in parts of a ms, counted modulo 2^32: 6 days. A time further ahead than a bucket lasts lies in the past.
    full_at: u32,
}

impl SignalPace {
    /// Takes one signal; or says after how many ms it may come.
    fn take(&mut self, now_ms: u64) -> Result<(), u32> {
        // The low bits are meant.
        let now = (now_ms as u32).wrapping_mul(PARTS);
        let missing = self.full_at.wrapping_sub(now);
        let missing = if missing > BUCKET {
            SHARE
        } else {
            missing + SHARE
        };
        if missing > BUCKET {
            return Err((missing - BUCKET).div_ceil(PARTS));
        }
        self.full_at = now.wrapping_add(missing);
        Ok(())
    }
}

/// What is owed to subscriptions that could not take a signal at once.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Subscriptions that lost some and have not been told; each once.
    owed: VecDeque<(u32, Ticket)>,
    /// Signals that not everybody was offered yet.
    pub(super) handouts: Handouts,
    /// Newest values that wait, by room, oldest first. <= ROOM_SIGNALS_WAITING_MAX a room
    waiting: BTreeMap<u32, Vec<Waiting>>,
    /// When to look again; `None`: nothing is owed.
    look_at_ms: Option<u64>,
}

/// The newest value of one (sender, name, key) of a room.
#[derive(Debug)]
struct Waiting {
    identity: Vec<u8>,
    frame: Bytes,
    until_ms: u64,
    /// Who could not take it.
    subs: Vec<(u32, Ticket)>,
}

impl Signals {
    pub(super) fn deadline(&self) -> Option<u64> {
        self.look_at_ms
    }

    pub(super) fn has_handouts(&self) -> bool {
        !self.handouts.is_empty()
    }

    fn look_soon(&mut self, now_ms: u64) {
        let at_ms = now_ms + SIGNAL_RETRY_MS;
        self.look_at_ms = Some(self.look_at_ms.unwrap_or(at_ms));
    }
}

impl Edge {
    /// A SIGNAL came.
    pub(super) fn signal(&mut self, conn: ConnId, id: RequestId, signal: &Signal<'_>) {
        let now_ms = self.now.mono_ms;
        let Some(room) = self.room_key(signal.room) else {
            return;
        };
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        if let Err(retry_after_ms) = open.signals.take(now_ms) {
            let error = ErrorFrame {
                hint: u64::from(SIGNALS_PER_SECOND_MAX),
                retry_after_ms,
                ..ErrorFrame::new(Code::LIMIT)
            };
            return self.answer_error(conn, id, &error);
        }
        let (name, key) = (signal.name.as_bytes(), signal.key);
        let message = SignalIn {
            conn,
            request: id,
            namespace: open.namespace,
            room,
            sender: UserName::clone(&open.user),
            device: open.device,
            content: Bytes::from([name, key, signal.value].concat()),
            name_len: u8::try_from(name.len())
                .expect("INV-EDGE-20: the decoder bounds names and keys"),
            key_len: u8::try_from(key.len())
                .expect("INV-EDGE-20: the decoder bounds names and keys"),
        };
        let home = self.home_of(message.namespace, &message.room);
        self.send(home, Message::ToHome(ToHome::Signal(message.into())));
    }

    /// Home sends a signal, or the news that some were lost.
    pub(super) fn signalled(&mut self, signal: &SignalOut) {
        let Some(room) = self.rooms.find_id(signal.room) else {
            return;
        };
        if self.rooms.room(room).listeners == 0 {
            return;
        }
        self.hand_out(room, signal);
    }

    /// Offers a signal to these subscriptions of a room; the newest value of a key waits for those who cannot take it now.
    pub(super) fn offer_to(
        &mut self,
        room: u32,
        signal: &SignalOut,
        identity: Option<&[u8]>,
        subs: &[(u32, Ticket)],
    ) {
        let mut late = Vec::new();
        for &(sub, ticket) in subs {
            if !self.rooms.is_current(sub, ticket) {
                continue;
            }
            self.lose(sub, signal.lost);
            if signal.frame.is_empty() {
                continue;
            }
            let is_live = matches!(self.rooms.sub(sub).state, SubState::Live { .. });
            if !is_live || !self.offer_signal(sub, &signal.frame) {
                late.push(sub);
            }
        }
        match identity {
            Some(identity) if !late.is_empty() => {
                self.keep_value(room, identity, signal.frame.clone(), &late)
            }
            _ => late.iter().for_each(|&sub| self.lose(sub, 1)),
        }
    }

    /// Queues a signal for a live subscription that wants it. `false`: it has no room.
    fn offer_signal(&mut self, sub: u32, frame: &Bytes) -> bool {
        let entry = self.rooms.sub(sub);
        let (conn, dropped) = (entry.conn, entry.dropped);
        if !self.has_room_for_signal(conn, frame.len()) {
            return false;
        }
        if dropped == 0 {
            self.conns.push(conn, frame.clone());
        } else if let Ok(Some(whole)) = next_frame(frame, u32::MAX)
            && let Ok(push) = SignalPush::decode(whole)
        {
            self.conns
                .write(conn, |out| SignalPush { dropped, ..push }.encode(out));
            self.rooms.sub_mut(sub).dropped = 0;
        }
        self.stats.signals += 1;
        true
    }

    fn has_room_for_signal(&self, conn: ConnId, bytes: usize) -> bool {
        let bytes_max = self.settings.limits.budgets.outbox_scarce_bytes();
        self.conns
            .get(conn)
            .is_some_and(|conn| conn.outbox.is_empty() || conn.outbox.len() + bytes <= bytes_max)
    }

    /// A subscription that wants signals lost so many.
    fn lose(&mut self, sub: u32, count: u32) {
        let entry = self.rooms.sub_mut(sub);
        if count == 0 || !entry.wants.signals {
            return;
        }
        entry.dropped = entry.dropped.saturating_add(count);
        self.stats.signals_dropped += u64::from(count);
        if !core::mem::replace(&mut entry.is_owed, true) {
            let ticket = entry.ticket;
            self.signals.owed.push_back((sub, ticket));
            self.signals.look_soon(self.now.mono_ms);
        }
    }

    /// A newer value has come: nobody waits for the older one.
    pub(super) fn forget_value(&mut self, room: u32, identity: &[u8]) {
        if let Some(waiting) = self.signals.waiting.get_mut(&room) {
            waiting.retain(|value| value.identity != identity);
        }
    }

    /// The same value may come in slices of its receivers: it waits once, for all of them.
    fn keep_value(&mut self, room: u32, identity: &[u8], frame: Bytes, late: &[u32]) {
        let until_ms = self.now.mono_ms + SIGNAL_WAIT_MS_MAX;
        let subs = late.iter().map(|&sub| (sub, self.rooms.sub(sub).ticket));
        let subs: Vec<_> = subs.collect();
        let waiting = self.signals.waiting.entry(room).or_default();
        let mut known = waiting.iter_mut();
        if let Some(value) = known.find(|value| value.identity == identity) {
            value.subs.extend(subs);
            return;
        }
        let oldest =
            (waiting.len() >= ROOM_SIGNALS_WAITING_MAX as usize).then(|| waiting.remove(0));
        waiting.push(Waiting {
            identity: identity.to_vec(),
            frame,
            until_ms,
            subs,
        });
        self.signals.look_soon(self.now.mono_ms);
        if let Some(oldest) = oldest {
            self.give_up(oldest);
        }
    }

    /// A value waited in vain.
    fn give_up(&mut self, value: Waiting) {
        for (sub, ticket) in value.subs {
            if self.rooms.is_current(sub, ticket) {
                self.lose(sub, 1);
            }
        }
    }

    /// Once in a while: gives those who can take it what is owed to them.
    pub(super) fn settle_signals(&mut self) {
        let now_ms = self.now.mono_ms;
        if self.signals.look_at_ms.is_none_or(|at_ms| now_ms < at_ms) {
            return;
        }
        self.signals.look_at_ms = None;
        for (room, values) in core::mem::take(&mut self.signals.waiting) {
            let mut kept = Vec::new();
            for mut value in values {
                value
                    .subs
                    .retain(|&(sub, ticket)| !self.settle_value(sub, ticket, &value.frame));
                if value.subs.is_empty() {
                    continue;
                }
                if now_ms >= value.until_ms {
                    self.give_up(value);
                } else {
                    kept.push(value);
                }
            }
            if !kept.is_empty() {
                self.signals.waiting.insert(room, kept);
            }
        }
        for _ in 0..self.signals.owed.len().min(SIGNALS_OWED_PER_TURN) {
            let Some((sub, ticket)) = self.signals.owed.pop_front() else {
                break;
            };
            if self.rooms.is_current(sub, ticket) && !self.settle_owed(sub) {
                self.signals.owed.push_back((sub, ticket));
            }
        }
        if !self.signals.owed.is_empty() || !self.signals.waiting.is_empty() {
            self.signals.look_soon(now_ms);
        }
    }

    /// Gives a waiting value to a subscription. `true`: nothing is left to do.
    fn settle_value(&mut self, sub: u32, ticket: Ticket, frame: &Bytes) -> bool {
        if !self.rooms.is_current(sub, ticket) {
            return true;
        }
        let is_live = matches!(self.rooms.sub(sub).state, SubState::Live { .. });
        is_live && self.offer_signal(sub, frame)
    }

    /// Tells a subscription what it lost, unless a signal has done so. `true`: it is told.
    fn settle_owed(&mut self, sub: u32) -> bool {
        let entry = *self.rooms.sub(sub);
        if entry.dropped > 0 {
            let is_live = matches!(entry.state, SubState::Live { .. });
            let Some(room_id) = self.rooms.room(entry.room).id else {
                return true;
            };
            if !is_live || !self.has_room_for_signal(entry.conn, 64) {
                return false;
            }
            let push = SignalPush {
                room_id,
                dropped: entry.dropped,
                signal: None,
            };
            self.conns.write(entry.conn, |out| push.encode(out));
        }
        let entry = self.rooms.sub_mut(sub);
        (entry.dropped, entry.is_owed) = (0, false);
        true
    }
}

/// What tells the values of a room apart: lengths and bytes of sender, name and key.
pub(super) fn identity_of(frame: &Bytes) -> Vec<u8> {
    let Some(push) = next_frame(frame, u32::MAX)
        .ok()
        .flatten()
        .and_then(|whole| SignalPush::decode(whole).ok())
    else {
        return Vec::new();
    };
    let Some(signal) = push.signal else {
        return Vec::new();
    };
    let mut identity = Vec::new();
    for part in [signal.sender.as_bytes(), signal.name.as_bytes(), signal.key] {
        identity.extend_from_slice(&part.len().to_le_bytes());
        identity.extend_from_slice(part);
    }
    identity
}
