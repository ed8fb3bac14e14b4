//! What was met: a world in which something never happens proves nothing about it.
//!
//! Every variant of what opening a log finds, and of what goes wrong, is counted by an exhaustive match where its enum allows one.

use std::collections::BTreeMap;

use antiphon_client::{ClientError, History, PublishError, SubscribeError};
use antiphon_core::CoreEvent;
use antiphon_log::{Finding, LogError, Outcome, Recovery};
use antiphon_protocol::Code;

use crate::checkers::Check;

use super::fault::Fault;

/// Counters of one world, or of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: u64,
    pub(crate) turns: u64,
    pub(crate) publishes: u64,
    pub(crate) acked: u64,
    pub(crate) ack_us: u64,
    pub(crate) duplicates: u64,
    pub(crate) unknown: u64,
    pub(crate) deliveries: u64,
    pub(crate) gaps: u64,
    pub(crate) signals: u64,
    pub(crate) signals_dropped: u64,
    pub(crate) cursors: u64,
    pub(crate) flushes: u64,
    pub(crate) checkpoints: u64,
    pub(crate) checkpoints_not_written: u64,
    pub(crate) segments: u64,
    pub(crate) segments_not_made: u64,
    pub(crate) reads: u64,
    /// Pieces of the log for replicas that lag.
    pub(crate) entry_reads: u64,
    pub(crate) reads_failed: u64,
    pub(crate) reads_refused: u64,
    pub(crate) lanes_refused: u64,
    pub(crate) connections: u64,
    pub(crate) dials_failed: u64,
    pub(crate) sessions: u64,
    pub(crate) starts_refused: u64,
    pub(crate) closes: u64,
    pub(crate) drain_looks: u64,
    pub(crate) compared: u64,
    pub(crate) peer_frames: u64,
    pub(crate) peer_frames_lost: u64,
    pub(crate) peer_troubles: u64,
    /// Clients that went to another node because they were told to.
    pub(crate) moves: u64,
    pub(crate) elections: u64,
    /// Everything that has a name.
    pub(crate) named: BTreeMap<String, u64>,
}

/// What must be met by enough worlds, apart from faults. Not `unlinked` and `contradiction`, which no fault of a disk makes (docs/simulation.md).
const WANTED: [&str; 14] = [
    "storage full",
    "recovery fresh",
    "recovery clean",
    "recovery unclean",
    "recovery damaged",
    "finding torn",
    "finding damage",
    "finding unreadable",
    "finding short",
    "finding missing",
    "finding header",
    "finding state",
    "finding slot",
    "finding checkpoint",
];

impl Tally {
    fn count(&mut self, name: impl Into<String>) {
        *self.named.entry(name.into()).or_default() += 1;
    }

    /// Too little was left of a disk.
    pub(crate) fn storage_full(&mut self) {
        self.count("storage full");
    }

    /// Adds another world's counts.
    pub(crate) fn add(&mut self, other: &Tally) {
        let pairs = [
            (&mut self.events, other.events),
            (&mut self.turns, other.turns),
            (&mut self.publishes, other.publishes),
            (&mut self.acked, other.acked),
            (&mut self.ack_us, other.ack_us),
            (&mut self.duplicates, other.duplicates),
            (&mut self.unknown, other.unknown),
            (&mut self.deliveries, other.deliveries),
            (&mut self.gaps, other.gaps),
            (&mut self.signals, other.signals),
            (&mut self.signals_dropped, other.signals_dropped),
            (&mut self.cursors, other.cursors),
            (&mut self.flushes, other.flushes),
            (&mut self.checkpoints, other.checkpoints),
            (
                &mut self.checkpoints_not_written,
                other.checkpoints_not_written,
            ),
            (&mut self.segments, other.segments),
            (&mut self.segments_not_made, other.segments_not_made),
            (&mut self.reads, other.reads),
            (&mut self.entry_reads, other.entry_reads),
            (&mut self.reads_failed, other.reads_failed),
            (&mut self.reads_refused, other.reads_refused),
            (&mut self.lanes_refused, other.lanes_refused),
            (&mut self.connections, other.connections),
            (&mut self.dials_failed, other.dials_failed),
            (&mut self.sessions, other.sessions),
            (&mut self.starts_refused, other.starts_refused),
            (&mut self.closes, other.closes),
            (&mut self.drain_looks, other.drain_looks),
            (&mut self.compared, other.compared),
            (&mut self.peer_frames, other.peer_frames),
            (&mut self.peer_frames_lost, other.peer_frames_lost),
            (&mut self.peer_troubles, other.peer_troubles),
            (&mut self.moves, other.moves),
            (&mut self.elections, other.elections),
        ];
        for (mine, theirs) in pairs {
            *mine += theirs;
        }
        for (name, count) in &other.named {
            *self.named.entry(name.clone()).or_default() += count;
        }
    }

