//! What a home core counts.

/// Counters and sizes of the partitions at home on one core. Counters only grow.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HomeStats {
    /// Records applied since the start.
    pub records: u64,
    /// Entries proposed.
    pub proposals: u64,
    /// Entries that Raft did not take; their publishes were refused.
    pub proposals_dropped: u64,
    /// Entries applied.
    pub entries: u64,
    /// Publishes acked, duplicates included.
    pub acks: u64,
    /// Publishes acked as duplicates.
    pub duplicates: u64,
    /// Requests refused.
    pub refusals: u64,
    /// Room batches sent to edges.
    pub deliveries: u64,
    /// Signals sent to edges, one per edge.
    pub signals: u64,
    /// Signals that a room did not take, because it had too many.
    pub signals_lost: u64,
    /// Slices and pages served from memory.
    pub reads_hot: u64,
    /// Slices, pages and look-ups asked of reader threads.
    pub reads_cold: u64,
    /// Pieces of the log asked of reader threads for replicas that lag.
    pub entries_reads: u64,
    /// How often a replica that lags wanted entries of which the place in the log is not known here any more.
    pub entries_missing: u64,
    /// Checkpoints made.
    pub checkpoints: u64,
    /// Producers forgotten.
    pub producers_expired: u64,
    /// Turns in which a partition admitted nothing because its hot tail was full.
    pub stalls: u64,
    /// Messages to replicas on other nodes.
    pub peer_messages: u64,
    /// Partitions here, now.
    pub partitions: u64,
    /// Of those, how many are read only or quarantined.
    pub partitions_impaired: u64,
    /// Rooms, now.
    pub rooms: u64,
    /// Producers remembered, now.
    pub producers: u64,
    /// Payload bytes in hot tails, now.
    pub hot_bytes: u64,
}
