//! Feeding replicas that lag: what the hot tail has dropped is read from the log, a piece at a time.

use crate::core::Output;
use crate::home::desk::Turn;
use crate::home::limits::RAFT_MESSAGE_BYTES_MAX;
use crate::home::partition::{Partition, Role};
use crate::read::{EntryAnswer, EntryJob};

impl Partition {
    /// Has a reader thread read what a replica wants that lags, one piece at a time.
    pub(super) fn feed_lagging(&mut self, turn: &mut Turn<'_>) {
        if self.is_fetching {
            return;
        }
        let Role::Running(replica) = &mut self.role else {
            return;
        };
        let Some((first, places)) = replica.wanted_entries() else {
            return;
        };
        if places.is_empty() {
            turn.desk.stats.entries_missing += 1;
            return;
        }
        self.is_fetching = true;
        turn.desk.stats.entries_reads += 1;
        let below = turn.desk.sync_end;
        // Never more in memory than the entries that are kept there anyway.
        let bytes_max = RAFT_MESSAGE_BYTES_MAX.min(turn.settings.hot_bytes as u64);
        turn.desk.put(Output::ReadEntries(EntryJob {
            reply_to: turn.settings.core,
            group: self.group,
            first,
            places,
            bytes_max: u32::try_from(bytes_max).unwrap_or(u32::MAX),
            below,
        }));
    }

    /// A reader thread has answered. Damage here is no harm to others: the replica asks again, and another leader may have the entries.
    pub(crate) fn entries_read(&mut self, answer: EntryAnswer) {
        self.is_fetching = false;
        let Role::Running(replica) = &mut self.role else {
            return;
        };
        replica.entries_fetched(answer.result.ok());
    }
}
