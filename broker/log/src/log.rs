//! The log: what is queued is written, synced and told in one flush.
//!
//! `flush` writes the blocks of everything queued, and a mark slot, syncs once, and only then moves `sync_end` and names
//! the readies that may be released. A segment that is full is rolled in between: its last batch is synced, STATE is
//! written to the next segment and synced, then appends go on there.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::active::ActiveSegment;
use crate::block::{BlockHead, BlockKind, block_bytes};
use crate::checkpoint_files::CheckpointFiles;
use crate::disk_trait::Disk;
use crate::entry::{Append, Entry, Flushed, HardState};
use crate::error::LogError;
use crate::group::GroupState;
use crate::ids::{GroupId, Index, LogPosition, SegmentId, Term};
use crate::limits::{BLOCK_PAYLOAD_BYTES_MAX, GROUPS_MAX};
use crate::maker::{PreparedSegment, SegmentMaker, make_segment};
use crate::planted::{Bug, planted};
use crate::queue::{Queue, Queued, QueuedCheckpoint};
use crate::retention::Retained;
use crate::segment::segment_name;
use crate::settings::LogSettings;
use crate::space::SpaceGate;
use crate::state::{StateHead, encode_state_head};
use crate::tally::Tally;

/// The log of one data directory, owned by one thread.
///
/// After an error from [`Log::flush`], [`Log::idle_mark`] or [`Log::close`] it is closed for good: nothing written and
/// not yet released may be acknowledged any more.
#[derive(Debug)]
pub struct Log<D: Disk> {
    pub(crate) disk: D,
    pub(crate) settings: LogSettings,
    pub(crate) active: ActiveSegment<D>,
    /// What the blocks written so far say of each group.
    pub(crate) groups: BTreeMap<GroupId, GroupState>,
    pub(crate) checkpoints: CheckpointFiles,
    /// Everything below is durable. `sync_end <= active.append_end()`
    pub(crate) sync_end: LogPosition,
    /// Highest `sync_end` that stands in the log itself. `told_end <= sync_end`
    pub(crate) told_end: LogPosition,
    pub(crate) ahead: Ahead<D>,
    /// Above every number ever given out.
    pub(crate) next_segment: SegmentId,
    pub(crate) queue: Queue,
    /// Kept for its memory.
    pub(crate) batch: Vec<Queued>,
    pub(crate) is_failed: bool,
    pub(crate) space: SpaceGate,
    pub(crate) retained: Retained,
}

/// The segment to roll to.
#[derive(Debug)]
pub(crate) enum Ahead<D: Disk> {
    None,
    /// Handed to a maker.
    Making,
    Ready(PreparedSegment<D>),
}

impl<D: Disk> Log<D> {
    /// Queues; nothing is written.
    ///
    /// # Panics
    /// If the core breaks the order of its own readies, or appends to a damaged group.
    pub fn submit(&mut self, append: Append) {
        let hole = self.groups.get(&append.group).and_then(|group| group.hole);
        assert!(
            hole.is_none(),
            "INV-LOG-14: group {} is damaged and takes no appends",
            append.group
        );
        self.queue.push_append(append);
    }

    /// Whether something is queued.
    #[must_use]
    pub fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Everything below is durable.
    #[must_use]
    pub fn sync_end(&self) -> LogPosition {
        self.sync_end
    }

    /// The segment being written.
    #[must_use]
    pub fn active_segment(&self) -> SegmentId {
        self.active.segment()
    }

    /// Writes everything queued (groups with an urgent append first, with all they have queued), rolls if needed, syncs.
    ///
    /// # Errors
    /// Final: see [`LogError`].
    ///
    /// # Panics
    /// If the core breaks the order of a group's entries or overrides what is committed.
    pub fn flush(&mut self) -> Result<Flushed, LogError> {
        self.finally(Self::flush_queue)
    }

    /// Tells `sync_end` in the log, unsynced, if nothing has told it yet. For a log that has fallen idle.
    ///
    /// # Errors
    /// Final.
    pub fn idle_mark(&mut self) -> Result<(), LogError> {
        self.finally(|log| {
            let is_idle = log.queue.is_empty() && log.active.append_end() == log.sync_end;
            if !is_idle || log.told_end >= log.sync_end {
                return Ok(());
            }
            let has_room = log.active.has_room_for_mark();
            if has_room {
                log.put_mark(BlockKind::Mark);
                log.write()?;
            }
            // The slot alone tells it in a segment that is full.
            log.write_slot()?;
            if has_room || log.settings.mark_slots {
                log.told_end = log.sync_end;
            }
            Ok(())
        })
    }

