//! Answering retries: what took effect is told again, and nothing takes effect twice.
//!
//! The state knows a producer's newest number only; where an older one stands, and what it was, is found by hopping back through its records (see
//! `window`), in memory or through a reader thread. All retries of a producer that come meanwhile wait for one window. Look-ups of a partition are
//! few at a time, and a turn walks over so many records only: the others wait in a row, and one that needs several look-ups goes to its end after
//! each, so that nobody's retries hold up everybody's for long.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use antiphon_protocol::RecordKind;
use antiphon_protocol::{Code, Link, ProducerSeq, RoomId, Seq, Timestamp, publish_digest};

use crate::channel::{PublishBatch, PublishRequest};
use crate::home::desk::{Asker, Turn};
use crate::home::limits::{LOOK_BACK_SEQS, LOOK_UP_BYTES_MAX, WINDOWS_MAX};
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::reads::{Purpose, Reading, WindowKey};
use crate::home::state::ProducerState;
use crate::home::window::{Placed, Window};
use crate::lane::{Ack, Refused};
use crate::planted::{Bug, planted};
use crate::read::{HomeRead, ReadFailure, ReadRecords};

/// A retry that waits for its producer's window.
#[derive(Clone, Copy, Debug)]
struct Retry {
    asker: Asker,
    producer_seq: ProducerSeq,
    digest: u32,
    quiet: bool,
}

/// Whose window, and the number at which it starts: a later retry may need one that starts above.
type ResolvingKey = (WindowKey, ProducerSeq);

/// A window that is being resolved.
#[derive(Debug)]
struct Resolving {
    key: WindowKey,
    window: Window,
    /// Lowest number that a retry asks for.
    want: ProducerSeq,
    retries: Vec<Retry>,
    /// A look-up that started before this record did not come to it: exactly this one next.
    missed: Option<Seq>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Resolved, oldest first.
    windows: VecDeque<(WindowKey, Window)>,
    /// Each is in one of the two lists below; bounded by the publishes in flight of all connections.
    resolving: BTreeMap<ResolvingKey, Resolving>,
    /// Those that a reader thread was asked for.
    reading: Vec<(HomeRead, ResolvingKey)>,
    /// Those that wait until fewer are asked for, or for the next turn; in the order of their turns.
    waiting: VecDeque<ResolvingKey>,
    /// How many records may still be walked over in this turn.
    records_left: usize,
}

impl Duplicates {
    /// No retry waits.
    pub(super) fn is_idle(&self) -> bool {
        self.resolving.is_empty()
    }

    /// Whether something could go on at once, in another turn.
    pub(super) fn has_more(&self, look_ups_max: usize) -> bool {
        !self.waiting.is_empty() && self.reading.len() < look_ups_max
    }

    /// What is being resolved and reaches up to this number.
    fn covering(&mut self, key: &WindowKey, producer_seq: ProducerSeq) -> Option<&mut Resolving> {
        let lowest = (key.clone(), producer_seq);
        let (found, resolving) = self.resolving.range_mut(lowest..).next()?;
        (found.0 == *key).then_some(resolving)
    }

    fn keep_resolving(&mut self, resolving: Resolving) -> ResolvingKey {
        let key = (resolving.key.clone(), resolving.window.top());
        let before = self.resolving.insert(key.clone(), resolving);
        assert!(
            before.is_none(),
            "INV-HOME-37: a window is resolved once at a time"
        );
        key
    }

    fn postpone(&mut self, resolving: Resolving) {
        let key = self.keep_resolving(resolving);
        self.waiting.push_back(key);
    }

    /// The next one that may go on now.
    fn next(&mut self, look_ups_max: usize) -> Option<Resolving> {
        if self.records_left == 0 || self.reading.len() >= look_ups_max {
            return None;
        }
        let key = self.waiting.pop_front()?;
        self.resolving.remove(&key)
    }

    /// One hop was made over so many records.
    fn walked(&mut self, records: usize) {
        self.records_left = self.records_left.saturating_sub(records.max(1));
    }

    fn take_read(&mut self, read: HomeRead) -> Option<Resolving> {
        let at = self.reading.iter().position(|(known, _)| *known == read)?;
        let (_, key) = self.reading.swap_remove(at);
        self.resolving.remove(&key)
    }

    fn find(&self, key: &WindowKey) -> Option<&Window> {
        self.windows
            .iter()
            .rev()
            .find(|(known, _)| known == key)
            .map(|(_, window)| window)
    }

    fn take(&mut self, key: &WindowKey) -> Option<Window> {
        let at = self.windows.iter().position(|(known, _)| known == key)?;
        self.windows.remove(at).map(|(_, window)| window)
    }

    fn keep(&mut self, key: WindowKey, window: Window) {
        if self.windows.len() >= WINDOWS_MAX {
            self.windows.pop_front();
        }
        self.windows.push_back((key, window));
    }
}

