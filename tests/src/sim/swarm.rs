//! What kind of world a seed is: its size, its limits, its speed, and which faults it has.
//!
//! Not all faults in all worlds: a fault that ends most runs early would hide the others, so each is on or off per seed (swarm testing).

use std::collections::BTreeSet;
use std::path::PathBuf;

use antiphon_core::limits::{Budgets, Limits};

use super::fault::{Cost, Fault};
use super::queue::{MILLI, Micros, SECOND};
use super::random::Random;
use super::stress::Stress;

/// What the caller asks for: a seed, and what to leave out of its world.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Everything follows from it.
    pub(crate) seed: u64,
    /// How many nodes.
    pub(crate) nodes: usize,
    /// Faults left out.
    pub(crate) without: BTreeSet<Fault>,
    /// At most so many clients.
    pub(crate) clients_max: usize,
    /// How long the safety phase takes, in virtual seconds.
    pub(crate) seconds: u64,
    /// Five clients that publish all the time, and more faults: the world by which speed is measured.
    pub(crate) is_busy: bool,
    /// One thing is stressed.
    pub(crate) stress: Option<Stress>,
    /// Print each event.
    pub(crate) is_traced: bool,
    /// Where the history goes.
    pub(crate) history: Option<PathBuf>,
}

impl Plan {
    /// The world of `seed`, whole.
    pub(crate) fn new(seed: u64) -> Plan {
        Plan {
            seed,
            nodes: 1,
            without: BTreeSet::new(),
            clients_max: usize::MAX,
            seconds: 60,
            is_busy: false,
            stress: None,
            is_traced: false,
            history: None,
        }
    }
}

/// A world's choices.
#[derive(Clone, Debug)]
pub(crate) struct Choices {
    /// Nodes.
    pub(crate) nodes: usize,
    /// Core threads per node.
    pub(crate) cores: u16,
    /// Partitions of the data directory.
    pub(crate) partitions: u16,
    /// Names of rooms.
    pub(crate) rooms: Vec<String>,
    /// Who is there.
    pub(crate) clients: Vec<Role>,
    /// Faults that happen.
    pub(crate) faults: Vec<Fault>,
    /// Mean time between two faults.
    pub(crate) fault_every: Micros,
    /// After a fault that costs a node its service, or a client, none does for this time in the mean: a world that is always down shows little.
    pub(crate) spared_mean: (Micros, Micros),
    /// At most so many of them destroy something durable.
    pub(crate) destructions_max: u64,
    /// Those hit what a segment holds, every other one the newest.
    pub(crate) aims_at_content: bool,
    /// Size of a segment.
    pub(crate) segment_bytes: u32,
    /// Repeat the synced end in the segment's first page.
    pub(crate) mark_slots: bool,
    /// The broker's limits.
    pub(crate) limits: Limits,
    /// Messages in a lane.
    pub(crate) lane_places: usize,
    /// Messages taken from a lane in one turn.
    pub(crate) lane_turn: usize,
    /// Jobs waiting for the log thread.
    pub(crate) log_places: usize,
    /// Jobs waiting for reader threads.
    pub(crate) read_places: usize,
    /// Most that a thread waits to be scheduled.
    pub(crate) wake_max: Micros,
    /// Mean time of a flush.
    pub(crate) flush_mean: Micros,
    /// Mean time of a read.
    pub(crate) read_mean: Micros,
    /// Least and mean further delay of bytes on the way.
    pub(crate) net_delay: (Micros, Micros),
    /// Bytes that a direction of a connection holds.
    pub(crate) pipe_bytes: usize,
    /// Largest body of a publish.
    pub(crate) body_bytes_max: u64,
}

/// What a client does.
#[derive(Clone, Debug)]
pub(crate) struct Role {
    /// Mean time between two publishes; 0: none.
    pub(crate) publish_every: Micros,
    /// Publishes at a time.
    pub(crate) burst: u64,
    /// Most publishes without an answer.
    pub(crate) window: usize,
    /// Waits no longer for an answer after this time; 0: waits for ever.
    pub(crate) patience: Micros,
    /// Rooms followed, by place in the list.
    pub(crate) follows: Vec<usize>,
    /// Mean time between two reads of history; 0: none.
    pub(crate) fetch_every: Micros,
    /// Mean time between two changes of subscriptions; 0: none.
    pub(crate) roam_every: Micros,
    /// Records its application takes per step; 0: all at once.
    pub(crate) takes: usize,
    /// Records that wait for the application at most.
    pub(crate) subscription_records: u32,
    /// Asks for this keepalive.
    pub(crate) keepalive_ms: u64,
    /// Keeps its producer over its own restarts.
    pub(crate) keeps_producer: bool,
    /// Speaks frames, and has no SDK: signals, cursors, publishes that name their place.
    pub(crate) is_raw: bool,
    /// Takes its time also after the last fault.
    pub(crate) stays_slow: bool,
}