    /// Flushes what is queued, writes the END mark, syncs.
    ///
    /// # Errors
    /// The next open finds an unclean log then.
    pub fn close(mut self) -> Result<D, LogError> {
        self.finally(|log| {
            log.flush_queue()?;
            if !log.active.has_room_for_end() {
                log.roll()?;
            }
            log.put_mark(BlockKind::End);
            log.sync()
        })?;
        Ok(self.disk)
    }

    /// Runs `call` unless an earlier one failed; remembers if it fails.
    pub(crate) fn finally<T>(
        &mut self,
        call: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if self.is_failed {
            return Err(LogError::Failed);
        }
        // Set first: a panic on the way leaves a log that is closed for good.
        self.is_failed = true;
        let done = call(self)?;
        self.is_failed = false;
        Ok(done)
    }

    fn flush_queue(&mut self) -> Result<Flushed, LogError> {
        let mut batch = core::mem::take(&mut self.batch);
        self.queue.take(&mut batch);
        let mut tally = Tally::default();
        for queued in &batch {
            match queued {
                Queued::Append(append) => self.put_append(append, &mut tally)?,
                Queued::Checkpoint(checkpoint) => self.put_checkpoint(checkpoint, &mut tally)?,
            }
        }
        self.sync()?;
        for queued in &batch {
            if let Queued::Checkpoint(checkpoint) = queued {
                self.keep_checkpoint(checkpoint);
            }
        }
        batch.clear();
        self.batch = batch;
        Ok(tally.finish(self.sync_end))
    }

    fn put_append(&mut self, append: &Append, tally: &mut Tally) -> Result<(), LogError> {
        let known = self.groups.len();
        let group = self.groups.entry(append.group).or_default();
        let last = append
            .entries
            .last()
            .map_or(group.last, |entry| entry.index);
        let commit = group.hard_state.commit.max(append.commit);
        assert!(
            commit <= last,
            "INV-LOG-15: group {} commits {commit}, beyond its last entry {last}",
            append.group
        );
        assert!(
            known < GROUPS_MAX || self.groups.len() == known,
            "INV-LOG-6: more groups than STATE can tell"
        );
        if let Some(hard_state) = append.hard_state {
            self.put_hard_state(append.group, hard_state, tally)?;
        }
        for entry in &append.entries {
            self.put_entry(append.group, entry, commit, tally)?;
        }
        let group = self.groups.entry(append.group).or_default();
        group.hard_state.commit = commit;
        tally.ready(append.group, append.ready);
        Ok(())
    }

    /// Written before the entries of its ready: entries without their term would let the node forget it. It carries the
    /// commit from before this ready, because what the new one commits may be an override that follows.
    fn put_hard_state(
        &mut self,
        group: GroupId,
        new: HardState,
        tally: &mut Tally,
    ) -> Result<(), LogError> {
        let state = self.groups.entry(group).or_default();
        let old = state.hard_state;
        if (old.term, old.vote) == (new.term, new.vote) && !state.hard_state_lost {
            return Ok(());
        }
        assert!(
            new.term >= old.term,
            "INV-LOG-16: term of group {group} falls from {} to {}",
            old.term,
            new.term
        );
        assert!(
            new.term > old.term || old.vote == 0 || old.vote == new.vote || state.hard_state_lost,
            "INV-LOG-17: group {group} votes twice in term {}",
            new.term
        );
        let head = self.head(BlockKind::HardState, group, Index(0), new.term, old.commit);
        self.put(head, &new.vote.to_le_bytes(), tally)?;
        let state = self.groups.entry(group).or_default();
        state.hard_state = HardState {
            commit: state.hard_state.commit,
            ..new
        };
        state.hard_state_lost = false;
        Ok(())
    }

    fn put_entry(
        &mut self,
        group: GroupId,
        entry: &Entry,
        commit: Index,
        tally: &mut Tally,
    ) -> Result<(), LogError> {
        let head = self.head(
            BlockKind::Append(entry.kind),
            group,
            entry.index,
            entry.term,
            commit,
        );
        let at = self.put(head, &entry.payload, tally)?;
        // After the block: a roll on the way tells the state without this entry.
        self.groups
            .entry(group)
            .or_default()
            .append(entry.index, entry.term);
        tally.entry(group, entry.index, at);
        Ok(())
    }

