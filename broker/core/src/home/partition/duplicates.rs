//! Answering retries: what took effect is told again, and nothing takes effect twice.
//!
//! The state knows a producer's newest number only; where an older one stands, and what it was, is found by hopping back through its records (see
//! `window`), in memory or through a reader thread. All retries of a producer that come meanwhile wait for one window.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use antiphon_protocol::RecordKind;
use antiphon_protocol::{Code, Link, ProducerSeq, RoomId, Seq, Timestamp, publish_digest};

use crate::channel::{PublishBatch, PublishRequest};
use crate::home::desk::{Asker, Turn};
use crate::home::limits::{LOOK_BACK_SEQS, LOOK_UP_BYTES_MAX, WINDOWS_MAX};
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::reads::{Purpose, Reading, Sought, WindowKey};
use crate::home::state::ProducerState;
use crate::home::window::{Placed, Window};
use crate::lane::{Ack, Refused};
use crate::read::{HomeRead, ReadFailure, ReadRecords};

/// A retry that waits for its producer's window.
#[derive(Clone, Copy, Debug)]
struct Retry {
    asker: Asker,
    producer_seq: ProducerSeq,
    digest: u32,
    quiet: bool,
}

/// A window that is being resolved.
#[derive(Debug)]
struct Resolving {
    key: WindowKey,
    window: Window,
    /// Lowest number that a retry asks for.
    want: ProducerSeq,
    retries: Vec<Retry>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Resolved, oldest first.
    windows: VecDeque<(WindowKey, Window)>,
    /// Each waits for one read; bounded by the publishes in flight of all connections.
    resolving: Vec<(HomeRead, Resolving)>,
}

impl Duplicates {
    /// No retry waits.
    pub(super) fn is_idle(&self) -> bool {
        self.resolving.is_empty()
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
        let fits = |resolving: &Resolving| {
            resolving.key == key && resolving.window.covers(retry.producer_seq)
        };
        let resolving = self
            .duplicates
            .resolving
            .iter_mut()
            .map(|(_, resolving)| resolving);
        if let Some(resolving) = resolving.into_iter().find(|resolving| fits(resolving)) {
            resolving.want = resolving.want.min(retry.producer_seq);
            resolving.retries.push(retry);
            return;
        }
        if let Some(window) = self.duplicates.find(&key)
            && let Some(placed) = window.find(retry.producer_seq)
        {
            let placed = *placed;
            return answer(turn, room, &retry, Some(placed));
        }
        let known = self
            .duplicates
            .take(&key)
            .filter(|window| window.covers(retry.producer_seq));
        let window = known.unwrap_or_else(|| Window::new(publish.producer, state));
        let resolving = Resolving {
            key,
            window,
            want: retry.producer_seq,
            retries: alloc::vec![retry],
        };
        self.resolve(turn, resolving);
    }

    /// Hops on as far as memory reaches; then a reader thread is asked, or all retries are answered.
    fn resolve(&mut self, turn: &mut Turn<'_>, mut resolving: Resolving) {
        let depth_max = depth_max(turn);
        let room = resolving.key.0;
        while let Some(hop) = resolving.window.next_hop(resolving.want, depth_max) {
            match self.find_records(room, hop, hop.next(), 1) {
                Found::Hot(_) => {
                    let Some((bytes, first)) = self.hot_part(room, hop) else {
                        break;
                    };
                    let hopped = resolving
                        .window
                        .hop(&bytes, first, resolving.want, depth_max);
                    assert!(
                        hopped.is_ok(),
                        "INV-HOME-30: distances lead to the producer's records: {hopped:?}"
                    );
                }
                Found::Cold(_) => return self.look_up(turn, resolving, hop),
                Found::Missing(_) => resolving.window.end(),
            }
        }
        self.resolved(turn, resolving);
    }

    /// Asks a reader thread for the record `hop` and some before it, where the producer's earlier ones probably are.
    fn look_up(&mut self, turn: &mut Turn<'_>, resolving: Resolving, hop: Seq) {
        let early = Seq(hop.0.saturating_sub(LOOK_BACK_SEQS).max(1));
        match self.find_records(resolving.key.0, early, hop.next(), LOOK_UP_BYTES_MAX) {
            Found::Cold(sought) => self.ask(turn, resolving, sought),
            _ => self.look_at(turn, resolving, hop, early),
        }
    }

    fn ask(&mut self, turn: &mut Turn<'_>, resolving: Resolving, sought: Sought) {
        let reading = Reading {
            partition: self.number,
            purpose: Purpose::Window,
        };
        let read = turn.read_for_home(reading, sought);
        self.duplicates.resolving.push((read, resolving));
    }

    /// A reader thread has answered a look-up that started at `from`.
    pub(crate) fn window_read(
        &mut self,
        turn: &mut Turn<'_>,
        read: HomeRead,
        from: Seq,
        result: Result<ReadRecords, ReadFailure>,
    ) {
        let Some(at) = self
            .duplicates
            .resolving
            .iter()
            .position(|(number, _)| *number == read)
        else {
            return;
        };
        let (_, mut resolving) = self.duplicates.resolving.remove(at);
        let depth_max = depth_max(turn);
        let before = resolving.window.next_hop(resolving.want, depth_max);
        match result {
            Ok(read) => {
                if resolving
                    .window
                    .hop(&read.records, read.first, resolving.want, depth_max)
                    .is_err()
                {
                    resolving.window.end();
                }
            }
            Err(ReadFailure::Busy) => {
                for retry in &resolving.retries {
                    turn.desk
                        .refuse(retry.asker, Refused::Publish, Code::UNAVAILABLE, 0);
                }
                return;
            }
            Err(ReadFailure::Damaged | ReadFailure::Gone) => {}
        }
        match resolving.window.next_hop(resolving.want, depth_max) {
            // The slice was full, or unreadable, before it came to the record sought: exactly that one next.
            Some(hop) if before == Some(hop) => self.look_at(turn, resolving, hop, from),
            _ => self.resolve(turn, resolving),
        }
    }

    /// Asks a reader thread for exactly the record `hop`, unless that was `tried`.
    fn look_at(&mut self, turn: &mut Turn<'_>, mut resolving: Resolving, hop: Seq, tried: Seq) {
        match self.find_records(resolving.key.0, hop, hop.next(), 1) {
            Found::Cold(sought) if tried != hop => self.ask(turn, resolving, sought),
            Found::Hot(_) => self.resolve(turn, resolving),
            _ => {
                resolving.window.end();
                self.resolved(turn, resolving);
            }
        }
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
            answer(turn, key.0, retry, window.find(retry.producer_seq).copied());
        }
        self.duplicates.keep(key, window);
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
        (placed.seq, placed.link, placed.time)
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
