//! One subscription, over all its connections.

use antiphon_protocol::{self as protocol, RequestId, RoomName, Subscribe, Subscribed, Wants};

use crate::error::{SubscribeError, Violation};
use crate::options::Bounds;
use crate::planted::{Bug, planted};
use crate::record::{Delivery, Position};
use crate::session::chain::Chain;
use crate::session::input::Mono;
use crate::session::readers::beside::Beside;
use crate::subscription::{Follow, RoomHead, Start};

/// Where the subscription goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    /// Where the broker says, the first time.
    Start(Start),
    /// The room does not exist yet, so whatever comes first is its first record.
    NoRoom,
    /// Behind a position that the application gave and the broker has not confirmed.
    Behind(Position),
    /// Behind what was checked.
    Checked(Chain),
}

/// What is under way for it on the connection at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    /// A SUBSCRIBE is to be sent.
    Wanted,
    /// A SUBSCRIBE was sent; what comes before its answer belongs to an older subscription.
    Asked(RequestId),
    /// The room does not exist yet; a second answer with this id comes when it does.
    NoRoom(RequestId),
    /// Records come.
    Live,
    /// The application's buffer is full; an UNSUBSCRIBE was sent, what still comes is dropped.
    Paused,
    /// Refused for now.
    Held(Mono),
}

/// A subscription of the application.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) room: RoomName,
    pub(crate) place: Place,
    pub(crate) phase: Phase,
    /// Refusals in a row.
    pub(crate) refusals: u32,
    /// The application was told that it stands.
    pub(crate) is_announced: bool,
    pub(crate) wants: Wants,
    pub(crate) beside: Beside,
    bounds: Bounds,
    held_records: u32,
    held_bytes: u64,
}

impl Reader {
    pub(crate) fn new(room: RoomName, follow: Follow, bounds: Bounds) -> Reader {
        let place = match follow.start {
            Start::After(position) => Place::Behind(position),
            Start::Beginning => Place::Behind(Position::BEGINNING),
            start @ (Start::Live | Start::Last(_) | Start::Time(_) | Start::Cursor(_)) => {
                Place::Start(start)
            }
        };
        Reader {
            room,
            place,
            phase: Phase::Wanted,
            refusals: 0,
            is_announced: false,
            wants: follow.wants,
            beside: Beside::default(),
            bounds,
            held_records: 0,
            held_bytes: 0,
        }
    }

    /// The request that makes it go on.
    pub(crate) fn subscribe(&self) -> Subscribe<'_> {
        let wants = self.wants;
        Subscribe {
            wants,
            ..self.subscribe_records()
        }
    }

    fn subscribe_records(&self) -> Subscribe<'_> {
        let name = (&self.room).into();
        match &self.place {
            Place::Start(Start::Cursor(cursor)) => {
                Subscribe::new(name, protocol::Start::Cursor(cursor.as_str()))
            }
            &Place::Start(Start::Last(n)) => Subscribe::new(name, protocol::Start::Last(n)),
            &Place::Start(Start::Time(time)) => Subscribe::new(name, protocol::Start::Time(time)),
            Place::Start(_) => Subscribe::new(name, protocol::Start::Live),
            Place::NoRoom => Subscribe::new(name, after(Position::BEGINNING)),
            &Place::Behind(position) => Subscribe::new(name, after(position)),
            Place::Checked(chain) if planted(Bug::ResumesLate) => {
                let late = protocol::Start::After {
                    seq: chain.position().seq.next(),
                    link: protocol::Link(0),
                };
                Subscribe::new(chain.room_id().into(), late)
            }
            Place::Checked(chain) => {
                Subscribe::new(chain.room_id().into(), after(chain.position()))
            }
        }
    }

    /// The broker's answer: the chain from here on.
    ///
    /// # Errors
    /// The answer does not continue what was read before.
    pub(crate) fn place_at(&mut self, subscribed: &Subscribed<'_>) -> Result<(), SubscribeError> {
        let next = subscribed.next_seq;
        let diverged = SubscribeError::Diverged {
            head: subscribed.head_seq,
        };
        let position = match self.place {
            Place::Start(_) => Position {
                seq: next.previous(),
                link: subscribed.link,
            },
            Place::NoRoom => Position::BEGINNING,
            Place::Behind(position) => position,
            Place::Checked(chain) if chain.room_id() != subscribed.room_id => return Err(diverged),
            Place::Checked(_) if planted(Bug::ResumesLate) => Position {
                seq: next.previous(),
                link: subscribed.link,
            },
            Place::Checked(chain) => chain.position(),
        };
        if next != position.seq.next() {
            let expected = position.seq.next();
            return Err(SubscribeError::Protocol(Violation::Order {
                expected,
                got: next,
            }));
        }
        let chain =
            Chain::new(subscribed.room_id, position, subscribed.link).map_err(|_| diverged)?;
        self.place = Place::Checked(chain);
        Ok(())
    }

    /// What was checked so far, once it was placed.
    pub(crate) fn chain(&mut self) -> Option<&mut Chain> {
        match &mut self.place {
            Place::Checked(chain) => Some(chain),
            Place::Start(_) | Place::NoRoom | Place::Behind(_) => None,
        }
    }

    /// Behind what it goes on, as far as that is known.
    pub(crate) fn position(&self) -> Position {
        match self.place {
            Place::Start(_) | Place::NoRoom => Position::BEGINNING,
            Place::Behind(position) => position,
            Place::Checked(chain) => chain.position(),
        }
    }

    /// Counts a delivery; true: the application's buffer is full.
    pub(crate) fn hold(&mut self, delivery: &Delivery) -> bool {
        self.held_records += 1;
        self.held_bytes += delivery.held_bytes();
        self.held_records >= self.bounds.subscription_records
            || self.held_bytes >= self.bounds.subscription_bytes
    }

    /// The application took deliveries; true: half of its buffer is free.
    pub(crate) fn release(&mut self, records: u32, bytes: u64) -> bool {
        assert!(
            self.held_records >= records && self.held_bytes >= bytes,
            "INV-SDK-8: more deliveries were taken than given"
        );
        self.held_records -= records;
        self.held_bytes -= bytes;
        self.held_records <= self.bounds.subscription_records / 2
            && self.held_bytes <= self.bounds.subscription_bytes / 2
    }
}

fn after(position: Position) -> protocol::Start<'static> {
    protocol::Start::After {
        seq: position.seq,
        link: position.link,
    }
}

/// The room as the application learns it.
pub(crate) fn room_head(subscribed: &Subscribed<'_>) -> RoomHead {
    RoomHead {
        room_id: (subscribed.room_id.0 != 0).then_some(subscribed.room_id),
        head: Position {
            seq: subscribed.head_seq,
            link: subscribed.head_link,
        },
        count: subscribed.head_count,
        time: subscribed.head_time,
        first_seq: subscribed.first_seq,
        producer_seq: subscribed.producer_seq,
    }
}
