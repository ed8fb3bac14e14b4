//! Elections, failover, exactly once over failover, and reads that show what was acked.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use antiphon_protocol::{Code, Producer, RequestId, Seq};

use super::cluster::Cluster;
use super::world::{Say, Told, named, producer};
use crate::lane::{Refused, Reject, Start, ToEdge};

const SEGMENT_BYTES: u32 = 64 * 1024;
pub(super) const ROOMS: [&str; 3] = ["tea", "jazz", "go"];

/// A publisher that sends one publish after the other, each until it is acked.
#[derive(Debug)]
struct Voice {
    room: &'static str,
    producer: Producer,
    /// The publish it is about.
    seq: u64,
    /// Where it tries.
    node: usize,
    /// The attempt under way: node, life, request, since.
    sent: Option<(usize, u64, RequestId, u64)>,
    acked: BTreeMap<u64, Seq>,
}

/// Who asks where a room stands, and what was acked there when it asked.
#[derive(Debug)]
pub(super) struct Reader {
    node: usize,
    life: u64,
    room: &'static str,
    /// Highest seq acked before.
    least: u64,
}

#[derive(Debug)]
pub(super) struct Run {
    pub(super) cluster: Cluster,
    voices: Vec<Voice>,
    pub(super) readers: BTreeMap<u64, Reader>,
    tickets: u64,
    pub(super) now_ms: u64,
    reads: u64,
    /// Of these, by nodes that led no partition then.
    pub(super) reads_by_followers: u64,
    /// Questions that were refused, with each hint.
    pub(super) turned_away: Vec<(Code, u64)>,
    moved: u64,
}

impl Run {
    pub(super) fn new(nodes: usize, seed: u64) -> Run {
        Run::with_hot(nodes, seed, 1 << 20)
    }

    fn with_hot(nodes: usize, seed: u64, hot_bytes: usize) -> Run {
        let voices = (0..5).map(|number| Voice {
            room: ROOMS[number % ROOMS.len()],
            producer: producer(1 + number as u32),
            seq: 1,
            node: number % nodes,
            sent: None,
            acked: BTreeMap::new(),
        });
        Run {
            cluster: Cluster::new(nodes, 2, SEGMENT_BYTES, seed, hot_bytes),
            voices: voices.collect(),
            readers: BTreeMap::new(),
            tickets: 100,
            now_ms: 0,
            reads: 0,
            reads_by_followers: 0,
            turned_away: Vec::new(),
            moved: 0,
        }
    }

    /// Publishers publish, or give up on an attempt and try elsewhere.
    fn speak(&mut self, until: u64) {
        for at in 0..self.voices.len() {
            let voice = &mut self.voices[at];
            if voice.acked.len() as u64 >= until {
                continue;
            }
            let lives: Vec<u64> = self.cluster.nodes.iter().map(|node| node.life).collect();
            if let Some((node, life, _, since)) = voice.sent {
                let is_lost = lives[node] != life || !self.cluster.nodes[node].is_up;
                if is_lost || self.now_ms - since > 3_000 {
                    voice.sent = None;
                    voice.node = self.cluster.dice.below(lives.len());
                }
                continue;
            }
            let (room, node) = (voice.room, voice.node);
            let Some(world) = self.cluster.up(node) else {
                voice.node = self.cluster.dice.below(lives.len());
                continue;
            };
            if !world.has_channel(room) {
                world.ask_channel(room);
                let request = RequestId(0);
                voice.sent = Some((node, lives[node], request, self.now_ms));
                continue;
            }
            let body = alloc::format!("{} {}", voice.producer.0, voice.seq);
            let request = world.batch(&[Say {
                room,
                sender: "ann",
                producer: voice.producer,
                seq: voice.seq,
                body: body.as_bytes(),
            }])[0];
            voice.sent = Some((node, lives[node], request, self.now_ms));
        }
    }

    /// Somebody asks a node where a room stands.
    fn ask(&mut self) {
        let node = self.cluster.dice.below(self.cluster.nodes.len());
        let room = ROOMS[self.cluster.dice.below(ROOMS.len())];
        self.ask_at(node, room);
    }

