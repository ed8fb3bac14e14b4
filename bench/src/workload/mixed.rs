//! `mixed`: what people do in a chat, all of it at once: they write, look at what was written, show that they type, go away and come back.
//!
//! An open loop of actions: each is drawn for a user who is there, in the same sequence in every run. Everybody hears all of their rooms from the
//! moment they are in; who comes while others write hears each of them from some message on without a gap. Who goes has nothing unacked, so all
//! that was published must come to all who stay.

use std::collections::BTreeMap;

use super::{Findings, options};
use crate::clock::Nanos;
use crate::drive::{Load, drive};
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::limits::{BACKLOG_MAX, FEED_MAX, MIXED_REJOINS_MAX};
use crate::meter::Meter;
use crate::pace::Schedule;
use crate::result::Better;
use crate::stage::Stage;
use crate::stamp::{Stamp, Stream};
use crate::target::{Ack, Event, Room, Since, Target};
use crate::verify::Verifier;

/// Options of `mixed`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixed {
    /// People, each with a connection.
    pub users: u32,
    /// How many rooms there are.
    pub rooms: u32,
    /// How many of them each user is in.
    pub rooms_each: u32,
    /// Actions a second, all users together.
    pub rate: f64,
}

/// Messages that are asked for by who looks back.
const PAGE: u32 = 20;
/// Of a hundred actions so many are a message, a look back, a sign of typing; the others are a departure and return.
const MESSAGES: u64 = 80;
const LOOKS: u64 = 8;
const TYPINGS: u64 = 10;

impl Mixed {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("users", self.users.to_string()),
            ("rooms", self.rooms.to_string()),
            ("rooms_each", self.rooms_each.to_string()),
            ("rate_per_s", self.rate.to_string()),
        ])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        if self.users == 0 || self.rooms_each == 0 || self.rooms_each > self.rooms {
            let told = "a user is in at least one room, and in none twice";
            return Err(BenchError::Usage(told.to_owned()));
        }
        let rooms = stage.rooms(self.rooms)?;
        let mut generator = stage.connect(self.users)?;
        let mut chat = Chat::new(self, rooms, stage.options.body_bytes);
        let pairs: Vec<_> = chat.places().collect();
        let pairs = pairs
            .iter()
            .map(|&(user, room)| (user, &chat.rooms[room as usize]));
        stage.subscribe(&mut generator, pairs)?;
        (0..self.users).for_each(|user| chat.enter(user, true));
        let phases = stage.options.phases;
        let used = drive(
            &mut generator,
            &mut chat,
            phases,
            stage.pids(),
            stage.progress,
        )?;
        let Chat {
            mut verifier,
            published,
            delivery,
            ack,
            history,
            join,
            unacked,
            ..
        } = chat;
        verifier.count_acks(0, unacked);
        let mut findings = Findings::new(used, verifier.finish(&published));
        findings.meter("delivery", "deliveries", delivery);
        findings.meter("ack", "acks", ack);
        findings.meter("history", "reads", history);
        findings.meter("join", "joins", join);
        findings.metric("offered_per_s", self.rate, "1/s", Better::Neither);
        Ok(findings)
    }
}

/// One of the people.
#[derive(Debug)]
struct User {
    connection: u32,
    rooms: Vec<u32>,
    /// Their streams in these rooms; empty: not there yet.
    streams: Vec<Stream>,
    /// Answers to SUBSCRIBE that are missing.
    coming: usize,
    since: Nanos,
    /// Publishes without an ack, by request: when they were meant, and for which room.
    unacked: BTreeMap<u64, (Nanos, u32)>,
    looked_at: Option<Nanos>,
}

/// All of them.
#[derive(Debug)]
struct Chat {
    rooms: Vec<Room>,
    users: Vec<User>,
    /// By connection: whose it is.
    owners: Vec<Option<u32>>,
    /// By room: the streams of those who are there or were, and who hears them.
    spoken: Vec<Vec<Stream>>,
    /// By room: whether a message in it was acked. A room that has none may not be there.
    is_begun: Vec<bool>,
    published: Vec<u64>,
    schedule: Schedule,
    rate: f64,
    random: u64,
    /// Who has said hello again.
    ready: Vec<u32>,
    rejoins: u32,
    is_stopped: bool,
    unacked: u64,
    body: Vec<u8>,
    verifier: Verifier,
    delivery: Meter,
    ack: Meter,
    history: Meter,
    join: Meter,
}