    fn put_checkpoint(
        &mut self,
        checkpoint: &QueuedCheckpoint,
        tally: &mut Tally,
    ) -> Result<(), LogError> {
        let QueuedCheckpoint {
            group,
            index,
            term,
            file_bytes,
            file_crc,
        } = *checkpoint;
        let commit = self
            .groups
            .entry(group)
            .or_default()
            .hard_state
            .commit
            .max(index);
        let mut payload = [0; 16];
        payload[..8].copy_from_slice(&file_bytes.to_le_bytes());
        payload[8..12].copy_from_slice(&file_crc.to_le_bytes());
        let head = self.head(BlockKind::Checkpoint, group, index, term, commit);
        self.put(head, &payload, tally)?;
        let state = self.groups.entry(group).or_default();
        state.hard_state.commit = commit;
        state.checkpoint = Some((index, term));
        Ok(())
    }

    fn head(
        &self,
        kind: BlockKind,
        group: GroupId,
        index: Index,
        term: Term,
        commit: Index,
    ) -> BlockHead {
        BlockHead {
            kind,
            group,
            sync_end: if planted(Bug::MarkAhead) {
                self.active.append_end()
            } else {
                self.sync_end
            },
            index,
            term,
            commit,
            len: 0,
        }
    }

    /// Buffers one block, in the next segment if this one is full.
    fn put(
        &mut self,
        mut head: BlockHead,
        payload: &[u8],
        tally: &mut Tally,
    ) -> Result<LogPosition, LogError> {
        let bytes = payload.len() as u64;
        let len = u32::try_from(bytes).unwrap_or(u32::MAX);
        if len > BLOCK_PAYLOAD_BYTES_MAX {
            return Err(LogError::EntryTooLarge {
                group: head.group,
                bytes,
                bytes_max: BLOCK_PAYLOAD_BYTES_MAX,
            });
        }
        if !self.active.has_room(len) {
            self.roll()?;
            if !self.active.has_room(len) {
                return Err(LogError::EntryTooLarge {
                    group: head.group,
                    bytes,
                    bytes_max: self.settings.segment_bytes,
                });
            }
            head.sync_end = self.sync_end;
        }
        let at = self.active.put(&head, payload);
        tally.block(block_bytes(len));
        if self.active.is_buffer_full() {
            self.write()?;
        }
        Ok(at)
    }

    fn put_mark(&mut self, kind: BlockKind) {
        self.active.put(&BlockHead::mark(kind, self.sync_end), &[]);
    }

    /// Writes the buffer, whose blocks tell `sync_end`.
    fn write(&mut self) -> Result<(), LogError> {
        self.active.write(&self.disk)?;
        self.told_end = self.sync_end;
        Ok(())
    }

    /// Tells `sync_end` outside of the blocks too.
    fn write_slot(&mut self) -> Result<(), LogError> {
        if self.settings.mark_slots {
            self.active.write_slot(&self.disk, self.sync_end)?;
        }
        Ok(())
    }

    /// Makes everything buffered durable.
    fn sync(&mut self) -> Result<(), LogError> {
        if self.active.append_end() == self.sync_end {
            return Ok(());
        }
        self.write()?;
        self.write_slot()?;
        self.active.sync(&self.disk)?;
        let end = self.active.append_end();
        assert!(
            end > self.sync_end,
            "INV-LOG-18: the synced end moves forward"
        );
        self.sync_end = end;
        Ok(())
    }

    /// Old segment's last batch, next segment's STATE, each synced; then appends go on there.
    pub(crate) fn roll(&mut self) -> Result<(), LogError> {
        let before = self.sync_end;
        if planted(Bug::RollUnsynced) {
            self.write()?;
        } else {
            self.sync()?;
        }
        let next = self.take_segment()?;
        let previous_end = if planted(Bug::RollFromBefore) {
            before
        } else {
            self.active.append_end()
        };
        let kept = self.seal_active();
        let head = StateHead { previous_end, kept };
        let active = begin_segment(&self.disk, &self.settings, next, head, &self.groups)?;
        self.retained.let_go(kept.first);
        let old = core::mem::replace(&mut self.active, active);
        self.active.reuse_buffer(old.into_buffer());
        self.sync_end = self.active.append_end();
        self.told_end = previous_end;
        Ok(())
    }

