//! A publisher: keeps its producer and its numbers, so that it can publish again after a crash what was not acked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use antiphon_client::{
    Client as Sdk, ClientOptions, Code, Message, Pending, ProducerSeq, PublishError, Receipt,
};

use super::seat::{Identity, Seat, room_name};
use super::stage::Part;
use crate::history::{self, BodyHash, Link, Op, Origin, Room, Seq, What};

/// How a publisher works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Publishes without an answer at a time, from 1.
    pub(crate) window: usize,
    /// Between two rounds.
    pub(crate) pause: Duration,
    /// Publishes of one round, from 1.
    pub(crate) burst: usize,
    /// Most bytes of filling in a body.
    pub(crate) filling_max: u64,
}

/// How long the last answers may take once no fault disturbs them.
const LAST_ANSWERS: Duration = Duration::from_secs(20);

/// A publish without an answer.
#[derive(Debug)]
struct Open {
    room: Room,
    number: u64,
    op: Op,
    pending: Pending,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Publisher {
    seat: Seat,
    pace: Pace,
    sdk: Option<Sdk>,
    identity: Option<Identity>,
    open: Vec<Open>,
    /// The last number given in each room under this producer.
    given: BTreeMap<Room, u64>,
    /// Numbers to be published again, ascending in each room: the process that gave them is gone.
    again: BTreeMap<Room, Vec<u64>>,
}

impl Publisher {
    pub(crate) fn new(seat: Seat, pace: Pace) -> Self {
        Self {
            seat,
            pace,
            sdk: None,
            identity: None,
            open: Vec::new(),
            given: BTreeMap::new(),
            again: BTreeMap::new(),
        }
    }

    /// Works until the run is to finish, then waits for what is open.
    pub(crate) fn run(mut self) {
        while self.seat.is_at(Part::Work) {
            self.round();
            self.seat.stage.rest(self.pace.pause, Part::Work);
        }
        self.finish();
    }

    fn round(&mut self) {
        if self.seat.takes_crash() && self.sdk.is_some() {
            self.die();
        }
        if self.sdk.is_none() && !self.begin() {
            return;
        }
        if !self.collect() {
            self.leave();
            return;
        }
        for _ in 0..self.pace.burst {
            if self.open.len() >= self.pace.window {
                return;
            }
            let place = self.seat.dice.place(self.seat.rooms.len());
            let room = self.seat.rooms[place];
            let number = self.next_number(room);
            if !self.publish(room, number) {
                self.leave();
                return;
            }
        }
    }

    fn next_number(&mut self, room: Room) -> u64 {
        if let Some(numbers) = self.again.get_mut(&room)
            && !numbers.is_empty()
        {
            return numbers.remove(0);
        }
        let given = self.given.entry(room).or_insert(0);
        *given += 1;
        *given
    }

    /// A session: a new one, or the one whose process died, with what it had not heard of.
    fn begin(&mut self) -> bool {
        let mut options = self.seat.options();
        options = match self.identity {
            None => options.keep_producer(),
            Some(identity) => options
                .producer(identity.producer)
                .device(identity.device)
                .producer_seqs(self.last_known()),
        };
        let Some(sdk) = self.connect(&options) else {
            return false;
        };
        self.identity = Some(Identity {
            producer: sdk.producer(),
            device: sdk.device(),
        });
        self.sdk = Some(sdk);
        true
    }

    fn connect(&self, options: &ClientOptions) -> Option<Sdk> {
        self.seat.connect(options)
    }

    /// Per room the last number below those that are to be published again.
    fn last_known(&self) -> Vec<(String, ProducerSeq)> {
        let last = |(room, given): (&Room, &u64)| {
            let again = self.again.get(room).and_then(|numbers| numbers.first());
            let last = again.map_or(*given, |first| first - 1);
            (room_name(*room), ProducerSeq(last))
        };
        self.given.iter().map(last).collect()
    }

    /// What is said under a number is fixed by it, so that saying it again is saying the same.
    fn body(&self, room: Room, number: u64, identity: &Identity) -> Vec<u8> {
        let (user, producer) = (self.seat.user().0, identity.producer.0);
        let mut body = format!("{user} in {} as {producer:x} no. {number} ", room.0).into_bytes();
        let filling = BodyHash::of(&body).0 % (self.pace.filling_max + 1);
        body.resize(body.len() + filling as usize, b'.');
        body
    }

