//! A follower: subscribes to rooms, takes what comes, fast or slowly, and sometimes begins again where it stands.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use antiphon_client::{Client as Sdk, Position, Start, SubscribeError, Subscription, Violation};

use super::seat::{Seat, delivered, room_name};
use super::stage::Part;
use crate::history::{self, Link, Op, Room, Seq, What, Why};

/// How a follower reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    /// Records that its SDK may hold for each room; few of them make it pause and resume.
    pub(crate) held_records: u32,
    /// Between two rounds; a long pause is a slow reader.
    pub(crate) pause: Duration,
    /// Most records of a room in one round.
    pub(crate) bite: usize,
    /// A room is subscribed to anew in one of so many rounds.
    pub(crate) roams_one_in: u64,
}

/// The heads of all rooms, which followers are to come to.
#[derive(Debug, Default)]
pub(crate) struct Heads {
    /// Told once nobody publishes any more.
    told: OnceLock<BTreeMap<Room, u64>>,
    arrived: AtomicUsize,
}

impl Heads {
    /// Nothing is published any more, and this is where rooms end.
    pub(crate) fn tell(&self, heads: BTreeMap<Room, u64>) {
        // Told twice, the first time counts.
        let _ = self.told.set(heads);
    }

    /// Followers that stand at the head of each of their rooms.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.load(Ordering::Acquire)
    }
}

/// Between two looks when nothing comes.
const IDLE: Duration = Duration::from_millis(2);

#[derive(Debug)]
struct Following {
    op: Op,
    subscription: Subscription,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Follower {
    seat: Seat,
    taste: Taste,
    heads: Arc<Heads>,
    sdk: Option<Sdk>,
    following: BTreeMap<Room, Following>,
    /// Where it stands in rooms that it has read.
    stands: BTreeMap<Room, Position>,
}

impl Follower {
    pub(crate) fn new(seat: Seat, taste: Taste, heads: Arc<Heads>) -> Self {
        Self {
            seat,
            taste,
            heads,
            sdk: None,
            following: BTreeMap::new(),
            stands: BTreeMap::new(),
        }
    }

    /// Follows until the run is over, or until it stands at every head.
    pub(crate) fn run(mut self) {
        while !self.seat.is_at(Part::Over) && !self.is_at_heads() {
            let part = self.seat.stage.part();
            let has_moved = self.round(part);
            let pause = match part {
                Part::Work => self.taste.pause,
                _ if has_moved => Duration::ZERO,
                _ => IDLE,
            };
            self.seat.stage.rest(pause, part);
        }
        self.heads.arrived.fetch_add(1, Ordering::Release);
        // Subscriptions stay open in the history until it is settled: they are to stand at the head.
        while !self.seat.is_at(Part::Over) {
            self.seat.stage.rest(Duration::from_secs(1), Part::Finish);
        }
    }

    fn is_at_heads(&self) -> bool {
        self.heads.told.get().is_some_and(|heads| {
            self.seat.rooms.iter().all(|room| {
                let head = heads.get(room).copied().unwrap_or(0);
                let stands = self.following.get(room);
                stands.is_some_and(|one| one.subscription.position().seq.0 >= head)
            })
        })
    }

    /// Takes what there is of each room; true: something came.
    fn round(&mut self, part: Part) -> bool {
        if self.seat.takes_crash() && self.sdk.is_some() {
            self.cut_off();
        }
        if self.sdk.is_none() {
            let options = self.seat.options();
            let options = options.subscription_bounds(self.taste.held_records, 256 * 1024);
            self.sdk = self.seat.connect(&options);
        }
        let mut has_moved = false;
        for room in self.seat.rooms.clone() {
            let roams = part == Part::Work && self.seat.dice.one_in(self.taste.roams_one_in);
            if roams && let Some(old) = self.following.remove(&room) {
                self.seat.note(What::Ended { sub: old.op });
            }
            if !self.following.contains_key(&room) && !self.subscribe(room) {
                return has_moved;
            }
            has_moved |= self.take(room, part);
        }
        has_moved
    }

