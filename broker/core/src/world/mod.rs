//! Two whole cores in memory, with lanes that refuse, sockets that are slow and a log that takes its time.
//!
//! Every client checks what it gets; in the end every publish is acked once, stands in its room once, and every listener has heard all.

mod client;
mod log;
mod overfull;
mod steps;

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::Persisted;
use antiphon_protocol::{NodeId, Timestamp, next_frame};

use self::client::Client;
use self::log::Log;
use self::steps::Dice;
use crate::channel::Exchange;
use crate::core::{ConnId, Core, CoreConfig, CoreId, Flow, HashState, Now, Output};
use crate::home::Recovering;
use crate::lane::Message;
use crate::limits::Limits;
use crate::map::SlotMap;
use crate::membership::Membership;
use crate::read::ReadJob;

const CORES: u16 = 2;

/// How rough the world is.
#[derive(Clone, Debug)]
struct Terrain {
    clients: usize,
    /// Messages that a lane holds.
    lane_places: usize,
    /// Most bytes that a socket takes at once.
    flush_bytes_max: usize,
    /// One publish in so many has a body of 30 KB.
    big_one_in: usize,
    limits: Limits,
}

impl Default for Terrain {
    fn default() -> Terrain {
        Terrain {
            clients: 6,
            lane_places: 3,
            flush_bytes_max: 40_000,
            big_one_in: 20,
            limits: Limits::default(),
        }
    }
}

#[derive(Debug)]
struct World {
    cores: Vec<Core>,
    exchange: Arc<Exchange>,
    /// [from][to], bounded.
    lanes: Vec<Vec<VecDeque<Message>>>,
    terrain: Terrain,
    refused: BTreeSet<(usize, usize)>,
    log: Log,
    jobs: VecDeque<ReadJob>,
    clients: Vec<Client>,
    /// Whose outbox has bytes.
    flushes: BTreeSet<(usize, ConnId)>,
    closing: BTreeSet<(usize, ConnId)>,
    conns: u32,
    now: Now,
    dice: Dice,
}

impl World {
    fn new(seed: u64, terrain: Terrain) -> World {
        let exchange = Exchange::new(CORES);
        let map = SlotMap::even(8, CORES);
        let now = Now {
            mono_ms: 5_000,
            wall: Timestamp(1_800_000_000_000),
        };
        let mut seeds = Recovering::new(8, 1).into_seeds();
        let mut cores = Vec::new();
        for core in 0..CORES {
            let config = CoreConfig {
                node: NodeId(1),
                membership: Membership::alone(NodeId(1)),
                core: CoreId(core),
                cores: CORES,
                partitions: 8,
                seed: seed + u64::from(core),
                limits: terrain.limits.clone(),
                map: map.clone(),
                hash: HashState::fixed(),
            };
            let mine = seeds
                .extract_if(.., |seed| {
                    map.home_of_group(seed.group()) == Some(CoreId(core))
                })
                .collect();
            cores.push(Core::new(config, Arc::clone(&exchange), mine, now));
        }
        let lanes = (0..CORES)
            .map(|_| (0..CORES).map(|_| VecDeque::new()).collect())
            .collect();
        let mut world = World {
            cores,
            exchange,
            lanes,
            terrain,
            refused: BTreeSet::new(),
            log: Log::new(),
            jobs: VecDeque::new(),
            clients: Vec::new(),
            flushes: BTreeSet::new(),
            closing: BTreeSet::new(),
            conns: 0,
            now,
            dice: Dice(seed),
        };
        for number in 0..world.terrain.clients {
            let (core, conn) = world.accept();
            world
                .clients
                .push(Client::new(&std::format!("user{number}"), core, conn));
        }
        world
    }

    fn accept(&mut self) -> (usize, ConnId) {
        let core = self.dice.below(CORES as usize);
        let conn = ConnId {
            slot: self.conns,
            generation: 1,
        };
        self.conns += 1;
        self.cores[core].connected(conn, self.exchange.claim(), self.now);
        (core, conn)
    }

