//! All clients of a run, each with a thread of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use antiphon_client::{Client as Sdk, ClientOptions};

use super::follower::{Follower, Heads, Taste};
use super::historian::{Historian, head};
use super::journal::Journal;
use super::publisher::{Pace, Publisher};
use super::seat::Seat;
use super::stage::{Part, Stage};
use crate::history::{Client, Room, What};
use crate::proxy::Proxy;
use crate::sim::random::Random;

/// How long after the last fault an answer may take (I12).
pub(crate) const PROGRESS: Duration = Duration::from_secs(20);

/// Publishers may take this long to end; their own deadlines are shorter.
const FINISH_WITHIN: Duration = Duration::from_secs(60);

/// How often the main thread looks whether others are done.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Rooms that all clients share.
const ROOMS: u32 = 4;

/// How many publish.
const PUBLISHERS: usize = 3;

/// The rooms of a run.
pub(crate) fn rooms() -> impl Iterator<Item = Room> {
    (1..=ROOMS).map(Room)
}

/// A client of the harness itself, past the proxy.
pub(crate) fn direct(broker: SocketAddr) -> io::Result<Sdk> {
    let options = ClientOptions::new(broker.to_string()).user("auditor");
    Sdk::connect(options).map_err(io::Error::other)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Crowd {
    stage: Arc<Stage>,
    publishers: Vec<JoinHandle<()>>,
    readers: Vec<JoinHandle<()>>,
    followers: usize,
    heads: Arc<Heads>,
    /// One for each client: set, it loses its memory of the connection.
    pub(crate) crashes: Vec<Arc<AtomicBool>>,
}

impl Crowd {
    /// Starts them all.
    pub(crate) fn new(journal: &Arc<Journal>, proxy: &Proxy, dice: &Random) -> Self {
        let mut crowd = Self {
            stage: Arc::new(Stage::new()),
            publishers: Vec::new(),
            readers: Vec::new(),
            followers: 0,
            heads: Arc::default(),
            crashes: Vec::new(),
        };
        let mut choices = dice.fork(3);
        for _ in 0..PUBLISHERS {
            let seat = crowd.seat(journal, proxy, dice);
            let publisher = Publisher::new(seat, pace(&mut choices));
            crowd.publishers.push(thread::spawn(|| publisher.run()));
        }
        // An eager one, one whose buffer is often full, and a slow one.
        for (held_records, pause, bite) in [(4_096, 1, 1_000), (64, 2, 50), (16, 40, 3)] {
            let seat = crowd.seat(journal, proxy, dice);
            let taste = Taste {
                held_records,
                pause: Duration::from_millis(pause),
                bite,
                roams_one_in: choices.pick(&[50, 200, 100_000]),
            };
            let follower = Follower::new(seat, taste, crowd.heads.clone());
            crowd.readers.push(thread::spawn(|| follower.run()));
            crowd.followers += 1;
        }
        let historian = Historian::new(crowd.seat(journal, proxy, dice));
        crowd.readers.push(thread::spawn(|| historian.run()));
        crowd
    }

    fn seat(&mut self, journal: &Arc<Journal>, proxy: &Proxy, dice: &Random) -> Seat {
        let crash = Arc::new(AtomicBool::new(false));
        self.crashes.push(crash.clone());
        let number = u32::try_from(self.crashes.len()).unwrap_or(u32::MAX);
        Seat {
            journal: journal.clone(),
            stage: self.stage.clone(),
            client: Client(number),
            address: proxy.address().to_string(),
            rooms: rooms().collect(),
            dice: dice.fork(100 + u64::from(number)),
            keepalive: Duration::from_secs(1),
            crash,
        }
    }

    /// Publishers end, and readers come to the heads of all rooms, if they can in time.
    pub(crate) fn settle(&self, journal: &Journal, broker: SocketAddr) -> io::Result<()> {
        self.stage.raise(Part::Finish);
        wait_until(FINISH_WITHIN, || {
            self.publishers.iter().all(JoinHandle::is_finished)
        });
        let sdk = direct(broker)?;
        let mut heads = BTreeMap::new();
        for room in rooms() {
            heads.insert(room, head(&sdk, room).map_err(io::Error::other)?);
        }
        self.heads.tell(heads);
        // Whoever is not there by then is found by the checkers.
        wait_until(PROGRESS, || self.heads.arrived() == self.followers);
        journal.world(What::Settled);
        Ok(())
    }

    /// Ends all threads.
    pub(crate) fn end(self) -> io::Result<()> {
        self.stage.raise(Part::Over);
        let mut panicked = 0;
        for thread in self.publishers.into_iter().chain(self.readers) {
            panicked += usize::from(thread.join().is_err());
        }
        if panicked > 0 {
            return Err(io::Error::other(format!("{panicked} clients panicked")));
        }
        Ok(())
    }
}

fn pace(choices: &mut Random) -> Pace {
    Pace {
        window: choices.pick(&[1, 4, 32, 200]),
        pause: Duration::from_millis(choices.between(1, 20)),
        burst: choices.pick(&[1, 4, 20]),
        filling_max: choices.pick(&[10, 300, 8_000]),
    }
}

fn wait_until(patience: Duration, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + patience;
    while !is_so() && Instant::now() < deadline {
        thread::park_timeout(LOOK_EVERY);
    }
}
