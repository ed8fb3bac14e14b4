//! The troublemaker: at random moments it does one of the seed's faults, until it is told to stop.

use antiphon_log::limits::SEGMENT_HEADER_BYTES;
use antiphon_log::testing::{FaultDisk, Survival};
use antiphon_log::{Disk, DiskErrorKind, LOG_FOLDER};

use crate::history::{Fault as FaultNote, What};

use super::fault::{Cost, Fault};
use super::lives::Death;
use super::queue::{Event, MILLI, Micros, SECOND};
use super::random::Random;
use super::swarm::Choices;
use super::world::World;

/// See the module.
#[derive(Debug)]
pub(crate) struct Trouble {
    random: Random,
    /// Faults of this seed, each as often as its weight.
    deck: Vec<Fault>,
    every: Micros,
    is_over: bool,
    destructions: u64,
    destructions_max: u64,
    last: u64,
    /// No fault costs anybody service before: by what it costs, the node's, or a client's.
    spared_until: (Micros, Micros),
    spared_mean: (Micros, Micros),
    /// Disks that are full until then, by fault number.
    full: Vec<(u64, usize)>,
}

impl Trouble {
    /// The troublemaker of a world.
    pub(crate) fn new(choices: &Choices, random: Random) -> Trouble {
        let deck = choices
            .faults
            .iter()
            .flat_map(|fault| (0..fault.weight()).map(|_| *fault))
            .collect();
        Trouble {
            random,
            deck,
            every: choices.fault_every,
            is_over: false,
            destructions: 0,
            destructions_max: choices.destructions_max,
            last: 0,
            spared_until: (0, 0),
            spared_mean: choices.spared_mean,
            full: Vec::new(),
        }
    }

    /// Whether no more than one byte of what was durable is lost, so that the log knows what was.
    pub(crate) fn tells_silent_cuts(&self) -> bool {
        let may_destroy_more = |fault: &Fault| fault.destroys() && *fault != Fault::Rot;
        self.destructions <= 1 && !self.deck.iter().any(may_destroy_more)
    }

    /// Whether it is too early for another one of its cost.
    fn spares(&self, fault: Fault, now: Micros) -> bool {
        match fault.cost() {
            Cost::Node => now < self.spared_until.0,
            Cost::Client => now < self.spared_until.1,
            Cost::Nobody => false,
        }
    }

    fn spare_after(&mut self, fault: Fault, now: Micros) {
        match fault.cost() {
            Cost::Node => self.spared_until.0 = now + self.random.waiting(self.spared_mean.0),
            Cost::Client => self.spared_until.1 = now + self.random.waiting(self.spared_mean.1),
            Cost::Nobody => {}
        }
    }

    /// A span of time, mostly short, for a fault that lasts: the oftener it comes in this world the shorter, so that it is over most of the time. It
    /// has its choice of so many victims.
    fn span(&mut self, fault: Fault, victims: usize, most: Micros) -> Micros {
        let rest = self.deck.len() as u64 / fault.weight() + 1;
        let between = self.every * rest * victims as u64;
        self.random.waiting((most / 8).min(between / 3)).min(most)
    }

    /// Whether something durable was destroyed, so that damage may be found.
    pub(crate) fn has_destroyed(&self) -> bool {
        self.destructions > 0
    }
}

impl World {
    pub(crate) fn on_trouble(&mut self) {
        if self.trouble.is_over {
            return;
        }
        let wait = self.trouble.random.waiting(self.trouble.every);
        let place = self.trouble.random.place(self.trouble.deck.len());
        let fault = self.trouble.deck[place];
        let now = self.queue.now();
        let is_done = !self.trouble.spares(fault, now) && self.do_fault(fault);
        // What cannot be done now is soon followed by something else.
        let wait = if is_done { wait } else { 1 + wait / 4 };
        self.queue.after(wait, Event::Trouble);
        if is_done {
            self.trouble.spare_after(fault, now);
            self.trace.line(now, || format!("fault {fault}"));
            self.trouble.last += 1;
            self.tally.fault(fault);
            let note = FaultNote {
                id: self.trouble.last,
                name: fault.name().to_owned(),
            };
            self.history.world(now * 1_000, What::FaultStart(note));
        }
    }