impl Chat {
    fn new(mixed: &Mixed, rooms: Vec<Room>, body_bytes: usize) -> Chat {
        let step = (mixed.rooms / mixed.rooms_each).max(1);
        let user = |user: u32| User {
            connection: user,
            // As far apart as they can be, so that no user is in a room twice.
            rooms: (0..mixed.rooms_each)
                .map(|place| (user + place * step) % mixed.rooms)
                .collect(),
            streams: Vec::new(),
            coming: 0,
            since: Nanos(0),
            unacked: BTreeMap::new(),
            looked_at: None,
        };
        Chat {
            users: (0..mixed.users).map(user).collect(),
            owners: (0..mixed.users).map(Some).collect(),
            spoken: vec![Vec::new(); rooms.len()],
            is_begun: vec![false; rooms.len()],
            rooms,
            published: Vec::new(),
            schedule: Schedule::new(Nanos(0), mixed.rate),
            rate: mixed.rate,
            random: 1,
            ready: Vec::new(),
            rejoins: 0,
            is_stopped: false,
            unacked: 0,
            body: vec![b'.'; body_bytes],
            verifier: Verifier::default(),
            delivery: Meter::new(),
            ack: Meter::new(),
            history: Meter::new(),
            join: Meter::new(),
        }
    }

    /// Who is where.
    fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        let users = self.users.iter();
        users.flat_map(|user| user.rooms.iter().map(|&room| (user.connection, room)))
    }

    /// A user is subscribed to all their rooms, and begins a stream in each; `is_first`: nobody has spoken yet.
    fn enter(&mut self, user: u32, is_first: bool) {
        let (connection, rooms) = {
            let user = &self.users[user as usize];
            (user.connection, user.rooms.clone())
        };
        for room in rooms {
            let stream = Stream(u32::try_from(self.published.len()).expect("streams are few"));
            self.published.push(0);
            self.spoken[room as usize].push(stream);
            self.users[user as usize].streams.push(stream);
            let listeners: Vec<_> = self.listeners(room).collect();
            for (listener, is_there) in listeners {
                if is_there || is_first || listener == connection {
                    self.verifier.expect(listener, stream);
                } else {
                    self.verifier.expect_from_any(listener, stream);
                }
            }
        }
    }

    /// The connections that hear a room, and whether they are known to.
    fn listeners(&self, room: u32) -> impl Iterator<Item = (u32, bool)> {
        let hear = move |user: &&User| user.rooms.contains(&room);
        let users = self.users.iter().filter(hear);
        users.map(|user| (user.connection, user.coming == 0))
    }

    /// splitmix64.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % below
    }

    /// Somebody does something.
    fn act<T: Target>(
        &mut self,
        generator: &mut Generator<'_, T>,
        intended: Nanos,
    ) -> Result<(), BenchError> {
        let at = self.draw(self.users.len() as u64) as usize;
        let what = self.draw(100);
        let place = self.draw(self.users[at].rooms.len() as u64) as usize;
        let user = &mut self.users[at];
        if user.coming > 0 {
            return Ok(());
        }
        let (connection, number) = (user.connection, user.rooms[place]);
        let room = &self.rooms[number as usize];
        let is_begun = self.is_begun[number as usize];
        if what < MESSAGES {
            let stream = user.streams[place];
            self.published[stream.0 as usize] += 1;
            let stamp = Stamp {
                stream,
                number: self.published[stream.0 as usize],
                intended,
            };
            stamp.write(&mut self.body);
            let request = generator.publish(connection, room, Ack::Wanted, &self.body);
            user.unacked.insert(request, (intended, number));
            self.unacked += 1;
        } else if what < MESSAGES + LOOKS {
            if is_begun && user.looked_at.is_none() {
                generator.history(connection, room, PAGE)?;
                user.looked_at = Some(intended);
            }
        } else if what < MESSAGES + LOOKS + TYPINGS {
            if is_begun {
                generator.signal(connection, room);
            }
        } else if user.unacked.is_empty()
            && user.looked_at.is_none()
            && self.rejoins < MIXED_REJOINS_MAX
        {
            self.leave(generator, at, intended)?;
        }
        Ok(())
    }

    /// A user goes away, and comes back at once on another connection.
    fn leave<T: Target>(
        &mut self,
        generator: &mut Generator<'_, T>,
        at: usize,
        intended: Nanos,
    ) -> Result<(), BenchError> {
        let user = &mut self.users[at];
        generator.leave(user.connection);
        self.verifier.forget(user.connection);
        self.owners[user.connection as usize] = None;
        let connection = generator.begin_connect()?;
        self.owners.resize(connection as usize + 1, None);
        self.owners[connection as usize] = u32::try_from(at).ok();
        (user.connection, user.since) = (connection, intended);
        user.coming = user.rooms.len();
        user.streams.clear();
        self.rejoins += 1;
        // Whatever others have said and say in the meantime comes from some message on.
        for room in user.rooms.clone() {
            for stream in self.spoken[room as usize].clone() {
                self.verifier.expect_from_any(connection, stream);
            }
        }
        Ok(())
    }

    fn on_subscribed(&mut self, user: u32, now: Nanos) {
        let entry = &mut self.users[user as usize];
        match entry.coming.checked_sub(1) {
            Some(left) => entry.coming = left,
            // An answer to nothing.
            None => return self.verifier.count_acks(1, 0),
        }
        if entry.coming == 0 {
            self.join.arrive(entry.since, now);
            self.enter(user, false);
        }
    }

    fn on_acked(&mut self, user: u32, request: u64, now: Nanos) {
        match self.users[user as usize].unacked.remove(&request) {
            Some((intended, room)) => {
                self.is_begun[room as usize] = true;
                self.unacked -= 1;
                self.ack.arrive(intended, now);
            }
            None => self.verifier.count_acks(1, 0),
        }
    }

    fn looking(&self) -> u64 {
        let looking = self.users.iter().filter(|user| user.looked_at.is_some());
        looking.count() as u64
    }
}

