//! Messages from publishers to rooms: the load that most workloads are made of.
//!
//! A *source* is one publisher in one room. In a closed loop a message is under way until it is *complete*: delivered to all its
//! subscribers, or acked. In an open loop it is sent when it is due.

use crate::acks::{Acks, Waiting};
use crate::clock::Nanos;
use crate::drive::Load;
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::limits::{BACKLOG_MAX, FEED_MAX};
use crate::meter::Meter;
use crate::pace::{Pace, Schedule};
use crate::stamp::{Stamp, Stream};
use crate::target::{Ack, Event, Room, Target};
use crate::verify::{Verdict, Verifier};

/// One publisher in one room.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who publishes.
    pub connection: u32,
    /// Where to.
    pub room: Room,
    /// How many connections subscribe to the room.
    pub subscribers: u32,
}

/// One message of a script.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Said {
    /// Whose.
    pub source: u32,
    /// How long, the stamp included.
    pub body_bytes: usize,
}

/// When a message of a closed loop makes room for the next one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Complete {
    /// As soon as all its deliveries have come; the window is shared by all sources, which take turns.
    Delivered,
    /// As soon as its ack has come; each source has a window of its own.
    Acked,
}

/// The load, and what came of it.
#[derive(Debug)]
pub struct Traffic {
    sources: Vec<Source>,
    complete: Complete,
    pace: Pace,
    schedule: Schedule,
    /// Who publishes what, from its start again at its end; empty: the sources take turns.
    script: Vec<Said>,
    /// The place in the script, or the source, whose turn it is.
    turn: usize,
    /// By source, which is also its stream: the last number published.
    published: Vec<u64>,
    /// Closed loop with acks: sources that may publish one more, once for each.
    credits: Vec<u32>,
    /// By connection.
    acks: Vec<Acks>,
    verifier: Verifier,
    body: Vec<u8>,
    /// Deliveries due for all that was published.
    due: u64,
    /// Deliveries of these that have come.
    come: u64,
    stopped: bool,
    /// Of deliveries.
    pub delivery: Meter,
    /// Of acks.
    pub ack: Meter,
    /// Messages published.
    messages: u64,
    /// Messages whose ack is due.
    unacked: u64,
}

impl Traffic {
    /// A load of `sources`; source n is stream n, which `verifier` must expect where it is subscribed.
    #[must_use]
    pub fn new(
        sources: Vec<Source>,
        verifier: Verifier,
        complete: Complete,
        pace: Pace,
        body_bytes: usize,
    ) -> Self {
        let connections = sources.iter().map(|source| source.connection as usize + 1);
        let mut acks = Vec::new();
        acks.resize_with(connections.max().unwrap_or_default(), Acks::default);
        let credits = match (complete, pace) {
            (Complete::Acked, Pace::InFlight(window)) => {
                let each = 0..u32::try_from(sources.len()).expect("sources are few");
                each.cycle().take(sources.len() * window as usize).collect()
            }
            _ => Vec::new(),
        };
        Self {
            complete,
            pace,
            schedule: Schedule::new(Nanos(0), 1.0),
            script: Vec::new(),
            turn: 0,
            published: vec![0; sources.len()],
            sources,
            credits,
            acks,
            verifier,
            body: vec![b'.'; body_bytes],
            due: 0,
            come: 0,
            stopped: false,
            delivery: Meter::new(),
            ack: Meter::new(),
            messages: 0,
            unacked: 0,
        }
    }

    /// From now on the sources publish as the script says, again and again, instead of in turn.
    pub fn follow(&mut self, script: Vec<Said>) {
        let longest = script.iter().map(|said| said.body_bytes).max();
        self.body.resize(longest.unwrap_or(self.body.len()), b'.');
        self.script = script;
        self.turn = 0;
    }

