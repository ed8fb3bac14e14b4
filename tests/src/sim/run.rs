//! One seed from its beginning to its verdict.
//!
//! ```text
//!  safety: clients work, faults happen   |  calm: no faults, no new work, everything must be answered   |  audit: all rooms are read
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checkers::Invariant;
use crate::history::{Head, History, Node as NodeNo, Recorder, Room, Seq as HistorySeq, What};

use super::audit::Rooms;
use super::judging::{Scope, judge};
use super::limits::{LOOK_EVERY, PROGRESS};
use super::queue::{Micros, SECOND};
use super::swarm::Plan;
use super::tally::Tally;
use super::world::{World, node_no};

/// What came of a seed.
#[derive(Debug)]
pub struct Verdict {
    /// The trace's number.
    pub trace: u64,
    /// What is wrong: what ended the world early, if something did, then what the checkers say of its history.
    pub findings: Vec<Finding>,
    /// Virtual time passed.
    pub(crate) micros: Micros,
    /// What was met.
    pub(crate) tally: Tally,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Who found it.
    pub by: Finder,
    /// What it is.
    pub what: String,
}

/// Who finds that a world is wrong.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Finder {
    /// A checker, from the history alone.
    Checker(Invariant),
    /// The simulator, which asserts what no history shows: damage out of nothing, an answer that does not come, a protocol that is broken.
    World,
    /// An assertion of the broker or the SDK.
    Panic,
}

impl Verdict {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }

    /// What is wrong in a line; `None` if nothing is.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let told: Vec<&str> = self.findings.iter().map(|found| &*found.what).collect();
        (!told.is_empty()).then(|| told.join(" | "))
    }
}

/// Runs a plan. A panic of the broker or the SDK is a failure like any other.
pub(crate) fn run(plan: &Plan) -> Verdict {
    let mut world = World::new(plan);
    let outcome =
        super::panics::quietly(|| catch_unwind(AssertUnwindSafe(|| live(&mut world, plan))));
    let mut findings = Vec::new();
    if let Err(panic) = outcome {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic without words");
        let place = super::panics::last_place();
        findings.push(Finding {
            by: Finder::Panic,
            what: format!("panic at {place}: {text}"),
        });
    } else if let Some(what) = world.failure.take() {
        let by = Finder::World;
        findings.push(Finding { by, what });
    }
    let history = world.take_history();
    if let Some(path) = &plan.history {
        let file = std::fs::File::create(path).map(std::io::BufWriter::new);
        let written = file.and_then(|mut file| crate::history::write(&history, &mut file));
        if let Err(error) = written {
            eprintln!("{}: {error}", path.display());
        }
    }
    let scope = if world.trouble.has_destroyed() {
        Scope::Destroyed
    } else if findings.is_empty() {
        Scope::Whole
    } else {
        Scope::Broken
    };
    findings.extend(judge(history, scope, &mut world.tally));
    Verdict {
        trace: world.trace.hash(),
        findings,
        micros: world.queue.now(),
        tally: world.tally.clone(),
    }
}

fn live(world: &mut World, plan: &Plan) {
    world.run_until(plan.seconds * SECOND);
    world.is_calm = true;
    world.heal_all();
    let healed = world.queue.now();
    if world.trouble.has_destroyed() {
        // What is lost cannot be demanded; that nothing wrong is shown is checked all the way.
        world.run_until(healed + PROGRESS / 3);
        return;
    }
    if !settle_while_moving(world, World::is_answered) {
        let what = world.unanswered();
        world.fail(format!("not answered after the last fault: {what}"));
    }
    if world.nodes.len() > 1 && !settle(world, world.queue.now() + PROGRESS, World::is_agreed) {
        let what = world.standings();
        world.fail(format!("replicas differ after the last fault: {what}"));
    }
    if let Some(of_nodes) = world.audit() {
        let rooms = &of_nodes[0];
        let heads = world.heads(rooms);
        if !settle_while_moving(world, |world| world.has_heard_all(&heads)) {
            let what = world.unheard(&heads);
            world.fail(format!("not at the head after the last fault: {what}"));
        }
        // Who connected anew in the meantime comes to the head again.
        let is_quiet = |world: &World| {
            let mut clients = world.clients.iter();
            clients.all(|client| client.tap.is_quiet()) && world.has_heard_all(&heads)
        };
        if !settle_while_moving(world, is_quiet) {
            let what: Vec<String> = world
                .clients
                .iter()
                .map(|client| client.tap.waits_for())
                .collect();
            world.fail(format!("not quiet at the end: {what:?}"));
        }
        world.note_rooms(of_nodes);
    }
}