    pub(super) fn ask_at(&mut self, node: usize, room: &'static str) {
        let voices = self.voices.iter().filter(|voice| voice.room == room);
        let least = voices.filter_map(|voice| voice.acked.values().max()).max();
        let least = least.map_or(0, |seq| seq.0);
        let life = self.cluster.nodes[node].life;
        self.tickets += 1;
        let ticket = self.tickets;
        if let Some(world) = self.cluster.up(node) {
            world.subscribe(named(room), Start::Live, ticket);
            let reader = Reader {
                node,
                life,
                room,
                least,
            };
            self.readers.insert(ticket, reader);
        }
    }

    /// What the nodes answered.
    pub(super) fn hear(&mut self) {
        for node in 0..self.cluster.nodes.len() {
            let life = self.cluster.nodes[node].life;
            let Some(world) = self.cluster.up(node) else {
                continue;
            };
            for message in world.taken() {
                match message {
                    ToEdge::ChannelOpened(opened) => {
                        let room = opened.channel.name().as_str().to_string();
                        let world = self.cluster.world(node);
                        world.keep_channel(&room, opened.channel);
                        self.free(node, Some(&room), None);
                    }
                    ToEdge::ChannelRefused {
                        code, room, hint, ..
                    } => {
                        let crate::lane::RoomKey::Name(name) = room else {
                            panic!("asked by name")
                        };
                        self.refused(node, Some(name.as_str()), None, code, hint);
                    }
                    ToEdge::Acks(acks) => {
                        for ack in acks {
                            self.acked(node, ack.request, ack.seq);
                        }
                    }
                    ToEdge::Reject(Reject {
                        of: Refused::Publish,
                        request,
                        code,
                        hint,
                        ..
                    }) => self.refused(node, None, Some(request), code, hint),
                    ToEdge::Reject(reject) => {
                        assert!(
                            matches!(reject.code, Code::MOVED | Code::UNAVAILABLE),
                            "{reject:?}"
                        );
                        self.readers.remove(&reject.request.0);
                        self.turned_away.push((reject.code, reject.hint));
                    }
                    ToEdge::Subscribed(subscribed) => {
                        let Some(reader) = self.readers.remove(&subscribed.ticket.0) else {
                            continue;
                        };
                        assert_eq!((reader.node, reader.life), (node, life));
                        assert!(
                            subscribed.head.seq.0 >= reader.least,
                            "{}: node {node} shows {}, {} was acked before",
                            reader.room,
                            subscribed.head.seq,
                            reader.least
                        );
                        self.reads += 1;
                        let leads = (0..2).any(|partition| self.cluster.leads(node, partition));
                        self.reads_by_followers += u64::from(!leads);
                    }
                    _ => {}
                }
            }
        }
    }

    /// The attempts under way at a node, of a room's channel or of one request, are over.
    fn free(&mut self, node: usize, room: Option<&str>, request: Option<RequestId>) {
        for voice in &mut self.voices {
            let Some((at, _, sent, _)) = voice.sent else {
                continue;
            };
            let is_meant = match (room, request) {
                (Some(room), _) => sent == RequestId(0) && voice.room == room,
                (None, request) => Some(sent) == request,
            };
            if at == node && is_meant {
                voice.sent = None;
            }
        }
    }

    fn refused(
        &mut self,
        node: usize,
        room: Option<&str>,
        request: Option<RequestId>,
        code: Code,
        hint: u64,
    ) {
        assert!(
            matches!(code, Code::MOVED | Code::UNAVAILABLE),
            "refused with {code}"
        );
        let before: Vec<bool> = self
            .voices
            .iter()
            .map(|voice| voice.sent.is_some())
            .collect();
        self.free(node, room, request);
        let nodes = self.cluster.nodes.len();
        for (voice, was_sent) in self.voices.iter_mut().zip(before) {
            if was_sent && voice.sent.is_none() {
                self.moved += u64::from(code == Code::MOVED);
                voice.node = match hint {
                    0 => self.cluster.dice.below(nodes),
                    hint => hint as usize - 1,
                };
            }
        }
    }

    fn acked(&mut self, node: usize, request: RequestId, seq: Seq) {
        for voice in &mut self.voices {
            if let Some((at, _, sent, _)) = voice.sent
                && (at, sent) == (node, request)
            {
                voice.acked.insert(voice.seq, seq);
                voice.seq += 1;
                voice.sent = None;
            }
        }
    }

