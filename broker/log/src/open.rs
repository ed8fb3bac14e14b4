//! Opening: read everything once, tell the owner what is known, decide where writing goes on.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::active::ActiveSegment;
use crate::chain::{Chain, read_chain};
use crate::checkpoint::Checkpoint;
use crate::checkpoint_files::{CHECKPOINT_FOLDER, CheckpointFiles, read_checkpoint};
use crate::disk_trait::{Disk, DiskErrorKind};
use crate::error::LogError;
use crate::group::GroupState;
use crate::ids::{GroupId, LogPosition, SegmentId};
use crate::loaded::LastSegment;
use crate::log::{Ahead, Log, begin_segment};
use crate::maker::{PreparedSegment, make_segment};
use crate::queue::Queue;
use crate::recover::{Finding, Findings, Outcome, Recover, Recovery};
use crate::retention::{Kept, Sealed};
use crate::scan::{Accepted, Scan};
use crate::segment::LOG_FOLDER;
use crate::settings::LogSettings;
use crate::space::SpaceGate;
use crate::state::StateHead;

impl<D: Disk> Log<D> {
    /// Opens the log, or starts one if there is none. Writes nothing but, at most, a new segment.
    ///
    /// # Errors
    /// See [`LogError`]. Damage is no error: see [`Recovery`].
    pub fn open(
        disk: D,
        settings: LogSettings,
        recover: &mut impl Recover,
    ) -> Result<(Log<D>, Recovery), LogError> {
        settings.check()?;
        // A killed process may have left names that only look durable; a segment that is written to must be.
        disk.sync_directory(LOG_FOLDER)?;
        disk.sync_directory(CHECKPOINT_FOLDER)?;
        let mut findings = Findings::default();
        let mut checkpoints = CheckpointFiles::list(&disk)?;
        let (accepted, checkpoint_bytes) =
            accept(&disk, &settings, &checkpoints, recover, &mut findings)?;
        for (group, (index, _)) in &accepted {
            checkpoints.count(*group, *index);
        }
        let mut scan = Scan::new(recover, accepted, findings, &settings);
        let mut chain = read_chain(&disk, &settings, &mut scan)?;
        let log_end = chain.last.as_ref().map_or(LogPosition::ZERO, |last| {
            LogPosition::new(last.segment, last.end)
        });
        let (groups, findings) = scan.finish(log_end);
        for name in core::mem::take(&mut chain.to_remove) {
            disk.remove(&name)?;
        }
        let outcome = outcome(chain.last.as_ref(), &groups, &findings);
        let (segments, bytes_read) = (chain.segments, chain.bytes_read + checkpoint_bytes);
        let log = Log::start(disk, settings, chain, groups, checkpoints)?;
        let Findings {
            list: findings,
            dropped: findings_dropped,
        } = findings;
        let sync_end = log.sync_end;
        Ok((
            log,
            Recovery {
                outcome,
                bytes_read,
                sync_end,
                segments,
                findings,
                findings_dropped,
            },
        ))
    }

    /// Goes on in the last segment if nothing stands behind its end and its STATE tells all damage; begins one otherwise.
    fn start(
        disk: D,
        settings: LogSettings,
        chain: Chain<D>,
        groups: BTreeMap<GroupId, GroupState>,
        checkpoints: CheckpointFiles,
    ) -> Result<Log<D>, LogError> {
        let Chain {
            last,
            mut ahead,
            mut next_segment,
            mut retained,
            ..
        } = chain;
        let previous_end = last.as_ref().map_or(LogPosition::ZERO, |last| {
            LogPosition::new(last.segment, last.end)
        });
        let last_facts = last
            .as_ref()
            .map(|last| (last.segment, last.segment_bytes, last.end));
        let resumed = last.filter(|last| last.is_resumable && tells_all_damage(last, &groups));
        let begun_after = last_sealed(resumed.is_none(), last_facts, &groups);
        retained.sealed.extend(begun_after);
        let active = if let Some(last) = resumed {
            let LastSegment {
                segment,
                file,
                segment_bytes,
                slots,
                end,
                ..
            } = last;
            ActiveSegment::new(segment, file, settings.directory_id, segment_bytes)
                .resume(end, slots)
        } else {
            let next = match ahead.take() {
                Some((segment, file)) => PreparedSegment { segment, file },
                None => {
                    let segment = next_segment;
                    if segment.0 == u32::MAX {
                        return Err(LogError::SegmentNumbers);
                    }
                    next_segment = segment.next();
                    PreparedSegment {
                        segment,
                        file: make_segment(&disk, &settings, segment)?,
                    }
                }
            };
            let kept = Kept {
                first: retained.first_kept,
                begun_ms: 0,
            };
            let head = StateHead { previous_end, kept };
            begin_segment(&disk, &settings, next, head, &groups)?
        };
        let ahead = ahead.map_or(Ahead::None, |(segment, file)| {
            Ahead::Ready(PreparedSegment { segment, file })
        });
        let sync_end = active.append_end();
        Ok(Log {
            disk,
            settings,
            active,
            groups,
            checkpoints,
            sync_end,
            told_end: LogPosition::ZERO,
            ahead,
            next_segment,
            queue: Queue::default(),
            batch: Vec::new(),
            is_failed: false,
            space: SpaceGate::default(),
            retained,
        })
    }
}