    /// Publishes; false: the session is of no use any more.
    fn publish(&mut self, room: Room, number: u64) -> bool {
        let (Some(sdk), Some(identity)) = (&self.sdk, self.identity) else {
            return false;
        };
        let body = self.body(room, number, &identity);
        let op = self.seat.journal.op();
        self.seat.note(What::Publish {
            op,
            room,
            origin: Origin {
                user: self.seat.user(),
                producer: history::Producer(identity.producer.0),
                producer_seq: history::ProducerSeq(number),
            },
            body: BodyHash::of(&body),
        });
        let message = Message::new(body).producer_seq(ProducerSeq(number));
        match sdk.publish_pipelined(&room_name(room), message) {
            Ok(pending) => {
                self.open.push(Open {
                    room,
                    number,
                    op,
                    pending,
                });
                true
            }
            Err(error) => {
                self.tell(op, Err(error));
                false
            }
        }
    }

    /// Takes answers that came; false: one of them was none.
    fn collect(&mut self) -> bool {
        let mut answered = Vec::new();
        self.open.retain_mut(|open| {
            let receipt = open.pending.try_receipt();
            let is_open = receipt.is_none();
            answered.extend(receipt.map(|receipt| (open.op, receipt)));
            is_open
        });
        let mut is_good = true;
        for (op, receipt) in answered {
            is_good &= self.tell(op, receipt);
        }
        is_good
    }

    /// Notes an answer; false: it is not the hoped-for one.
    fn tell(&self, op: Op, receipt: Result<Receipt, PublishError>) -> bool {
        let failed = |code: Code, hint| What::Failed {
            op,
            code: code.wire(),
            hint,
        };
        let what = match receipt {
            Ok(receipt) => What::Published {
                op,
                seq: Seq(receipt.seq.0),
                link: Link(receipt.link.0),
                time: receipt.time.0,
                duplicate: receipt.duplicate,
            },
            Err(PublishError::Unknown(_)) => What::Unknown { op },
            Err(PublishError::Rejected(rejection)) => failed(rejection.code, rejection.hint),
            Err(PublishError::OutOfOrder { expected }) => failed(Code::OUT_OF_ORDER, expected.0),
            Err(PublishError::ProducerConflict(number)) => {
                failed(Code::PRODUCER_CONFLICT, number.0)
            }
            Err(PublishError::ProducerExpired) => failed(Code::PRODUCER_EXPIRED, 0),
            // Everything else says that it never left.
            Err(_) => failed(Code::NONE, 0),
        };
        let is_good = matches!(what, What::Published { .. });
        self.seat.note(what);
        is_good
    }

    /// The process dies: another one with the same identity publishes again all from the first number on to which it had no
    /// answer, as a program does that remembers no more than that. What was acked behind it is a duplicate then.
    fn die(&mut self) {
        for (room, number) in self.cut_off() {
            let last = self.given.get(&room).copied().unwrap_or(number);
            let numbers = self.again.entry(room).or_default();
            let first = numbers.first().copied().unwrap_or(number).min(number);
            *numbers = (first..=last).collect();
        }
    }

    /// Gives the session up: what is open stays unknown, and another producer begins.
    fn leave(&mut self) {
        self.cut_off();
        self.identity = None;
        self.given.clear();
        self.again.clear();
    }

    /// Forgets the session without a word to the broker; gives what was open.
    fn cut_off(&mut self) -> Vec<(Room, u64)> {
        self.sdk = None;
        let open = std::mem::take(&mut self.open);
        for one in &open {
            self.seat.note(What::Unknown { op: one.op });
        }
        self.seat.note(What::Disconnected);
        open.iter().map(|one| (one.room, one.number)).collect()
    }

    /// Publishes what must be said again, and waits for every answer.
    fn finish(mut self) {
        let rooms: Vec<Room> = self.again.keys().copied().collect();
        for room in rooms {
            let numbers = self.again.remove(&room).unwrap_or_default();
            if numbers.is_empty() || (self.sdk.is_none() && !self.begin()) {
                continue;
            }
            for number in numbers {
                self.publish(room, number);
            }
        }
        let deadline = Instant::now() + LAST_ANSWERS;
        for open in std::mem::take(&mut self.open) {
            let receipt = open.pending.wait_deadline(deadline);
            self.tell(open.op, receipt);
        }
        self.seat.note(What::Disconnected);
    }
}
