//! Worlds that stress one thing: where a kind of bug shows often that the worlds of the swarm meet seldom.
//!
//! Such a world is one of the swarm with a few choices made for it; everything else comes from its seed. The product must be good in all of them.

use super::fault::Fault;
use super::queue::{MILLI, SECOND};
use super::swarm::Choices;

/// What is stressed.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stress {
    /// Ends of the log: the power goes again and again, soon after each start, while little was written.
    Tails,
    /// Damage in the middle: one bit of the log rots, and everything is read again and again.
    Rot,
    /// Lanes between cores: each holds one message, and few publishes come at a time, to many rooms.
    Lanes,
    /// Readers that are behind: they take one record at a time, through thin pipes.
    Behind,
    /// Raft itself refuses proposals: little may be uncommitted, and the disk is slow.
    Narrow,
    /// Connections that end while their publishes wait for a slow disk.
    Churn,
    /// Producers that are silent in most rooms, in front of a broker that nobody stops.
    Idle,
    /// Hot tails: much is on its way to a slow disk, and little may be kept in memory.
    Swell,
}

impl Stress {
    /// All of them.
    pub(crate) const ALL: [Stress; 8] = [
        Stress::Tails,
        Stress::Rot,
        Stress::Lanes,
        Stress::Behind,
        Stress::Narrow,
        Stress::Churn,
        Stress::Idle,
        Stress::Swell,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stress::Tails => "tails",
            Stress::Rot => "rot",
            Stress::Lanes => "lanes",
            Stress::Behind => "behind",
            Stress::Narrow => "narrow",
            Stress::Churn => "churn",
            Stress::Idle => "idle",
            Stress::Swell => "swell",
        }
    }

    /// Makes its choices.
    pub(crate) fn on(self, mut choices: Choices) -> Choices {
        choices.spared_mean = (0, 0);
        match self {
            Stress::Tails => tails(&mut choices),
            Stress::Rot => rot(&mut choices),
            Stress::Lanes => lanes(&mut choices),
            Stress::Behind => behind(&mut choices),
            Stress::Narrow => narrow(&mut choices),
            Stress::Churn => churn(&mut choices),
            Stress::Idle => idle(&mut choices),
            Stress::Swell => swell(&mut choices),
        }
        choices
    }
}

fn tails(choices: &mut Choices) {
    choices.faults = vec![
        Fault::PowerLost,
        Fault::PowerMixed,
        Fault::CrashInFlush,
        Fault::CrashInOpen,
    ];
    choices.fault_every = SECOND / 4;
    choices.partitions = 4;
}

fn rot(choices: &mut Choices) {
    choices.faults = vec![Fault::Kill, Fault::PowerKept, Fault::Rot];
    choices.fault_every = 3 * SECOND;
    choices.destructions_max = 1;
    choices.aims_at_content = true;
    choices.limits.budgets.checkpoint_bytes_min = 2_000;
    for role in &mut choices.clients {
        role.publish_every = 60 * MILLI;
        role.fetch_every = 2 * SECOND;
        role.roam_every = SECOND;
        role.takes = 0;
        role.follows = (0..choices.rooms.len()).collect();
    }
}

fn lanes(choices: &mut Choices) {
    choices.cores = choices.cores.max(3);
    choices.partitions = 8;
    choices.lane_places = 1;
    choices.lane_turn = 1;
    choices.wake_max = 2_000;
    for role in &mut choices.clients {
        role.publish_every = 400 * MILLI;
        role.burst = 8;
        role.window = 64;
        role.follows = (0..choices.rooms.len()).collect();
    }
}

fn behind(choices: &mut Choices) {
    choices.pipe_bytes = 600;
    choices.rooms.truncate(1);
    for (place, role) in choices.clients.iter_mut().enumerate() {
        // Whoever publishes reads nothing, so that its acks come at once.
        let is_reader = place > 0;
        role.publish_every = if is_reader { 0 } else { 20 * MILLI };
        role.burst = 8;
        role.window = 64;
        role.takes = 1;
        role.subscription_records = 4;
        role.follows = if is_reader { vec![0] } else { Vec::new() };
    }
}

fn narrow(choices: &mut Choices) {
    choices.flush_mean = 20 * MILLI;
    let budgets = &mut choices.limits.budgets;
    budgets.uncommitted_bytes_max = budgets.entry_bytes_max as u64;
    for role in &mut choices.clients {
        role.publish_every = 40 * MILLI;
        // Whoever gives up while a proposal is dropped has no answer, and wants none.
        role.patience = 0;
        role.burst = 8;
        role.window = 64;
    }
}

fn churn(choices: &mut Choices) {
    choices.cores = 1;
    choices.faults = vec![Fault::Reset, Fault::SlowDisk, Fault::ClientKill];
    choices.fault_every = SECOND / 5;
    choices.flush_mean = 20 * MILLI;
    for role in &mut choices.clients {
        role.publish_every = 100 * MILLI;
        // Whoever gives up while its connection is gone has no answer, and wants none.
        role.patience = 0;
        role.window = 64;
    }
}

fn idle(choices: &mut Choices) {
    choices.rooms = (0..8).map(|room| format!("room-{room}")).collect();
    choices.faults = vec![Fault::Reset, Fault::Clog, Fault::WallForward];
    for role in &mut choices.clients {
        role.publish_every = 400 * MILLI;
        role.burst = 1;
    }
}

fn swell(choices: &mut Choices) {
    choices.partitions = 1;
    choices.flush_mean = 20 * MILLI;
    let budgets = &mut choices.limits.budgets;
    budgets.hot_bytes = 4 * budgets.entry_bytes_max;
    for role in &mut choices.clients {
        role.publish_every = 40 * MILLI;
        role.patience = 0;
        role.burst = 8;
        role.window = 64;
    }
}
