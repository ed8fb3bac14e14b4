//! A room, followed.

use std::time::{Duration, Instant};

use antiphon_protocol::{Count, ProducerSeq, RoomId, Seq, Timestamp, Wants};

use crate::cursor::CursorName;
use crate::driver::Feed;
use crate::error::SubscribeError;
use crate::record::{Delivery, Position};

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Start {
    /// Only what is published from now on.
    Live,
    /// Behind a position, checked against its link.
    After(Position),
    /// The newest `n` records, then what follows.
    Last(u64),
    /// The oldest record kept, then everything.
    Beginning,
    /// The first record whose time, as the broker stamped it, is at or above this one; none: only what is published from now on.
    Time(Timestamp),
    /// Behind my cursor with this name, as the broker has it committed; there is none: from the beginning.
    Cursor(CursorName),
}

/// What a subscription brings: the records from a start on, and what else was asked for.
///
/// Wherever one is asked for, a [`Start`] alone means records alone.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # let client = broker.client("ann");
/// use antiphon_client::{Delivery, Follow, Signal, Start};
///
/// # client.publish("lobby", "hello")?;
/// let mut lobby = client.subscribe("lobby", Follow::from(Start::Live).signals().cursors())?;
/// client.signal("lobby", Signal::new("typing").key("web").value("open"))?;
/// if let Some(Delivery::Signal(heard)) = lobby.next().transpose()? {
///     println!("{} is {}: {}", heard.sender, heard.name, heard.text());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Follow {
    pub(crate) start: Start,
    pub(crate) wants: Wants,
}

impl Follow {
    /// Signals, too, while the subscription is live.
    #[must_use]
    pub fn signals(mut self) -> Self {
        self.wants.signals = true;
        self
    }

    /// Cursors, too: one's own, and those that others show to the room.
    #[must_use]
    pub fn cursors(mut self) -> Self {
        self.wants.cursors = true;
        self
    }
}

impl From<Start> for Follow {
    fn from(start: Start) -> Follow {
        let wants = Wants::RECORDS;
        Follow { start, wants }
    }
}

/// The room as it was when the subscription began.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct RoomHead {
    /// The room; `None`: it does not exist yet.
    pub room_id: Option<RoomId>,
    /// Its last record; [`Position::BEGINNING`] if there is none.
    pub head: Position,
    /// How many messages it holds.
    pub count: Count,
    /// When its last record was admitted.
    pub time: Timestamp,
    /// The oldest record kept; `Seq(0)`: none.
    pub first_seq: Seq,
    /// The last number of this client's producer there; `ProducerSeq(0)`: none.
    pub producer_seq: ProducerSeq,
}

/// The records of a room, one after the other, each exactly once; an iterator that waits.
///
/// Every record is checked: its bytes, that its seq is the next one, and that its link follows from the record before. A
/// hole in the room comes as [`Delivery::Gap`]. Lost connections are healed unseen. After an error the subscription is over,
/// and the iterator ends; [`position`](Subscription::position) tells where another one can begin.
///
/// **A slow application.** The subscription holds a bounded number of records (see
/// [`subscription_bounds`](crate::ClientOptions::subscription_bounds)). At the bound it unsubscribes from the room, and
/// subscribes again behind its last record when half of them are read: the broker serves readers that are behind from its
/// log, so nothing is lost, and acks and other rooms, which share the connection, are never held up.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// # let client = broker.client("ann");
/// use antiphon_client::{Delivery, Start};
///
/// let mut subscription = client.subscribe("lobby", Start::Live)?;
/// # for n in 0..3 { client.publish("lobby", format!("{n}"))?; }
/// for delivery in subscription.by_ref().take(3) {
///     match delivery? {
///         Delivery::Record(record) => println!("{}: {}", record.sender_text(), record.text()),
///         Delivery::Gap(gap) => println!("{} to {} are gone: {}", gap.from, gap.to, gap.reason),
///         _ => {}
///     }
/// }
/// println!("go on later after {}", subscription.position());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Subscription(pub(crate) Feed);

impl Subscription {
    /// The room as it was at the beginning.
    #[must_use]
    pub fn head(&self) -> &RoomHead {
        &self.0.head
    }

    /// The position behind the last record yielded; give it to [`Start::After`] to go on later.
    #[must_use]
    pub fn position(&self) -> Position {
        self.0.position
    }

    /// Waits at most `timeout` for the next delivery; `Ok(None)`: none came.
    ///
    /// # Errors
    /// Why the subscription is over; again at every further call.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Delivery>, SubscribeError> {
        self.0.next_until(Some(Instant::now() + timeout))
    }
}

impl Iterator for Subscription {
    type Item = Result<Delivery, SubscribeError>;

    /// Waits as long as it takes.
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_over {
            return None;
        }
        let next = self.0.next_until(None);
        self.0.is_over = next.is_err();
        next.transpose()
    }
}