impl Choices {
    /// The choices of a plan.
    pub(crate) fn new(plan: &Plan) -> Choices {
        let mut random = Random::new(plan.seed).fork(1);
        let random = &mut random;
        let cores = random.pick(&[1, 1, 2, 2, 3, 4]);
        let rooms: Vec<String> = (0..random.between(1, 8))
            .map(|room| format!("room-{room}"))
            .collect();
        let clients = 3 + random.place(4);
        let clients = if plan.is_busy { 5 } else { clients };
        // A few quiet worlds; in most there is so much to do that 50 messages a second are left when the faults have had their share.
        let rate = random.pick(&[20, 120, 150, 150, 200, 200]);
        let publish_every = SECOND * clients as u64 / rate;
        let mut clients: Vec<Role> = (0..clients)
            .map(|_| Role::new(random, rooms.len(), publish_every))
            .collect();
        clients.truncate(plan.clients_max);
        // An entry, which is a batch at least, must fit into a segment beside its STATE.
        let (segment_bytes, entry_bytes_max, batch, body_bytes_max) = random.pick(&[
            (8 * 1024, 1_200, (800, 8), 700),
            (12 * 1024, 2_000, (1_600, 16), 1_000),
            (16 * 1024, 3_000, (3_000, 24), 2_000),
            (64 * 1024, 8_000, (16_000, 64), 8_000),
        ]);
        let budgets = Budgets {
            hot_bytes: entry_bytes_max * random.pick(&[4, 4, 8, 40]),
            entry_bytes_max,
            room_visit_bytes_min: entry_bytes_max / random.pick(&[1, 2, 4]),
            uncommitted_bytes_max: Budgets::default().uncommitted_bytes_max,
            checkpoint_bytes_min: random.pick(&[2_000, 10_000, 50_000, 1 << 20]),
            batch_bytes_max: batch.0,
            batch_publishes_max: batch.1,
            outbox_bytes: random.pick(&[1_024, 4_096, 32 * 1024, 256 * 1024]),
            outboxes_bytes: random.pick(&[4_096, 64 * 1024 * 1024, 64 * 1024 * 1024]),
        };
        let limits = Limits {
            in_flight_max: random.pick(&[1, 4, 32, 256, 256, 1_024, 1_024]),
            requests_max: random.pick(&[1, 2, 64]),
            fetch_records_max: random.pick(&[5, 100, 1_000]),
            body_bytes_max: 16 * 1024,
            budgets,
            ..Limits::default()
        };
        let choices = Choices {
            nodes: plan.nodes,
            cores,
            partitions: random.pick(&[1, 2, 4, 8]),
            rooms,
            clients,
            faults: faults(plan, random),
            fault_every: SECOND / random.pick(&[1, 4, 7, 7, 7, 10]),
            spared_mean: (4 * SECOND, SECOND),
            destructions_max: u64::MAX,
            aims_at_content: false,
            segment_bytes,
            mark_slots: !random.one_in(4),
            limits,
            lane_places: random.pick(&[1, 2, 8, 1_024]),
            lane_turn: random.pick(&[1, 4, 256]),
            log_places: random.pick(&[1, 4, 4_096]),
            read_places: random.pick(&[1, 4, 1_024]),
            wake_max: random.pick(&[20, 200, 2_000]),
            flush_mean: random.pick(&[200, MILLI, 5 * MILLI, 20 * MILLI]),
            read_mean: random.pick(&[100, MILLI, 10 * MILLI]),
            net_delay: random.pick(&[
                (50, 50),
                (500, 500),
                (5 * MILLI, 2 * MILLI),
                (0, 20 * MILLI),
            ]),
            pipe_bytes: random.pick(&[600, 4_096, 4_096, 64 * 1024]),
            body_bytes_max,
        };
        let choices = match plan.is_busy {
            true => choices.busy(plan),
            false => choices,
        };
        let choices = match plan.stress {
            Some(stress) => stress.on(choices),
            None => choices,
        };
        match plan.nodes {
            1 => choices,
            _ => choices.cluster(),
        }
    }