    /// Messages published so far.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Deliveries and acks that are still due.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.due.saturating_sub(self.come) + self.unacked
    }

    /// The end: what was wrong, and the meters of deliveries and acks.
    #[must_use]
    pub fn finish(self) -> (Verdict, Meter, Meter) {
        let mut verifier = self.verifier;
        let again = self.acks.iter().map(Acks::again).sum();
        let never = self.acks.iter().map(Acks::waiting).sum();
        // Acks that were not asked for are nobody's.
        if self.complete == Complete::Acked {
            verifier.count_acks(again, never);
        }
        (verifier.finish(&self.published), self.delivery, self.ack)
    }

    fn publish<T: Target>(
        &mut self,
        generator: &mut Generator<'_, T>,
        Said { source, body_bytes }: Said,
        intended: Nanos,
    ) {
        let at = source as usize;
        let source = &self.sources[at];
        self.published[at] += 1;
        let index = u32::try_from(at).expect("sources are few");
        let stamp = Stamp {
            stream: Stream(index),
            number: self.published[at],
            intended,
        };
        let body = &mut self.body[..body_bytes];
        stamp.write(body);
        let ack = match self.complete {
            Complete::Delivered => Ack::Unwanted,
            Complete::Acked => Ack::Wanted,
        };
        let request = generator.publish(source.connection, &source.room, ack, body);
        if ack == Ack::Wanted {
            let waiting = Waiting {
                intended,
                source: index,
            };
            self.acks[source.connection as usize].wait(request, waiting);
            self.unacked += 1;
        }
        self.due += u64::from(source.subscribers);
        self.messages += 1;
    }

    /// Who is next, with what.
    fn due_now(&self) -> Said {
        let in_turn = || Said {
            source: u32::try_from(self.turn).expect("sources are few"),
            body_bytes: self.body.len(),
        };
        self.script.get(self.turn).copied().unwrap_or_else(in_turn)
    }

    fn take_turn(&mut self) -> Said {
        let said = self.due_now();
        let turns = match self.script.len() {
            0 => self.sources.len(),
            lines => lines,
        };
        self.turn = if self.turn + 1 == turns {
            0
        } else {
            self.turn + 1
        };
        said
    }

    fn subscribers_now(&self) -> u64 {
        u64::from(self.sources[self.due_now().source as usize].subscribers)
    }

    /// As many as are under way less than the window allows.
    fn feed_delivered<T: Target>(
        &mut self,
        generator: &mut Generator<'_, T>,
        window: u32,
        now: Nanos,
    ) {
        for _ in 0..FEED_MAX {
            let subscribers = self.subscribers_now();
            let under_way = self.due.saturating_sub(self.come);
            if under_way + subscribers > u64::from(window) * subscribers {
                return;
            }
            let said = self.take_turn();
            self.publish(generator, said, now);
        }
    }

    fn feed_acked<T: Target>(&mut self, generator: &mut Generator<'_, T>, now: Nanos) {
        let mut credits = std::mem::take(&mut self.credits);
        let body_bytes = self.body.len();
        for source in credits.drain(..) {
            let said = Said { source, body_bytes };
            self.publish(generator, said, now);
        }
        self.credits = credits;
    }

    fn feed_open<T: Target>(&mut self, generator: &mut Generator<'_, T>, now: Nanos) -> Nanos {
        for _ in 0..FEED_MAX {
            if self.outstanding_messages() >= BACKLOG_MAX {
                break;
            }
            let Some(intended) = self.schedule.take(now) else {
                break;
            };
            let said = self.take_turn();
            self.publish(generator, said, intended);
        }
        self.schedule.due()
    }

    /// About how many messages are under way; what is beyond the backlog's limit is published late, with its intended time.
    fn outstanding_messages(&self) -> u64 {
        match self.complete {
            Complete::Acked => self.unacked,
            Complete::Delivered => {
                let subscribers = self.subscribers_now().max(1);
                self.due.saturating_sub(self.come) / subscribers
            }
        }
    }
}

impl Ears for Traffic {
    #[inline]
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos) {
        match event {
            Event::Delivered { body } => {
                if let Some(stamp) = self.verifier.deliver(connection, body) {
                    self.come += 1;
                    self.delivery.arrive(stamp.intended, now);
                }
            }
            Event::Acked { request } => {
                if self.complete != Complete::Acked {
                    return;
                }
                let acks = self.acks.get_mut(connection as usize);
                if let Some(waiting) = acks.and_then(|acks| acks.ack(request)) {
                    self.unacked -= 1;
                    self.ack.arrive(waiting.intended, now);
                    if matches!(self.pace, Pace::InFlight(_)) {
                        self.credits.push(waiting.source);
                    }
                }
            }
            Event::Refused => self.verifier.refuse(),
            Event::Ready
            | Event::Subscribed
            | Event::Signalled
            | Event::HistoryItem { .. }
            | Event::History { .. } => {}
        }
    }
}

impl<T: Target> Load<T> for Traffic {
    fn begin(&mut self, start: Nanos, from: Nanos, until: Nanos) {
        match self.pace {
            Pace::InFlight(_) => {}
            Pace::PerSecond(rate) => self.schedule = Schedule::new(start, rate),
            Pace::Bursts {
                messages,
                per_second,
            } => self.schedule = Schedule::bursts(start, messages, per_second),
        }
        self.delivery.measure(from, until);
        self.ack.measure(from, until);
    }

    fn feed(
        &mut self,
        generator: &mut Generator<'_, T>,
        now: Nanos,
    ) -> Result<Option<Nanos>, BenchError> {
        if self.stopped {
            return Ok(None);
        }
        Ok(match (self.pace, self.complete) {
            (Pace::PerSecond(_) | Pace::Bursts { .. }, _) => Some(self.feed_open(generator, now)),
            (Pace::InFlight(window), Complete::Delivered) => {
                self.feed_delivered(generator, window, now);
                None
            }
            (Pace::InFlight(_), Complete::Acked) => {
                self.feed_acked(generator, now);
                None
            }
        })
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.credits.clear();
    }

    fn outstanding(&self) -> u64 {
        Traffic::outstanding(self)
    }

    fn events(&self) -> u64 {
        self.come + self.ack.counted()
    }
}