    fn take_segment(&mut self) -> Result<PreparedSegment<D>, LogError> {
        match core::mem::replace(&mut self.ahead, Ahead::None) {
            Ahead::Ready(prepared) => Ok(prepared),
            none_or_making => {
                self.remove_dead();
                // A maker that is still at work comes too late: its number is lower, and `adopt` throws it away.
                self.ahead = none_or_making;
                let segment = self.number_segment()?;
                let file = make_segment(&self.disk, &self.settings, segment)?;
                self.space.took(self.settings.segment_bytes);
                Ok(PreparedSegment { segment, file })
            }
        }
    }

    fn number_segment(&mut self) -> Result<SegmentId, LogError> {
        let segment = self.next_segment;
        if segment.0 == u32::MAX {
            return Err(LogError::SegmentNumbers);
        }
        self.next_segment = segment.next();
        Ok(segment)
    }
}

/// Writes STATE to a new segment and syncs it: from then on the segment exists.
pub(crate) fn begin_segment<D: Disk>(
    disk: &D,
    settings: &LogSettings,
    next: PreparedSegment<D>,
    head: StateHead,
    groups: &BTreeMap<GroupId, GroupState>,
) -> Result<ActiveSegment<D>, LogError> {
    let StateHead { previous_end, .. } = head;
    assert!(
        next.segment > previous_end.segment(),
        "INV-LOG-19: segment numbers rise"
    );
    let state = encode_state_head(head, groups);
    let bytes = state.len() as u64;
    let mut active = ActiveSegment::new(
        next.segment,
        next.file,
        settings.directory_id,
        settings.segment_bytes,
    );
    let len = u32::try_from(bytes).unwrap_or(u32::MAX);
    if len > BLOCK_PAYLOAD_BYTES_MAX || !active.has_room(len) {
        return Err(LogError::StateTooLarge { bytes });
    }
    active.put(&BlockHead::mark(BlockKind::State, previous_end), &state);
    active.write(disk)?;
    active.sync(disk)?;
    Ok(active)
}

/// Segments made ahead.
impl<D: Disk> Log<D> {
    /// Makes one segment ahead if there is none; false: there was one, or one is being made.
    ///
    /// # Errors
    /// Not final: the log goes on in the segment that it has.
    pub fn prepare_segment(&mut self) -> Result<bool, LogError> {
        if self.is_failed {
            return Err(LogError::Failed);
        }
        if !matches!(self.ahead, Ahead::None) {
            return Ok(false);
        }
        self.remove_dead();
        let segment = self.number_segment()?;
        let file = make_segment(&self.disk, &self.settings, segment)?;
        self.space.took(self.settings.segment_bytes);
        self.ahead = Ahead::Ready(PreparedSegment { segment, file });
        Ok(true)
    }

    /// As [`Log::prepare_segment`], for another thread: `None` while a segment is ready or being made.
    /// Give the result back with [`Log::adopt`].
    #[must_use]
    pub fn segment_maker(&mut self) -> Option<SegmentMaker<D>>
    where
        D: Clone,
    {
        if self.is_failed || !matches!(self.ahead, Ahead::None) {
            return None;
        }
        let segment = self.number_segment().ok()?;
        self.ahead = Ahead::Making;
        Some(SegmentMaker {
            disk: self.disk.clone(),
            settings: self.settings,
            segment,
            dead: core::mem::take(&mut self.retained.dead),
        })
    }

    /// Takes a segment that was made elsewhere, or the news that making it failed: the maker can be asked for anew.
    pub fn adopt(&mut self, made: Result<PreparedSegment<D>, LogError>) {
        self.ahead = match made {
            Ok(prepared) if prepared.segment > self.active.segment() => {
                self.space.took(self.settings.segment_bytes);
                Ahead::Ready(prepared)
            }
            Ok(late) => {
                // It was overtaken by a roll. Without STATE it does not exist; the next open would remove it too.
                let _ = self.disk.remove(&segment_name(late.segment));
                Ahead::None
            }
            Err(_) => Ahead::None,
        };
    }
}