    /// One random thing happens.
    fn step(&mut self, until: u64) {
        let nodes = self.cluster.nodes.len();
        let node = self.cluster.dice.below(nodes);
        let other = self.cluster.dice.below(nodes);
        match self.cluster.dice.below(40) {
            0..=5 => {
                let ms = 1 + self.cluster.dice.below(12) as u64;
                self.now_ms += ms;
                self.cluster.pass_time(ms);
            }
            6..=11 => self.cluster.persist(node),
            12..=24 => {
                for _ in 0..=self.cluster.dice.below(4) {
                    self.cluster.deliver(node, other);
                }
            }
            25..=30 => self.speak(until),
            31..=33 => self.ask(),
            34 => self.trouble(node, other),
            _ => {}
        }
        self.cluster.turn(node);
        self.hear();
    }

    fn trouble(&mut self, node: usize, other: usize) {
        if !self.cluster.dice.one_in(6) {
            return;
        }
        match self.cluster.dice.below(10) {
            0 => self.cluster.reset(node, other),
            1 => self.cluster.cut(node, other),
            2 => {
                // All of one node's links, both ways.
                for other in 0..self.cluster.nodes.len() {
                    self.cluster.cut(node, other);
                    self.cluster.cut(other, node);
                }
            }
            3 | 4 => self.cluster.heal(),
            5 => self.cluster.crash(node),
            6 => {
                if let Some(leader) = self.cluster.leader(0) {
                    self.cluster.crash(leader);
                }
            }
            _ => self.cluster.restart(node),
        }
    }

    /// Faults end; everything is to be acked within a bounded time, and all replicas come to the same place.
    pub(super) fn settle(&mut self, until: u64) {
        self.cluster.heal();
        for node in 0..self.cluster.nodes.len() {
            self.cluster.restart(node);
        }
        for _ in 0..4_000 {
            self.now_ms += 5;
            self.cluster.calm_step();
            self.hear();
            self.speak(until);
            let is_done = self
                .voices
                .iter()
                .all(|voice| voice.acked.len() as u64 == until);
            if is_done && self.cluster.is_quiet() {
                return;
            }
        }
        panic!("no progress: {:#?}", self.voices);
    }

    /// Every replica has every room alike: each acked publish at its seq, each publish once, in the order of its producer.
    fn check(&mut self) {
        for room in ROOMS {
            let mut of_nodes: Vec<Vec<Told>> = Vec::new();
            for node in 0..self.cluster.nodes.len() {
                let world = self.cluster.world(node);
                let state = world
                    .home
                    .partitions
                    .iter()
                    .map(|partition| partition.state());
                let name = antiphon_protocol::RoomName::try_from(room).expect("lawful");
                let named = (antiphon_protocol::Namespace(0), name);
                let id = state.filter_map(|state| state.named(&named)).next();
                let history = id.map_or(Vec::new(), |id| world.history(id));
                of_nodes.push(history);
            }
            for history in &of_nodes[1..] {
                assert_eq!(history, &of_nodes[0], "{room}: replicas differ");
            }
            for voice in self.voices.iter().filter(|voice| voice.room == room) {
                let mine: Vec<&Told> = of_nodes[0]
                    .iter()
                    .filter(|told| told.producer == voice.producer)
                    .collect();
                let numbers: Vec<u64> = mine.iter().map(|told| told.producer_seq).collect();
                let expected: Vec<u64> = (1..=voice.acked.len() as u64).collect();
                assert_eq!(numbers, expected, "{room}: each publish once, in order");
                for told in mine {
                    let body = alloc::format!("{} {}", told.producer.0, told.producer_seq);
                    assert_eq!(told.body, body.as_bytes());
                    assert_eq!(voice.acked[&told.producer_seq].0, told.seq);
                }
            }
        }
    }
}

fn run(nodes: usize, seed: u64, steps: usize) -> Run {
    run_with_hot(nodes, seed, steps, 1 << 20)
}

fn run_with_hot(nodes: usize, seed: u64, steps: usize, hot_bytes: usize) -> Run {
    let until = 60;
    let mut run = Run::with_hot(nodes, seed, hot_bytes);
    for _ in 0..steps {
        run.step(until);
    }
    run.settle(until);
    run.check();
    run
}

#[test]
fn a_leader_is_elected_within_a_second_and_serves() {
    let mut run = Run::new(3, 1);
    let mut ms = 0;
    while run.cluster.leader(0).is_none() || run.cluster.leader(1).is_none() {
        run.cluster.calm_step();
        ms += 5;
        assert!(ms < 1_000, "no leader");
    }
    run.settle(1);
    run.check();
}

