//! What `verify` answers.

use antiphon_log::{Finding as Found, GroupRecovery, Index, LogPosition, Outcome, Recovery};
use serde::Serialize;

use crate::inspect::rooms::RoomCheck;
use crate::inspect::verify::{Finding, RoomLoss};
use crate::inspect::{DirectoryInfo, Place};

/// Findings and losses told at most; more are counted only.
const TOLD_MAX: usize = 1_000;

/// The result.
#[derive(Clone, Debug, Serialize)]
pub struct Verification {
    /// Which directory.
    pub directory: DirectoryInfo,
    /// How the log was found.
    pub outcome: LogOutcome,
    /// Segments in it.
    pub segments: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Whole blocks, also those that do not count.
    pub blocks: u64,
    /// Entries that a broker would be handed.
    pub entries: u64,
    /// Records in them, each checked.
    pub records: u64,
    /// Rooms in them.
    pub rooms: u64,
    /// Checkpoint files that are whole.
    pub checkpoints: u64,
    /// Where the log ends.
    pub end: Place,
    /// What is out of order.
    pub findings: Vec<Finding>,
    /// Further findings, counted only.
    pub findings_dropped: u64,
    /// What damage means to rooms.
    pub losses: Vec<RoomLoss>,
    /// Further rooms, counted only.
    pub losses_dropped: u64,
    /// Every group.
    pub groups: Vec<GroupReport>,
}

/// How the log was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogOutcome {
    /// There is no log.
    Fresh,
    /// It was closed in order.
    Clean,
    /// It was not closed, or is open: nothing that was acknowledged is missing.
    Unclean,
    /// Something that was durable is gone or cannot be read.
    Damaged,
}

/// One group.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct GroupReport {
    /// Its number.
    pub group: u32,
    /// First entry in the log.
    pub first: u64,
    /// Last entry that can be used.
    pub last: u64,
    /// Last entry known to be committed.
    pub commit: u64,
    /// Newest term.
    pub term: u64,
    /// The vote in it.
    pub vote: u64,
    /// The checkpoint that would be used.
    pub checkpoint: Option<u64>,
    /// Entries that are durable but not known to be committed.
    pub unsettled: u64,
    /// The first entry that is lost or may be.
    pub hole: Option<u64>,
    /// The next entry seen behind the hole.
    pub seen_again: Option<u64>,
    /// A term or vote may be lost.
    pub hard_state_lost: bool,
}

impl Verification {
    /// What recovery tells; the other passes add to it.
    pub(super) fn new(directory: DirectoryInfo, recovery: &Recovery, check: &RoomCheck) -> Self {
        let mut result = Verification {
            directory,
            outcome: recovery.outcome.into(),
            segments: 0,
            bytes: 0,
            blocks: 0,
            entries: check.entries,
            records: check.records,
            rooms: check.rooms.len() as u64,
            checkpoints: 0,
            end: log_end(recovery).into(),
            findings: Vec::new(),
            findings_dropped: recovery.findings_dropped,
            losses: Vec::new(),
            losses_dropped: 0,
            groups: check
                .groups
                .iter()
                .map(|(group, end)| group_report(group.0, end))
                .collect(),
        };
        for finding in recovery.findings.iter().filter_map(Finding::told) {
            result.find(finding);
        }
        for fault in &check.faults {
            result.find(fault.into());
        }
        result
    }

    /// Whether nothing is damaged. A torn end is no damage.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let harmless = |finding: &Finding| matches!(finding, Finding::Torn { .. });
        self.outcome != LogOutcome::Damaged
            && self.findings_dropped == 0
            && self.losses.is_empty()
            && self.findings.iter().all(harmless)
    }

    pub(super) fn find(&mut self, finding: Finding) {
        if self.findings.len() < TOLD_MAX {
            self.findings.push(finding);
        } else {
            self.findings_dropped += 1;
        }
    }

    pub(super) fn lose(&mut self, loss: RoomLoss) {
        if self.losses.len() < TOLD_MAX {
            self.losses.push(loss);
        } else {
            self.losses_dropped += 1;
        }
    }
}

impl From<Outcome> for LogOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Fresh => LogOutcome::Fresh,
            Outcome::Clean => LogOutcome::Clean,
            Outcome::Unclean => LogOutcome::Unclean,
            Outcome::Damaged => LogOutcome::Damaged,
        }
    }
}

/// Where the log ends: at a tear, if there is one, for recovery then goes on in a new segment.
fn log_end(recovery: &Recovery) -> LogPosition {
    let torn = recovery.findings.iter().find_map(|finding| match finding {
        Found::Torn { at } => Some(*at),
        _ => None,
    });
    torn.unwrap_or(recovery.sync_end)
}

/// The first index that a group has lost.
pub(super) fn hole(group: &GroupRecovery) -> Option<Index> {
    group.damage.and_then(|damage| damage.hole)
}

fn group_report(group: u32, recovery: &GroupRecovery) -> GroupReport {
    GroupReport {
        group,
        first: recovery.first.0,
        last: recovery.last.0,
        commit: recovery.hard_state.commit.0,
        term: recovery.hard_state.term.0,
        vote: recovery.hard_state.vote,
        checkpoint: recovery.checkpoint.map(|(index, _)| index.0),
        unsettled: recovery.unsettled.len() as u64,
        hole: recovery
            .damage
            .and_then(|damage| damage.hole)
            .map(|index| index.0),
        seen_again: recovery
            .damage
            .and_then(|damage| damage.seen_again)
            .map(|index| index.0),
        hard_state_lost: recovery.damage.is_some_and(|damage| damage.hard_state_lost),
    }
}