impl Ears for Chat {
    fn hear(&mut self, connection: u32, event: Event<'_>, now: Nanos) {
        let Some(user) = self.owners.get(connection as usize).copied().flatten() else {
            // Of a connection that was left: nobody listens.
            return;
        };
        match event {
            Event::Delivered { body } => {
                if let Some(stamp) = self.verifier.deliver(connection, body) {
                    self.delivery.arrive(stamp.intended, now);
                }
            }
            Event::Acked { request } => self.on_acked(user, request, now),
            Event::Ready => self.ready.push(user),
            Event::Subscribed => self.on_subscribed(user, now),
            Event::HistoryItem { body } => {
                if Stamp::read(body).is_none() {
                    self.verifier.corrupt();
                }
            }
            Event::History { .. } => match self.users[user as usize].looked_at.take() {
                Some(asked) => self.history.arrive(asked, now),
                None => self.verifier.count_acks(1, 0),
            },
            Event::Refused => self.verifier.refuse(),
            Event::Signalled => {}
        }
    }
}

impl<T: Target> Load<T> for Chat {
    fn begin(&mut self, start: Nanos, from: Nanos, until: Nanos) {
        self.schedule = Schedule::new(start, self.rate);
        for meter in [
            &mut self.delivery,
            &mut self.ack,
            &mut self.history,
            &mut self.join,
        ] {
            meter.measure(from, until);
        }
    }

    fn feed(
        &mut self,
        generator: &mut Generator<'_, T>,
        now: Nanos,
    ) -> Result<Option<Nanos>, BenchError> {
        if self.is_stopped {
            return Ok(None);
        }
        for user in std::mem::take(&mut self.ready) {
            let user = &self.users[user as usize];
            for &room in &user.rooms {
                generator.subscribe(user.connection, &self.rooms[room as usize], Since::Now)?;
            }
        }
        for _ in 0..FEED_MAX {
            if self.unacked >= BACKLOG_MAX {
                break;
            }
            let Some(intended) = self.schedule.take(now) else {
                break;
            };
            self.act(generator, intended)?;
        }
        Ok(Some(self.schedule.due()))
    }

    fn stop(&mut self) {
        self.is_stopped = true;
    }

    fn outstanding(&self) -> u64 {
        self.unacked + self.looking() + self.verifier.behind(&self.published)
    }

    fn events(&self) -> u64 {
        self.delivery.counted() + self.ack.counted()
    }
}