#[test]
fn what_was_acked_survives_whatever_happens_and_stands_once_everywhere() {
    let (mut failovers, mut crashes, mut reads, mut moved) = (0, 0, 0, 0);
    let mut by_followers = 0;
    for seed in 0..8 {
        let run = run(3, seed, 12_000);
        failovers += run.cluster.failovers;
        crashes += run.cluster.crashes;
        reads += run.reads;
        by_followers += run.reads_by_followers;
        moved += run.moved;
    }
    assert!(
        failovers > 20 && crashes > 20 && reads > 100 && by_followers > 100 && moved > 50,
        "a rough world: {failovers} failovers, {crashes} crashes, {reads} reads, {by_followers} by followers, {moved} moved"
    );
}

/// How often readers of all nodes read entries for others, and how often these could not be read.
fn fed(run: &Run) -> (u64, u64) {
    let worlds = run
        .cluster
        .nodes
        .iter()
        .filter_map(|node| node.world.as_ref());
    let stats = worlds.map(|world| world.home.stats());
    stats.fold((0, 0), |(reads, missing), stats| {
        (reads + stats.entries_reads, missing + stats.entries_missing)
    })
}

#[test]
fn a_replica_that_was_away_for_long_is_fed_from_the_log() {
    for was_restarted in [false, true] {
        let mut run = Run::with_hot(3, 5, 2_000);
        run.settle(1);
        run.cluster.crash(2);
        for _ in 0..20_000 {
            run.now_ms += 5;
            run.cluster.calm_step();
            run.hear();
            run.speak(120);
            if run.voices.iter().all(|voice| voice.acked.len() == 120) {
                break;
            }
        }
        if was_restarted {
            // Nobody has the entries in memory any more, and where they stand was found when the logs were opened.
            for node in 0..2 {
                run.cluster.crash(node);
                run.cluster.restart(node);
            }
        }
        run.settle(120);
        run.check();
        let (reads, missing) = fed(&run);
        assert!(
            reads > 10 && missing == 0,
            "{reads} reads, {missing} missing"
        );
    }
}

#[test]
fn with_little_in_memory_all_holds_and_those_that_lag_are_fed() {
    let mut reads = 0;
    for seed in 20..26 {
        let run = run_with_hot(3, seed, 12_000, 1_000);
        reads += fed(&run).0;
    }
    assert!(reads > 20, "{reads} reads");
}

/// A leader that was cut off does not know it for up to two election timeouts; another one is elected within one.
#[test]
fn a_leader_that_was_cut_off_shows_nothing_old_while_it_still_believes_to_lead() {
    let mut overlaps = 0;
    for phase in 0..14 {
        let mut run = Run::new(3, 7 + phase);
        run.settle(1);
        for _ in 0..5 * phase {
            run.now_ms += 5;
            run.cluster.calm_step();
        }
        let old = run.cluster.leader(0).expect("settled");
        for other in 0..3 {
            run.cluster.cut(old, other);
            run.cluster.cut(other, old);
        }
        let until = 4;
        let mut has_come_back = Vec::new();
        for _ in 0..300 {
            for voice in &mut run.voices {
                if voice.sent.is_none() && voice.node == old {
                    voice.node = (old + 1) % 3;
                }
                // Those acked elsewhere come back: what the old leader thinks of their numbers is of yesterday.
                if voice.sent.is_none()
                    && voice.acked.len() == 2
                    && !has_come_back.contains(&voice.producer)
                {
                    voice.node = old;
                    has_come_back.push(voice.producer);
                }
            }
            run.now_ms += 5;
            run.speak(until);
            for room in ROOMS {
                run.ask_at(old, room);
            }
            run.cluster.calm_step();
            run.hear();
            let is_led_anew = run.cluster.leader(0) != Some(old);
            overlaps += u64::from(run.cluster.leads(old, 0) && is_led_anew);
        }
        run.settle(until);
        run.check();
    }
    assert!(overlaps > 20, "two believed to lead in {overlaps} steps");
}

#[test]
fn five_nodes_agree_too() {
    for seed in 100..102 {
        let run = run(5, seed, 15_000);
        assert!(run.cluster.failovers > 0);
    }
}