    /// True: the room is followed, or will be tried again; false: the client is gone.
    fn subscribe(&mut self, room: Room) -> bool {
        let Some(sdk) = &self.sdk else { return false };
        let start = match self.stands.get(&room) {
            Some(position) => Start::After(*position),
            None => self.first_start(),
        };
        let op = self.seat.journal.op();
        self.seat.note(What::Subscribe {
            op,
            room,
            start: start_seen(start),
        });
        match sdk.subscribe(&room_name(room), start) {
            Ok(subscription) => {
                let next = subscription.position();
                self.seat.note(What::Subscribed {
                    op,
                    head: Seq(subscription.head().head.seq.0),
                    next: Seq(next.seq.0).next(),
                    link: Link(next.link.0),
                });
                self.following.insert(room, Following { op, subscription });
                true
            }
            Err(error) => {
                let is_gone = self.seat.failed(op, &error);
                if is_gone {
                    self.cut_off();
                }
                !is_gone
            }
        }
    }

    fn first_start(&self) -> Start {
        // The choice is the client's, so that a new session chooses as the old one did.
        match self.seat.client.0 % 3 {
            0 => Start::Beginning,
            1 => Start::Live,
            _ => Start::Last(10),
        }
    }

    fn take(&mut self, room: Room, part: Part) -> bool {
        let bite = if part == Part::Work {
            self.taste.bite
        } else {
            usize::MAX
        };
        let mut taken = 0;
        while taken < bite {
            let Some(one) = self.following.get_mut(&room) else {
                break;
            };
            match one.subscription.next_timeout(Duration::ZERO) {
                Ok(None) => break,
                Ok(Some(delivery)) => {
                    taken += 1;
                    let what = delivered(one.op, &delivery);
                    if let Some(position) = delivery.position() {
                        self.stands.insert(room, position);
                    }
                    self.seat.note(what);
                }
                Err(error) => {
                    self.ended(room, &error);
                    break;
                }
            }
        }
        taken > 0
    }

    /// The subscription is over; what the SDK refused is noted as what it is.
    fn ended(&mut self, room: Room, error: &SubscribeError) {
        let Some(one) = self.following.remove(&room) else {
            return;
        };
        let stands = one.subscription.position();
        let broken = |seq: antiphon_client::Seq, why| What::Broken {
            sub: one.op,
            seq: Seq(seq.0),
            why,
        };
        match error {
            SubscribeError::Protocol(Violation::Link(seq)) => {
                self.seat.note(broken(*seq, Why::Link));
            }
            SubscribeError::Protocol(Violation::Checksum(seq)) => {
                self.seat.note(broken(*seq, Why::Sum));
            }
            _ => {}
        }
        self.seat.note(What::Ended { sub: one.op });
        if let SubscribeError::Diverged { head } = error {
            // The SDK asked to go on from there, and was refused.
            let op = self.seat.journal.op();
            let (seq, link) = (Seq(stands.seq.0), Link(stands.link.0));
            let start = history::Start::After { seq, link };
            self.seat.note(What::Subscribe { op, room, start });
            let code = antiphon_client::Code::DIVERGED.wire();
            let hint = head.0;
            self.seat.note(What::Failed { op, code, hint });
        }
        if matches!(error, SubscribeError::Closed(_)) {
            self.cut_off();
        }
    }

    fn cut_off(&mut self) {
        self.sdk = None;
        self.following.clear();
        self.seat.note(What::Disconnected);
    }
}

fn start_seen(start: Start) -> history::Start {
    match start {
        Start::Live => history::Start::Live,
        Start::Last(count) => history::Start::Last(count),
        Start::After(position) => history::Start::After {
            seq: Seq(position.seq.0),
            link: Link(position.link.0),
        },
        Start::Beginning => history::Start::After {
            seq: Seq(0),
            link: Link(0),
        },
        _ => unreachable!("no follower begins at a time or a cursor: histories cannot tell it"),
    }
}