impl Partition {
    /// Answers a publish that took effect before; `state` is what is committed of its producer.
    pub(super) fn duplicate(
        &mut self,
        turn: &mut Turn<'_>,
        room: RoomId,
        state: ProducerState,
        batch: &PublishBatch,
        publish: &PublishRequest,
    ) {
        let asker = Asker {
            edge: batch.edge,
            conn: batch.conn,
            request: publish.request,
        };
        let kind = RecordKind::from_wire(publish.kind);
        let digest = publish_digest(
            kind,
            publish.codec,
            batch.headers(publish),
            batch.body(publish),
        );
        let retry = Retry {
            asker,
            producer_seq: publish.producer_seq,
            digest,
            quiet: publish.quiet,
        };
        if state.last.0 - publish.producer_seq.0 >= u64::from(turn.settings.limits.in_flight_max) {
            return answer(turn, room, &retry, None);
        }
        let key = (room, publish.producer, batch.sender.clone());
        if let Some(resolving) = self.duplicates.covering(&key, retry.producer_seq) {
            resolving.want = resolving.want.min(retry.producer_seq);
            resolving.retries.push(retry);
            return;
        }
        if let Some(window) = self.duplicates.find(&key)
            && let Some(placed) = window.find(retry.producer_seq)
        {
            let placed = self.as_readers_know(room, *placed);
            return answer(turn, room, &retry, Some(placed));
        }
        let known = self
            .duplicates
            .take(&key)
            .filter(|window| retry.producer_seq <= window.top());
        let window = known.unwrap_or_else(|| Window::new(publish.producer, state));
        let resolving = Resolving {
            key,
            window,
            want: retry.producer_seq,
            retries: alloc::vec![retry],
            missed: None,
        };
        self.resolve(turn, resolving);
    }

    /// A new turn: what waits goes on.
    pub(super) fn look_up_more(&mut self, turn: &mut Turn<'_>) {
        self.duplicates.records_left = turn.settings.look_up_records_max;
        self.look_up_waiting(turn);
    }

    fn look_up_waiting(&mut self, turn: &mut Turn<'_>) {
        while let Some(resolving) = self.duplicates.next(turn.settings.look_ups_max) {
            self.resolve(turn, resolving);
        }
    }

    /// Hops on as far as memory reaches; then a reader thread is asked, or all retries are answered.
    fn resolve(&mut self, turn: &mut Turn<'_>, mut resolving: Resolving) {
        let depth_max = depth_max(turn);
        let room = resolving.key.0;
        while let Some(hop) = resolving.window.next_hop(resolving.want, depth_max) {
            if self.duplicates.records_left == 0 {
                return self.duplicates.postpone(resolving);
            }
            match self.find_records(room, hop, hop.next(), 1) {
                Found::Hot(_) => {
                    let Some((bytes, first)) = self.hot_part(room, hop) else {
                        break;
                    };
                    let hopped = resolving
                        .window
                        .hop(&bytes, first, resolving.want, depth_max);
                    match hopped {
                        Ok(walked) => self.duplicates.walked(walked),
                        Err(fault) => panic!(
                            "INV-HOME-30: distances lead to the producer's records: {fault:?}"
                        ),
                    }
                }
                Found::Cold(_) => return self.look_up(turn, resolving, hop),
                Found::Missing(_) => resolving.window.end(),
            }
        }
        self.resolved(turn, resolving);
    }

    /// Asks a reader thread for the record `hop` and some before it, where the producer's earlier ones probably are; waits if too many are asked for.
    fn look_up(&mut self, turn: &mut Turn<'_>, mut resolving: Resolving, hop: Seq) {
        if self.duplicates.reading.len() >= turn.settings.look_ups_max {
            return self.duplicates.postpone(resolving);
        }
        let room = resolving.key.0;
        let early = match resolving.missed {
            Some(missed) if missed == hop => hop,
            _ => Seq(hop.0.saturating_sub(LOOK_BACK_SEQS).max(1)),
        };
        let mut found = self.find_records(room, early, hop.next(), LOOK_UP_BYTES_MAX);
        if !matches!(found, Found::Cold(_)) {
            found = self.find_records(room, hop, hop.next(), 1);
        }
        let Found::Cold(sought) = found else {
            resolving.window.end();
            return self.resolved(turn, resolving);
        };
        let reading = Reading {
            partition: self.number,
            purpose: Purpose::Window,
        };
        let read = turn.read_for_home(reading, sought);
        let key = self.duplicates.keep_resolving(resolving);
        self.duplicates.reading.push((read, key));
    }

    /// A reader thread has answered a look-up that started at `from`.
    pub(crate) fn window_read(
        &mut self,
        turn: &mut Turn<'_>,
        read: HomeRead,
        from: Seq,
        result: Result<ReadRecords, ReadFailure>,
    ) {
        let resolving = self
            .duplicates
            .take_read(read)
            .expect("INV-HOME-43: a reader answers what home asked, once");
        if result.as_ref().err() == Some(&ReadFailure::Busy) {
            for retry in &resolving.retries {
                turn.desk
                    .refuse(retry.asker, Refused::Publish, Code::UNAVAILABLE, 0);
            }
        } else {
            let resolving = self.looked_up(turn, resolving, from, result.ok());
            if self.duplicates.waiting.is_empty() {
                self.resolve(turn, resolving);
            } else {
                self.duplicates.postpone(resolving);
            }
        }
        self.look_up_waiting(turn);
    }