/// The last segment, if a new one is begun behind it, for retention.
fn last_sealed(
    is_ended: bool,
    last: Option<(SegmentId, u32, u32)>,
    groups: &BTreeMap<GroupId, GroupState>,
) -> Option<Sealed> {
    let (segment, bytes, end) = last.filter(|_| is_ended)?;
    let lasts = groups.iter().map(|(group, state)| (*group, state.last));
    Some(Sealed {
        segment,
        bytes,
        end: Some(end),
        lasts: Some(lasts.collect()),
        ended_ms: 0,
    })
}

/// Offers each group its checkpoints, newest first, until one is taken; counts the bytes read.
fn accept<D: Disk>(
    disk: &D,
    settings: &LogSettings,
    files: &CheckpointFiles,
    recover: &mut impl Recover,
    findings: &mut Findings,
) -> Result<(Accepted, u64), LogError> {
    let mut accepted = Accepted::new();
    let mut bytes_read = 0;
    for (group, indexes) in files.newest_first() {
        for index in indexes {
            let file = match read_checkpoint(disk, group, index) {
                Ok(file) => file.unwrap_or_default(),
                // A sector that cannot be read costs this generation, not the node.
                Err(error) if error.kind == DiskErrorKind::Io => Vec::new(),
                Err(error) => return Err(error.into()),
            };
            bytes_read += file.len() as u64;
            let is_right = |checkpoint: &Checkpoint<'_>| {
                (checkpoint.directory_id, checkpoint.group, checkpoint.index)
                    == (settings.directory_id, group, index)
            };
            let checkpoint = Checkpoint::decode(&file).ok().filter(is_right);
            if let Some(checkpoint) =
                checkpoint.filter(|checkpoint| recover.checkpoint(group, checkpoint))
            {
                accepted.insert(group, (index, checkpoint.term));
                break;
            }
            findings.tell(Finding::Checkpoint { group, index });
        }
    }
    Ok((accepted, bytes_read))
}

fn outcome<D: Disk>(
    last: Option<&LastSegment<D>>,
    groups: &BTreeMap<GroupId, GroupState>,
    findings: &Findings,
) -> Outcome {
    let is_bad = |finding: &Finding| !matches!(finding, Finding::Torn { .. });
    let is_damaged = |group: &GroupState| group.hole.is_some() || group.hard_state_lost;
    if findings.list.iter().any(is_bad) || groups.values().any(is_damaged) {
        return Outcome::Damaged;
    }
    match last {
        None => Outcome::Fresh,
        Some(last) if last.is_closed && last.is_resumable => Outcome::Clean,
        Some(_) => Outcome::Unclean,
    }
}

/// Whether the segment's STATE already says what is damaged: if not, a new one must.
fn tells_all_damage<D: Disk>(
    last: &LastSegment<D>,
    groups: &BTreeMap<GroupId, GroupState>,
) -> bool {
    let told = |group: &GroupId| {
        let told = last
            .state
            .as_ref()?
            .groups
            .iter()
            .find(|(id, _)| id == group)?;
        Some((told.1.hole, told.1.hard_state_lost))
    };
    groups.iter().all(|(group, state)| {
        let (hole, hard_state_lost) = told(group).unwrap_or_default();
        state.hole == hole && (!state.hard_state_lost || hard_state_lost)
    })
}