    /// Does a fault; false: there is nothing to do it to.
    fn do_fault(&mut self, fault: Fault) -> bool {
        let now = self.queue.now();
        let node = self.trouble.random.place(self.nodes.len());
        match fault {
            Fault::Kill => self.die(node, Death::Killed),
            Fault::PowerKept => self.die(node, Death::Power(Survival::Kept)),
            Fault::PowerLost => self.die(node, Death::Power(Survival::Lost)),
            Fault::PowerMixed => {
                let survival = Survival::Mixed(self.trouble.random.next_u64());
                self.die(node, Death::Power(survival))
            }
            Fault::CrashInFlush => {
                let calls = 1 + self.trouble.random.below(20);
                self.is_up(node) && self.plan(node, |node| node.crash_in(calls))
            }
            Fault::CrashInOpen => {
                self.nodes[node].crashes_in_open = true;
                self.die(node, Death::Killed)
            }
            Fault::SyncFails | Fault::WriteFails => {
                let calls = 1 + self.trouble.random.below(20);
                let kind = if fault == Fault::SyncFails {
                    DiskErrorKind::Io
                } else {
                    DiskErrorKind::Other(5)
                };
                self.is_up(node) && self.plan(node, |node| node.fail_in(calls, kind))
            }
            Fault::Drain => {
                let is_up = self.is_up(node);
                self.drain(node);
                is_up
            }
            Fault::Pause => {
                let span = self.trouble.span(fault, 1, 8 * SECOND);
                self.nodes[node].paused_until = now + span;
                true
            }
            Fault::SlowCore => {
                let span = self
                    .trouble
                    .span(fault, usize::from(self.choices.cores), SECOND);
                let core = self.trouble.random.place(usize::from(self.choices.cores));
                let Some(process) = self.nodes[node].process.as_mut() else {
                    return false;
                };
                process.seats[core].stuck_until = now + span;
                true
            }
            Fault::DiskFull => self.fill_disk(node),
            Fault::SlowDisk => {
                let factor = self.trouble.random.between(5, 100);
                let span = self.trouble.span(fault, 1, 5 * SECOND);
                self.nodes[node].slow_disk = (factor, now + span);
                true
            }
            Fault::SlowReads => {
                let factor = self.trouble.random.between(10, 200);
                let span = self.trouble.span(fault, 1, 5 * SECOND);
                self.nodes[node].slow_reads = (factor, now + span);
                true
            }
            Fault::WallForward => self.jump(node, 1),
            Fault::WallBack => self.jump(node, -1),
            Fault::Refuse => {
                let span = self.trouble.span(fault, 1, 5 * SECOND);
                self.nodes[node].refuses_until = now + span;
                true
            }
            Fault::Reset | Fault::HalfOpen | Fault::Blackhole | Fault::Clog | Fault::Dribble => {
                self.hurt_link(fault)
            }
            Fault::ClientPause | Fault::ClientStall | Fault::ClientKill => self.hurt_client(fault),
            Fault::Rot | Fault::BadPage | Fault::Shorten | Fault::Remove => {
                self.hurt_disk(node, fault)
            }
        }
    }

    fn is_up(&self, node: usize) -> bool {
        self.nodes[node].process.is_some()
    }

    fn plan(&mut self, node: usize, plan: impl FnOnce(&mut super::node::Node)) -> bool {
        let node = &mut self.nodes[node];
        let is_free = node.crash_call.is_none() && node.fail_call.is_none();
        if is_free {
            plan(node);
        }
        is_free
    }

    fn die(&mut self, node: usize, death: Death) -> bool {
        let is_up = self.is_up(node);
        self.end_life(node, death);
        is_up
    }

    /// Steps of a clock: seconds to an hour. All steps of a world stay far below the seven days after which producers are forgotten.
    fn jump(&mut self, node: usize, sign: i64) -> bool {
        let most = self.trouble.random.pick(&[2_000, 60_000, 3_600_000]);
        let step = self.trouble.random.between(1, most) as i64;
        self.nodes[node].wall_skew_ms += sign * step;
        true
    }

    fn fill_disk(&mut self, node: usize) -> bool {
        let now = self.queue.now();
        let span = self.trouble.span(Fault::DiskFull, 1, 16 * SECOND);
        let disk = &self.nodes[node].disk;
        let used: usize = disk
            .names()
            .iter()
            .map(|name| disk.look(name, <[u8]>::len))
            .sum();
        let room = self
            .trouble
            .random
            .below(3 * u64::from(self.choices.segment_bytes));
        disk.set_capacity(Some(used as u64 + room));
        // A call that met the bound may return later.
        let node_full = &mut self.nodes[node].full_until;
        *node_full = (*node_full).max(now + span + 10 * SECOND);
        let number = self.trouble.last + 1;
        self.trouble.full.push((number, node));
        self.queue.after(span, Event::Heal { number });
        true
    }

    pub(crate) fn on_heal(&mut self, number: u64) {
        if let Some(place) = self
            .trouble
            .full
            .iter()
            .position(|(fault, _)| *fault == number)
        {
            let (_, node) = self.trouble.full.remove(place);
            if !self.trouble.full.iter().any(|(_, other)| *other == node) {
                self.nodes[node].disk.set_capacity(None);
            }
        }
    }

    fn hurt_link(&mut self, fault: Fault) -> bool {
        let now = self.queue.now();
        let span = self.trouble.span(fault, self.clients.len(), 10 * SECOND);
        let Trouble { random, .. } = &mut self.trouble;
        let held: Vec<u64> = self
            .links
            .iter()
            .filter(|(_, link)| link.client_holds && !link.client_is_broken)
            .map(|(number, _)| *number)
            .collect();
        if held.is_empty() {
            return false;
        }
        let number = held[random.place(held.len())];
        let is_up = random.one_in(2);
        let Some(link) = self.links.get_mut(&number) else {
            return false;
        };
        let pipe = if is_up { &mut link.up } else { &mut link.down };
        match fault {
            Fault::Reset => {
                link.up.is_dead = true;
                link.down.is_dead = true;
                for server in [false, true] {
                    let wait = 1 + random.below(200 * MILLI);
                    let event = Event::Break {
                        link: number,
                        server,
                    };
                    self.queue.after(wait, event);
                }
            }
            Fault::HalfOpen => pipe.is_dead = true,
            Fault::Blackhole => {
                link.up.is_dead = true;
                link.down.is_dead = true;
            }
            Fault::Clog => pipe.clogged_until = now + span,
            _ => pipe.dribble(random.pick(&[1, 1, 3, 17]), now + span),
        }
        true
    }