    /// Takes what was read; `None`: it cannot be read.
    fn looked_up(
        &mut self,
        turn: &Turn<'_>,
        mut resolving: Resolving,
        from: Seq,
        read: Option<ReadRecords>,
    ) -> Resolving {
        let depth_max = depth_max(turn);
        let Resolving { window, want, .. } = &mut resolving;
        let before = window.next_hop(*want, depth_max);
        if let Some(read) = read {
            match window.hop(&read.records, read.first, *want, depth_max) {
                Ok(walked) => self.duplicates.walked(walked),
                Err(_) => window.end(),
            }
        }
        if before.is_some() && before == window.next_hop(*want, depth_max) {
            // The slice was full, or unreadable, before it came to the record sought.
            if before == Some(from) {
                window.end();
            }
            resolving.missed = before;
        }
        resolving
    }

    /// The window reaches as far as it can: all its retries are answered.
    fn resolved(&mut self, turn: &mut Turn<'_>, resolving: Resolving) {
        let Resolving {
            key,
            window,
            retries,
            ..
        } = resolving;
        for retry in &retries {
            let placed = window.find(retry.producer_seq);
            let placed = placed.map(|placed| self.as_readers_know(key.0, *placed));
            answer(turn, key.0, retry, placed);
        }
        self.duplicates.keep(key, window);
    }

    /// Of a record that was redacted only the place is known, also where its bytes are at hand.
    fn as_readers_know(&self, room: RoomId, placed: Placed) -> Placed {
        match self.state.erased().has(room, placed.seq) {
            true => Placed {
                digest: None,
                ..placed
            },
            false => placed,
        }
    }
}

fn depth_max(turn: &Turn<'_>) -> usize {
    turn.settings.limits.in_flight_max as usize
}

/// Tells a retry what took effect the first time; `None`: that is no longer known.
fn answer(turn: &mut Turn<'_>, room: RoomId, retry: &Retry, placed: Option<Placed>) {
    let known = placed.and_then(|placed| placed.digest);
    if known.is_some_and(|digest| digest != retry.digest) {
        return turn
            .desk
            .refuse(retry.asker, Refused::Publish, Code::PRODUCER_CONFLICT, 0);
    }
    let (seq, link, time) = placed.map_or((Seq(0), Link(0), Timestamp(0)), |placed| {
        let seq = match planted(Bug::DuplicateNext) {
            true => placed.seq.next(),
            false => placed.seq,
        };
        (seq, placed.link, placed.time)
    });
    let Asker {
        edge,
        conn,
        request,
    } = retry.asker;
    let ack = Ack {
        conn,
        request,
        room,
        producer_seq: retry.producer_seq,
        seq,
        link,
        time,
        duplicate: true,
        quiet: retry.quiet,
    };
    turn.desk.ack(edge, ack);
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::RequestId;

    use super::*;
    use crate::channel::Exchange;
    use crate::core::Output;
    use crate::core::{ConnId, CoreId, Now};
    use crate::home::desk::Desk;
    use crate::home::tests::world::settings;
    use crate::lane::{Message, ToEdge};

    /// Whether a retry of `digest` is acked, as a duplicate, or refused.
    fn is_acked(digest: u32, placed: Option<Placed>) -> bool {
        let settings = settings(1);
        let exchange = Exchange::new(1);
        let mut desk = Desk::new(1);
        let now = Now {
            mono_ms: 0,
            wall: Timestamp(0),
        };
        let mut turn = Turn {
            now,
            settings: &settings,
            exchange: &exchange,
            desk: &mut desk,
        };
        let conn = ConnId {
            slot: 1,
            generation: 1,
        };
        let asker = Asker {
            edge: CoreId(0),
            conn,
            request: RequestId(1),
        };
        let retry = Retry {
            asker,
            producer_seq: ProducerSeq(1),
            digest,
            quiet: false,
        };
        answer(&mut turn, RoomId(1), &retry, placed);
        desk.flush_acks();
        let Some(Output::Lane {
            message: Message::ToEdge(message),
            ..
        }) = desk.poll()
        else {
            panic!("an answer")
        };
        match message {
            ToEdge::Acks(acks) => {
                acks[0].duplicate && acks[0].seq == placed.map_or(Seq(0), |placed| placed.seq)
            }
            ToEdge::Reject(reject) => {
                assert_eq!(reject.code, Code::PRODUCER_CONFLICT);
                false
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_retry_of_an_erased_record_is_a_duplicate_of_it() {
        let placed = |digest| Placed {
            seq: Seq(3),
            link: Link(4),
            time: Timestamp(5),
            digest,
        };
        assert!(is_acked(7, Some(placed(Some(7)))));
        assert!(!is_acked(7, Some(placed(Some(8)))));
        assert!(is_acked(7, Some(placed(None))));
        assert!(is_acked(7, None));
    }
}