/// Lets time pass until `is_done`, at most until `end`.
fn settle(world: &mut World, end: Micros, is_done: impl Fn(&World) -> bool) -> bool {
    while world.failure.is_none() {
        if is_done(world) {
            return true;
        }
        if world.queue.now() >= end {
            return false;
        }
        world.run_until(world.queue.now() + LOOK_EVERY);
    }
    true
}

/// Lets time pass until `is_done`, as long as something moves on: a slow reader with a small buffer on a thin line may take long, also for its own
/// acks, but nothing may stand still.
fn settle_while_moving(world: &mut World, is_done: impl Fn(&World) -> bool) -> bool {
    let moved = |world: &World| -> u64 {
        let subs = world
            .clients
            .iter()
            .flat_map(|client| client.app.subs.values());
        let heard: u64 = subs.filter_map(|sub| sub.at).map(|at| at.0).sum();
        let open: usize = world
            .clients
            .iter()
            .map(|client| client.app.open.len())
            .sum();
        heard + world.tally.acked + (1 << 32) - open as u64
    };
    loop {
        let before = moved(world);
        let end = world.queue.now() + PROGRESS;
        if settle(world, end, &is_done) {
            return true;
        }
        if moved(world) == before {
            return false;
        }
    }
}

impl World {
    /// Whether nobody waits for an answer, and all are connected.
    fn is_answered(&self) -> bool {
        self.nodes.iter().all(|node| node.process.is_some())
            && self.clients.iter().all(|client| {
                !client.app.is_waiting() && client.link.is_some() && client.tap.is_answered()
            })
    }

    fn unanswered(&self) -> String {
        let mut parts = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            if client.app.is_waiting() || client.link.is_none() || !client.tap.is_answered() {
                parts.push(format!(
                    "client {number}: {}, connected: {}, {}",
                    client.app.waits_for(),
                    client.link.is_some(),
                    client.tap.waits_for()
                ));
            }
        }
        parts.join("; ")
    }

    fn take_history(&mut self) -> History {
        let nodes: Vec<NodeNo> = (0..self.nodes.len()).map(node_no).collect();
        let head = Head::new("", &nodes);
        std::mem::replace(&mut self.history, Recorder::new(head)).finish()
    }

    fn audit(&mut self) -> Option<Vec<Rooms>> {
        if self.failure.is_some() {
            return None;
        }
        let of_nodes: Result<Vec<Rooms>, String> =
            self.nodes.iter().map(super::audit::rooms).collect();
        match of_nodes {
            Ok(rooms) => Some(rooms),
            Err(error) => {
                self.fail(format!("the disk cannot be read at the end: {error}"));
                None
            }
        }
    }

    fn note_rooms(&mut self, of_nodes: Vec<Rooms>) {
        self.history.world(self.queue.now() * 1_000, What::Settled);
        for (node, rooms) in of_nodes.into_iter().enumerate() {
            self.note_rooms_of(node, rooms);
        }
    }

    fn note_rooms_of(&mut self, node: usize, rooms: Rooms) {
        for (name, records) in rooms {
            let number = name
                .strip_prefix("room-")
                .and_then(|number| number.parse().ok());
            let head = records.last().map_or(HistorySeq(0), |record| record.seq);
            let what = What::FinalRead {
                room: Room(number.unwrap_or(u32::MAX)),
                head,
                records,
                gaps: Vec::new(),
            };
            self.note_node(node, what);
        }
    }

    /// The last seq of each room, as the log on the disk has it.
    fn heads(&self, rooms: &Rooms) -> Vec<u64> {
        let last = |name| rooms.get(name).and_then(|records| records.last());
        let names = self.choices.rooms.iter();
        names
            .map(|name| last(name).map_or(0, |record| record.seq.0))
            .collect()
    }

    fn has_heard_all(&self, heads: &[u64]) -> bool {
        self.clients.iter().all(|client| {
            !client.app.is_waiting()
                && client
                    .app
                    .subs
                    .values()
                    .all(|sub| sub.at.map_or(0, |at| at.0) >= heads[sub.room])
        })
    }

    fn unheard(&self, heads: &[u64]) -> String {
        let mut parts = Vec::new();
        for (number, client) in self.clients.iter().enumerate() {
            for (ticket, sub) in &client.app.subs {
                let at = sub.at.map_or(0, |at| at.0);
                if at < heads[sub.room] {
                    parts.push(format!(
                        "client {number} subscription {ticket} of room {} at {at} of {}",
                        sub.room, heads[sub.room]
                    ));
                }
            }
        }
        parts.join("; ")
    }
}