    /// One turn of one core: whatever came in the meantime is handled, what it puts out is put where it belongs.
    fn turn(&mut self, core: usize) -> bool {
        let more = self.cores[core].turn(self.now);
        self.poll(core);
        more
    }

    fn poll(&mut self, core: usize) {
        while let Some(output) = self.cores[core].poll() {
            match output {
                Output::Flush(conn) => {
                    self.flushes.insert((core, conn));
                }
                Output::Close(conn) => {
                    self.closing.insert((core, conn));
                }
                Output::Resume(conn) => {
                    let client = self
                        .clients
                        .iter_mut()
                        .find(|client| client.core == core && client.conn == conn);
                    if let Some(client) = client {
                        client.is_paused = false;
                    }
                }
                Output::Lane { to, message } => self.pass(core, usize::from(to.0), message),
                Output::Append(append) => self.log.append(append),
                Output::Read(job) => self.jobs.push_back(job),
                Output::Peer { .. } | Output::ReadEntries(_) => {
                    panic!("this node knows nobody else")
                }
                Output::Wake(_) | Output::Checkpoint(_) | Output::Event(_) => {}
            }
        }
    }

    fn pass(&mut self, from: usize, to: usize, message: Message) {
        if self.lanes[from][to].len() >= self.terrain.lane_places {
            self.refused.insert((from, to));
            self.cores[from].lane_refused(CoreId(to as u16), message);
        } else {
            self.lanes[from][to].push_back(message);
        }
    }

    /// Takes up to `count` messages out of a lane.
    fn receive(&mut self, from: usize, to: usize, count: usize) {
        for _ in 0..count {
            let Some(message) = self.lanes[from][to].pop_front() else {
                break;
            };
            self.cores[to].lane(CoreId(from as u16), message, self.now);
        }
        if self.lanes[from][to].len() < self.terrain.lane_places && self.refused.remove(&(from, to))
        {
            self.cores[from].lane_open(CoreId(to as u16), self.now);
            self.poll(from);
        }
    }

    /// The socket takes up to `count` bytes of one connection.
    fn flush(&mut self, core: usize, conn: ConnId, count: usize) {
        let client = self
            .clients
            .iter_mut()
            .find(|client| client.core == core && client.conn == conn && client.is_connected);
        let Some(outbox) = self.cores[core].outbox(conn) else {
            self.flushes.remove(&(core, conn));
            return;
        };
        let bytes: Vec<u8> = outbox.chunks().flatten().copied().take(count).collect();
        outbox.advance(bytes.len());
        let is_empty = outbox.is_empty();
        if let Some(client) = client {
            client.socket.extend(&bytes);
        }
        if !bytes.is_empty() {
            self.cores[core].sent(conn, self.now);
        }
        if is_empty {
            self.flushes.remove(&(core, conn));
            if self.closing.remove(&(core, conn)) {
                self.hang_up(core, conn);
            }
        }
        self.poll(core);
    }

    fn hang_up(&mut self, core: usize, conn: ConnId) {
        self.cores[core].disconnected(conn);
        if let Some(client) = self
            .clients
            .iter_mut()
            .find(|client| client.core == core && client.conn == conn)
        {
            client.is_connected = false;
        }
    }

    /// The server reads up to `count` frames of a client.
    fn read(&mut self, number: usize, count: usize) {
        for _ in 0..count {
            let client = &mut self.clients[number];
            if client.is_paused || !client.is_connected {
                return;
            }
            let Some(bytes) = client.to_send.pop_front() else {
                return;
            };
            let (core, conn) = (client.core, client.conn);
            let frame = next_frame(&bytes, self.cores[core].len_max(conn))
                .unwrap()
                .unwrap();
            if self.cores[core].frame(conn, frame, self.now) == Flow::Pause {
                self.clients[number].is_paused = true;
            }
            self.cores[core].received(conn, bytes.len(), false, self.now);
        }
    }