    /// How many faults happened.
    pub(crate) fn faults(&self) -> u64 {
        Fault::ALL
            .into_iter()
            .filter_map(|fault| self.named.get(&format!("fault {fault}")))
            .sum()
    }

    /// Faults that were never met.
    pub(crate) fn missed_faults(&self) -> Vec<String> {
        let faults = Fault::ALL.into_iter().map(|fault| format!("fault {fault}"));
        faults
            .filter(|name| !self.named.contains_key(name))
            .collect()
    }

    /// What was never met.
    pub(crate) fn missed(&self) -> Vec<String> {
        let wanted = WANTED.iter().map(|name| (*name).to_owned());
        let mut missed = self.missed_faults();
        missed.extend(wanted.filter(|name| !self.named.contains_key(name)));
        missed
    }

    /// A checker has looked at a history.
    pub(crate) fn checked(&mut self, check: &Check) {
        if check.compared > 0 {
            self.count(format!("shown {:?}", check.invariant));
        }
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        self.count(format!("fault {fault}"));
    }

    pub(crate) fn recovery(&mut self, recovery: &Recovery) {
        self.count(match recovery.outcome {
            Outcome::Fresh => "recovery fresh",
            Outcome::Clean => "recovery clean",
            Outcome::Unclean => "recovery unclean",
            Outcome::Damaged => "recovery damaged",
        });
        for finding in &recovery.findings {
            self.count(match finding {
                Finding::Torn { .. } => "finding torn",
                Finding::Damage { .. } => "finding damage",
                Finding::Unreadable { .. } => "finding unreadable",
                Finding::Short { .. } => "finding short",
                Finding::Missing { .. } => "finding missing",
                Finding::Header { .. } => "finding header",
                Finding::State { .. } => "finding state",
                Finding::Slot { .. } => "finding slot",
                Finding::Unlinked { .. } => "finding unlinked",
                Finding::Contradiction { .. } => "finding contradiction",
                Finding::Checkpoint { .. } => "finding checkpoint",
            });
        }
    }

    pub(crate) fn log_error(&mut self, error: &LogError) {
        match error {
            LogError::Disk(error) => self.count(format!("log {:?} {:?}", error.op, error.kind)),
            other => self.count(format!("log {other}")),
        }
    }

    pub(crate) fn core_event(&mut self, event: &CoreEvent) {
        match event {
            CoreEvent::SessionOpened { .. } => self.count("core session opened"),
            CoreEvent::GoawaySent { code, .. } => self.count(format!("core goaway {code}")),
            CoreEvent::GroupQuarantined { code, .. } => {
                self.count(format!("core group quarantined {code}"));
            }
            _ => self.count("core event other"),
        }
    }

    pub(crate) fn goaway(&mut self, code: Code) {
        self.count(format!("client goaway {code}"));
    }

    pub(crate) fn error_code(&mut self, code: Code) {
        self.count(format!("client error {code}"));
    }

    pub(crate) fn connection_failed(&mut self, error: &ClientError) {
        let name = match error {
            ClientError::Connect { .. } => "refused".to_owned(),
            ClientError::Goaway { .. } => "goaway".to_owned(),
            other => other.to_string(),
        };
        self.count(format!("connection {name}"));
    }

    pub(crate) fn publish_error(&mut self, error: &PublishError) {
        let name = match error {
            PublishError::Rejected(rejection) => format!("rejected {}", rejection.code),
            PublishError::OutOfOrder { .. } => "out of order".to_owned(),
            PublishError::Closed(_) => "closed".to_owned(),
            other => other.to_string(),
        };
        self.count(format!("publish {name}"));
    }

    pub(crate) fn subscribe_error(&mut self, error: &SubscribeError) {
        let name = match error {
            SubscribeError::Rejected(rejection) => format!("rejected {}", rejection.code),
            SubscribeError::Diverged { .. } => "diverged".to_owned(),
            SubscribeError::Protocol(_) => "protocol".to_owned(),
            SubscribeError::Closed(_) => "closed".to_owned(),
            other => other.to_string(),
        };
        self.count(format!("subscription {name}"));
    }

    pub(crate) fn fetched(&mut self, result: &Result<History, ClientError>) {
        match result {
            Ok(_) => self.count("fetch answered"),
            Err(ClientError::Rejected(rejection)) => {
                self.count(format!("fetch rejected {}", rejection.code));
            }
            Err(ClientError::Protocol(_)) => self.count("fetch protocol"),
            Err(other) => self.count(format!("fetch {other}")),
        }
    }

    pub(crate) fn closed(&mut self, reason: &ClientError) {
        let name = match reason {
            ClientError::Goaway { code, .. } => format!("goaway {code}"),
            other => other.to_string(),
        };
        self.count(format!("session closed by {name}"));
    }
}
