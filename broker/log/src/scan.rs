//! All groups' blocks, in log order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::block::{Block, BlockHead, BlockKind};
use crate::error::LogError;
use crate::group::GroupState;
use crate::group_scan::{Contradiction, GroupScan, Range};
use crate::ids::{GroupId, Index, LogPosition, Term};
use crate::recover::{Finding, Findings, GroupRecovery, Recover};
use crate::settings::LogSettings;
use crate::state::decode_state;

/// Checkpoints that were accepted, per group.
pub(crate) type Accepted = BTreeMap<GroupId, (Index, Term)>;

/// Takes blocks and unreadable ranges in log order and hands over what is known to be committed.
#[derive(Debug)]
pub(crate) struct Scan<'r, R: Recover> {
    recover: &'r mut R,
    accepted: Accepted,
    groups: BTreeMap<GroupId, GroupScan>,
    pub(crate) findings: Findings,
    /// Newest unreadable range in which any group's blocks may have stood, until a STATE names all groups.
    suspected: Option<Range>,
    /// Something was read already: a STATE is to be compared, not believed.
    is_begun: bool,
    /// Segments before the first one that is there were removed.
    is_trimmed: bool,
    /// The STATE that says what was before the first segment is lost, and none has followed it yet.
    lacks_beginning: bool,
    unsettled_bytes: u64,
    unsettled_bytes_max: u64,
    /// Groups 1 up to this one may be in the log.
    partitions: u32,
}

impl<'r, R: Recover> Scan<'r, R> {
    pub(crate) fn new(
        recover: &'r mut R,
        accepted: Accepted,
        findings: Findings,
        settings: &LogSettings,
    ) -> Self {
        let groups = BTreeMap::new();
        Scan {
            recover,
            accepted,
            groups,
            findings,
            suspected: None,
            is_begun: false,
            is_trimmed: false,
            lacks_beginning: false,
            unsettled_bytes: 0,
            unsettled_bytes_max: settings.unsettled_bytes_max,
            partitions: settings.partitions,
        }
    }

    /// The log began before the first segment that is there.
    pub(crate) fn begin_trimmed(&mut self) {
        self.is_trimmed = true;
    }

    /// Takes a valid block.
    pub(crate) fn block(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        let BlockHead { kind, group, .. } = block.head;
        let done = match kind {
            BlockKind::Mark | BlockKind::End => Ok(()),
            BlockKind::State => return self.state(block),
            BlockKind::Append(kind) => self.with_group(group, |scan| scan.append(block, kind)),
            BlockKind::HardState => self.with_group(group, |scan| scan.hard_state(block)),
            BlockKind::Checkpoint => self.with_group(group, |scan| {
                scan.checkpoint(&block.head);
                Ok(())
            }),
        };
        self.is_begun = true;
        if done == Err(Contradiction) {
            self.contradiction(group, block);
        }
        if self.unsettled_bytes > self.unsettled_bytes_max {
            return Err(LogError::Unsettled {
                group,
                bytes_max: self.unsettled_bytes_max,
            });
        }
        Ok(())
    }

    /// Takes a range that was durable and cannot be read. `only`: the head of the one block that stood there.
    pub(crate) fn damage(&mut self, range: Range, only: Option<BlockHead>) {
        let whose = only.map(|head| head.group);
        self.findings.tell(Finding::Damage {
            from: range.0,
            end: range.1,
            only: whose,
        });
        let is_begun = core::mem::replace(&mut self.is_begun, true);
        match only.map(|head| (head.kind, head)) {
            Some((BlockKind::Append(_), head)) => {
                self.group(head.group).lose_entry(head.index, range);
            }
            Some((BlockKind::HardState, head)) => self.group(head.group).lose_hard_state(range),
            // What they say is said elsewhere too, unless nothing was before.
            Some((BlockKind::Mark | BlockKind::End | BlockKind::Checkpoint, _)) => {}
            Some((BlockKind::State, _)) if is_begun => {}
            Some((BlockKind::State, _)) | None => {
                self.lacks_beginning |= self.is_trimmed && !is_begun;
                self.suspect_all(range);
            }
        }
    }

    fn suspect_all(&mut self, range: Range) {
        self.suspected = Some(range);
        for scan in self.groups.values_mut() {
            scan.suspect(range);
        }
    }

    fn state(&mut self, block: &Block<'_>) -> Result<(), LogError> {
        let Some(told) = decode_state(block.payload) else {
            return Err(LogError::UnknownBlock {
                at: block.at,
                kind: 1,
                flags: 0,
            });
        };
        let is_begun = core::mem::replace(&mut self.is_begun, true);
        let at = (block.at, block.end);
        for (group, told) in &told.groups {
            let checkpoint = self
                .accepted
                .get(group)
                .map_or(Index(0), |accepted| accepted.0);
            let done = self.with_group(*group, |scan| {
                if is_begun {
                    return scan.compare(told, at);
                }
                scan.begin(told, checkpoint, at);
                Ok(())
            });
            if done == Err(Contradiction) {
                self.contradiction(*group, block);
            }
        }
        self.suspected = None;
        self.lacks_beginning = false;
        Ok(())
    }

    fn contradiction(&mut self, group: GroupId, block: &Block<'_>) {
        self.findings.tell(Finding::Contradiction {
            at: block.at,
            group,
        });
        self.group(group).lose_hard_state((block.at, block.end));
    }

    fn group(&mut self, group: GroupId) -> &mut GroupScan {
        let suspected = self.suspected;
        let accepted = &self.accepted;
        let lacks_beginning = self.lacks_beginning;
        self.groups.entry(group).or_insert_with(|| {
            let mut scan = GroupScan::default();
            if lacks_beginning {
                scan.begins_behind = accepted.get(&group).map(|accepted| accepted.0);
            }
            if let Some(range) = suspected {
                scan.suspect(range);
            }
            scan
        })
    }

    fn with_group(
        &mut self,
        group: GroupId,
        call: impl FnOnce(&mut GroupScan) -> Result<(), Contradiction>,
    ) -> Result<(), Contradiction> {
        self.group(group);
        let Some(scan) = self.groups.get_mut(&group) else {
            return Ok(());
        };
        self.unsettled_bytes -= scan.unsettled_bytes;
        let done = call(scan);
        scan.settle(group, self.recover);
        self.unsettled_bytes += scan.unsettled_bytes;
        done
    }

    /// There is nothing more: hands over the end of each group; returns the facts to go on with, and the findings.
    pub(crate) fn finish(
        mut self,
        log_end: LogPosition,
    ) -> (BTreeMap<GroupId, GroupState>, Findings) {
        let accepted = core::mem::take(&mut self.accepted);
        for group in accepted.keys() {
            self.group(*group);
        }
        if self.suspected.is_some() {
            // All that tells of a group may have stood there.
            (1..=self.partitions).for_each(|group| {
                self.group(GroupId(group));
            });
        }
        let mut states = BTreeMap::new();
        for (group, mut scan) in self.groups {
            let checkpoint = accepted.get(&group).copied();
            scan.finish(
                group,
                checkpoint.map(|(index, _)| index),
                log_end,
                self.recover,
            );
            let damage = scan.damage();
            let mut hard_state = scan.state.hard_state;
            hard_state.commit = hard_state.commit.min(scan.state.last);
            let end = GroupRecovery {
                hard_state,
                first: scan.state.first,
                last: scan.state.last,
                terms: scan.state.runs.clone().into_runs(),
                checkpoint,
                unsettled: Vec::from(scan.unsettled),
                damage,
            };
            self.recover.group(group, end);
            states.insert(group, scan.state);
        }
        (states, self.findings)
    }
}