    fn persist(&mut self, count: usize) {
        let reports = self.log.persist(count);
        let sync_end = self.log.sync_end();
        let mut by_core: BTreeMap<usize, Vec<Persisted>> = BTreeMap::new();
        for report in reports {
            by_core
                .entry(((report.group.0 - 1) % u32::from(CORES)) as usize)
                .or_default()
                .push(report);
        }
        for core in 0..CORES as usize {
            let reports = by_core.remove(&core).unwrap_or_default();
            self.cores[core].persisted(&reports, sync_end, self.now);
        }
    }

    fn answer_read(&mut self) {
        if let Some(job) = self.jobs.pop_front() {
            let answer = self.log.read(&job);
            self.cores[usize::from(job.reply_to.0)].read_done(answer, self.now);
        }
    }

    fn pass_time(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall.0 += ms;
        for core in 0..CORES as usize {
            if self.cores[core]
                .next_deadline()
                .is_some_and(|at| at <= self.now.mono_ms)
            {
                self.cores[core].tick(self.now);
            }
        }
    }
}

/// What came of a run.
#[derive(Debug, Eq, PartialEq)]
struct Account {
    /// Records heard by all clients.
    heard: u64,
    turned_behind: u64,
    dirtied: u64,
    parked: u64,
}

fn run(seed: u64, steps: usize, terrain: &Terrain) -> Account {
    let mut world = World::new(seed, terrain.clone());
    world.settle();
    for _ in 0..steps {
        world.step();
    }
    world.settle();
    world.check();
    // Nobody speaks any more: whoever is told of nothing new must still hear all that was.
    for client in &mut world.clients {
        steps::ROOMS
            .iter()
            .for_each(|room| client.subscribe(room, Some(30)));
    }
    world.settle();
    let stats: Vec<_> = world.cores.iter().map(Core::stats).collect();
    Account {
        heard: world.clients.iter().map(|client| client.records).sum(),
        turned_behind: stats.iter().map(|stats| stats.edge.turned_behind).sum(),
        dirtied: stats.iter().map(|stats| stats.deliveries_dirtied).sum(),
        parked: stats.iter().map(|stats| stats.edge.batches_parked).sum(),
    }
}

#[test]
fn every_listener_hears_every_seq_once_and_every_publish_stands_once() {
    let (mut heard, mut dirtied) = (0, 0);
    for seed in 0..6 {
        let terrain = Terrain {
            lane_places: 1 + (seed as usize % 5),
            ..Terrain::default()
        };
        let account = run(seed, 2_500, &terrain);
        heard += account.heard;
        dirtied += account.dirtied;
    }
    assert!(
        heard > 4_000 && dirtied > 100,
        "the world is rough: {heard} heard, {dirtied} dirtied"
    );
}

#[test]
fn slow_sockets_read_behind_and_miss_nothing() {
    let terrain = Terrain {
        lane_places: 1_000,
        flush_bytes_max: 3_000,
        big_one_in: 2,
        ..Terrain::default()
    };
    let mut turned_behind = 0;
    for seed in 200..202 {
        let account = run(seed, 2_000, &terrain);
        assert_eq!(account.dirtied, 0, "no lane was full: {account:?}");
        turned_behind += account.turned_behind;
    }
    assert!(turned_behind > 10, "outboxes were full: {turned_behind}");
}

#[test]
fn tight_limits_stop_nobody_for_ever() {
    let limits = Limits {
        in_flight_max: 4,
        requests_max: 2,
        ..Limits::default()
    };
    let terrain = Terrain {
        clients: 5,
        lane_places: 2,
        limits,
        ..Terrain::default()
    };
    for seed in 100..102 {
        let _ = run(seed, 2_000, &terrain);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let terrain = Terrain {
        lane_places: 2,
        ..Terrain::default()
    };
    assert_eq!(run(7, 1_000, &terrain), run(7, 1_000, &terrain));
}