    fn hurt_client(&mut self, fault: Fault) -> bool {
        let now = self.queue.now();
        let span = self.trouble.span(fault, self.clients.len(), 10 * SECOND);
        let client = self.trouble.random.place(self.clients.len());
        match fault {
            Fault::ClientPause => self.clients[client].paused_until = now + span,
            Fault::ClientStall => self.clients[client].stalled_until = now + span,
            _ => self.kill_client(client),
        }
        true
    }

    fn hurt_disk(&mut self, node: usize, fault: Fault) -> bool {
        if fault == Fault::Remove {
            // A file is lost while nobody has it open.
            self.end_life(node, Death::Killed);
        }
        let disk = &self.nodes[node].disk;
        let names = disk.names();
        let may = self.trouble.destructions < self.trouble.destructions_max;
        if names.is_empty() || !may {
            return false;
        }
        let random = &mut self.trouble.random;
        let mut name = names[random.place(names.len())].clone();
        let mut bytes = disk.look(&name, <[u8]>::len) as u64;
        if self.choices.aims_at_content {
            let mut segments = segments(disk, &names);
            let is_any = random.one_in(2);
            let place = is_any.then(|| random.place(segments.len().max(1)));
            let place = place.unwrap_or(segments.len().saturating_sub(1));
            if place < segments.len() {
                (name, bytes) = segments.swap_remove(place);
            }
        }
        let name = &*name;
        if bytes == 0 {
            return false;
        }
        let at = random.below(bytes);
        let bit = random.below(8);
        self.trace.line(self.queue.now(), || {
            format!("node {node}: {name} at {at} of {bytes}")
        });
        match fault {
            Fault::Rot => disk.rot(name, |bytes| {
                if let Some(byte) = bytes.get_mut(at as usize) {
                    *byte ^= 1 << bit;
                }
            }),
            Fault::Shorten => disk.rot(name, |bytes| bytes.truncate(at as usize)),
            Fault::Remove => {
                let folder = name.split('/').next().unwrap_or_default();
                let removed = disk.remove(name);
                if removed.and_then(|()| disk.sync_directory(folder)).is_err() {
                    return false;
                }
            }
            _ => disk.set_bad_page(name, at / 4_096),
        }
        self.trouble.destructions += 1;
        true
    }

    /// No fault begins from here on, and those that last are over: what was cut is known to be cut, what was lost comes back.
    pub(crate) fn heal_all(&mut self) {
        let now = self.queue.now();
        self.trouble.is_over = true;
        self.peering.heal();
        for (number, _) in std::mem::take(&mut self.trouble.full) {
            let _ = number;
        }
        for number in 0..self.nodes.len() {
            let node = &mut self.nodes[number];
            node.disk.set_capacity(None);
            node.slow_disk = (1, 0);
            node.slow_reads = (1, 0);
            node.refuses_until = 0;
            node.crashes_in_open = false;
            node.paused_until = node.paused_until.min(now);
            // A fault that is planned and not met yet is not.
            if !node.is_power_gone() {
                node.crash_call = None;
                node.disk.crash_at(u64::MAX);
            }
            if node.fail_call.is_some_and(|call| node.disk.calls() < call) {
                node.fail_call = None;
                node.disk.fail_at(u64::MAX, DiskErrorKind::Io);
            }
        }
        for client in &mut self.clients {
            client.paused_until = client.paused_until.min(now);
            client.stalled_until = client.stalled_until.min(now);
        }
        for link in self.links.values_mut() {
            link.up.heal(now);
            link.down.heal(now);
        }
        self.history.world(now * 1_000, What::Healed);
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            self.queue.after(
                1,
                Event::Arrive {
                    link: number,
                    up: true,
                },
            );
            self.queue.after(
                1,
                Event::Arrive {
                    link: number,
                    up: false,
                },
            );
        }
        for client in 0..self.clients.len() {
            self.wake_client(client);
        }
    }
}

/// The segments that hold something, oldest first, and where that ends.
fn segments(disk: &FaultDisk, names: &[String]) -> Vec<(String, u64)> {
    let end = |bytes: &[u8]| {
        let last = bytes.iter().rposition(|byte| *byte != 0);
        last.map_or(0, |last| last as u64 + 1)
    };
    let segments = names.iter().filter(|name| name.starts_with(LOG_FOLDER));
    segments
        .map(|name| (name.clone(), disk.look(name, end)))
        .filter(|(_, end)| *end > u64::from(SEGMENT_HEADER_BYTES))
        .collect()
}