    /// The same with several nodes. One partition: a session of the SDK speaks to one node, and must find all its rooms led there. Nothing is destroyed:
    /// whoever lost what it had acked does not come back by itself yet.
    fn cluster(mut self) -> Choices {
        self.partitions = 1;
        self.faults.retain(|fault| !fault.destroys());
        // A session leaves a node that is too busy to read for it, and comes back to the same leader: with so few places two of its rooms would keep each
        // other from being followed for ever.
        self.read_places = self.read_places.max(64);
        for role in &mut self.clients {
            // To find the leader takes a few attempts, and the SDK waits longer before each.
            role.patience = 0;
            // It would have to find the leader by itself.
            role.is_raw = false;
        }
        self
    }

    /// The same with much to do and much going wrong.
    fn busy(mut self, plan: &Plan) -> Choices {
        for role in &mut self.clients {
            role.publish_every = 72 * MILLI;
            role.subscription_records = role.subscription_records.max(256);
            role.burst = 1;
            role.window = 256;
            role.is_raw = false;
            role.patience = 0;
        }
        let is_on = |fault: &Fault| !fault.destroys() && !plan.without.contains(fault);
        self.faults = Fault::ALL.into_iter().filter(is_on).collect();
        self.fault_every = SECOND / 7;
        self.limits.in_flight_max = 256;
        self.limits.requests_max = 64;
        let Budgets {
            outbox_bytes,
            outboxes_bytes,
            ..
        } = Budgets::default();
        self.limits.budgets.outbox_bytes = outbox_bytes;
        self.limits.budgets.outboxes_bytes = outboxes_bytes;
        self.pipe_bytes = 64 * 1024;
        self.wake_max = 200;
        self.flush_mean = MILLI;
        self.net_delay = (500, 500);
        self
    }
}

/// Which faults a seed has: none, a few, or most. Some that the world survives without a pause are always among them.
fn faults(plan: &Plan, random: &mut Random) -> Vec<Fault> {
    let percent = random.pick(&[0, 25, 25, 50, 50, 50, 80, 80]);
    // Lost data makes the strongest checks impossible: in worlds of its own.
    let may_destroy = random.one_in(10);
    let costs_nobody = |fault: &Fault| fault.cost() == Cost::Nobody && !fault.destroys();
    let light: Vec<Fault> = Fault::ALL.into_iter().filter(costs_nobody).collect();
    let (one, other) = (random.pick(&light), random.pick(&light));
    Fault::ALL
        .into_iter()
        .filter(|fault| {
            let is_chosen = percent > 0 && [one, other].contains(fault);
            let is_on = random.percent(percent) || is_chosen;
            is_on && (may_destroy || !fault.destroys()) && !plan.without.contains(fault)
        })
        .collect()
}

impl Role {
    fn new(random: &mut Random, rooms: usize, publish_every: Micros) -> Role {
        let follows = (0..rooms).filter(|_| random.one_in(2)).collect();
        let burst = random.pick(&[1, 1, 2, 8]);
        // Some publish more than others, and one in five nothing.
        let share = random.pick(&[0, 1, 2, 2, 4]);
        Role {
            publish_every: (publish_every * (1 + burst))
                .checked_div(share)
                .unwrap_or(0),
            burst,
            window: random.pick(&[1, 8, 64, 64, 256, 256, 256]),
            patience: random.pick(&[0, 0, 2 * SECOND, 20 * SECOND]),
            follows,
            fetch_every: random.pick(&[0, 300 * MILLI, 2 * SECOND]),
            roam_every: random.pick(&[0, SECOND, 5 * SECOND]),
            takes: random.pick(&[0, 0, 1, 10]),
            subscription_records: random.pick(&[4, 32, 64, 256, 4_096]),
            keepalive_ms: random.pick(&[1_000, 2_000, 5_000]),
            keeps_producer: random.one_in(3),
            is_raw: random.one_in(5),
            stays_slow: random.one_in(8),
        }
    }
}
