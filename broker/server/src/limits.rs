//! Every bound of the server: unit, reason, relation to its neighbours, and what happens when it is reached.

/// A core thread that has not turned for this long, although it was woken, is told as not alive by `/livez`.
pub(crate) const ADMIN_CORES_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// A canary of `/readyz` that takes longer than this did not come.
pub(crate) const CANARY_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// `/readyz` answers with the canary before for this long, so that questions make at most one record a second.
pub(crate) const CANARY_KEPT_FOR: std::time::Duration = std::time::Duration::from_secs(1);

/// Largest frame that a canary expects.
pub(crate) const CANARY_FRAME_BYTES_MAX: u32 = 8 * 1024;

/// Bytes of the per-core buffer that all sockets are read into, and so the most that one read takes.
///
/// One connection's turn: large enough that 256 pipelined publishes of 128 bytes come in one read.
pub(crate) const READ_BUFFER_BYTES: usize = 64 * 1024;

/// Bytes that one connection may bring in per turn; reached: it is queued again behind the others.
pub(crate) const READ_TURN_BYTES_MAX: usize = 128 * 1024;

/// Frames that one connection may bring in per turn; reached: it is queued again behind the others.
pub(crate) const READ_TURN_FRAMES_MAX: u32 = 512;

/// While the input of all connections of a core is at its limit (`connections.input_bytes_max`), who holds more bytes than
/// this, and whose frame misses more than this, is not read, but for one at a time. So the limit is exceeded by at most one
/// frame and, per connection, this and [`INPUT_SCARCE_READ_BYTES`].
pub(crate) const INPUT_SCARCE_HELD_BYTES: usize = 16 * 1024;

/// While input memory is scarce, the most bytes of one read.
pub(crate) const INPUT_SCARCE_READ_BYTES: usize = 8 * 1024;

/// Bytes of the per-core buffer that one connection's output is gathered into for one send.
pub(crate) const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// A chunk of at least this many bytes is sent from where it lies: the copy would cost more than the second call.
pub(crate) const SEND_DIRECT_BYTES_MIN: usize = 32 * 1024;

/// Bytes sent to one connection per turn; reached: it is queued again behind the others.
pub(crate) const SEND_TURN_BYTES_MAX: usize = 256 * 1024;

/// Sockets flushed per turn; the rest is flushed in the next turns, with a look at new input in between. At 6 us each this is less than half a
/// millisecond. What comes meanwhile for a socket that still waits goes out in the same send: the more looks, the fewer sends.
pub(crate) const FLUSH_TURN_SOCKETS_MAX: usize = 64;

/// `TCP_NOTSENT_LOWAT`: unsent bytes that the kernel takes per socket before it says "not writable". Bounds what a slow
/// reader holds in the kernel.
pub(crate) const NOTSENT_LOWAT_BYTES: u32 = 32 * 1024;

/// Events that one wait returns; more stay for the next turn.
pub(crate) const EVENTS_MAX: usize = 1_024;

/// Messages in the lane of one ordered pair of cores. Full: the message goes back to the core that wanted to send it.
pub(crate) const LANE_MESSAGES_MAX: usize = 1_024;

/// Messages that a core takes from one lane per turn; the rest is taken in the next turn, without sleeping.
pub(crate) const LANE_TURN_MESSAGES_MAX: usize = 256;

/// Accepted sockets on their way to one core. Full: the acceptor offers the next core, and closes the socket if all are.
pub(crate) const HANDOVER_SOCKETS_MAX: usize = 1_024;

/// Jobs on their way to the log thread. Full: a core keeps what it could not hand over and offers it again, every
/// [`HANDOVER_RETRY_MS`] at least; what can pile up there is bounded by the core's own admission.
pub(crate) const LOG_JOBS_MAX: usize = 4_096;

/// A core that could not hand a job to the log thread or a reader thread tries again after this many milliseconds, if nothing wakes it earlier.
pub(crate) const HANDOVER_RETRY_MS: u64 = 1;

/// Jobs that the log thread takes before it writes and syncs; the rest goes with the next sync.
pub(crate) const LOG_JOBS_TURN_MAX: usize = 4_096;

/// Core threads at most; the setting's bound.
pub(crate) const CORES_MAX: u32 = 256;

/// Reports of the log thread on their way to one core. Full: the log thread waits for that core, and no core waits for it.
pub(crate) const PERSISTED_MAX: usize = 4_096;

/// Read jobs waiting for a reader thread, over all cores. Full: the job waits at its core, which offers
/// it again every [`HANDOVER_RETRY_MS`] at least; what can pile up there is bounded by the reads that a core has under way.
pub(crate) const READ_JOBS_MAX: usize = 1_024;

/// Bytes that one read job brings at most. Longer answers are made of several jobs, so requests take turns.
pub(crate) const READ_SLICE_BYTES_MAX: usize = 256 * 1024;

/// Read buffers kept for re-use. More are freed when they come back.
pub(crate) const READ_BUFFERS_KEPT: usize = 64;

/// The log is idle, and marked so, after this many milliseconds without a job.
pub(crate) const LOG_IDLE_MS: u64 = 1_000;

/// After a segment could not be made, none is ordered for so long, in milliseconds. The log makes one itself if it must.
pub(crate) const SEGMENT_RETRY_MS: u64 = 1_000;

/// The log thread looks for segments that are to be let go once in so many milliseconds.
pub(crate) const RETENTION_LOOK_MS: u64 = 1_000;

/// Things found in one pass of a scrub that are written to the log one by one; the others are counted.
pub(crate) const SCRUB_TOLD_MAX: u64 = 64;

/// While the disk is full, partitions that keep segments from being let go are asked for a checkpoint once in so many milliseconds.
pub(crate) const RETENTION_ASK_FULL_MS: u64 = 60_000;
const _: () = assert!(RETENTION_LOOK_MS < RETENTION_ASK_FULL_MS);

/// The log thread asks how much of the disk is free once in so many milliseconds while it works, and while the disk is full. What others write in
/// between is not known; the reserve (`data.reserve_bytes`) is for that, too.
pub(crate) const SPACE_LOOK_MS: u64 = 100;

/// How long a connection that is to be closed may take to receive its last bytes, in milliseconds.
pub(crate) const CLOSE_WAIT_MS: u64 = 2_000;

/// Bytes that a connection that is being closed may still send to us; they are thrown away.
pub(crate) const CLOSE_DISCARD_BYTES_MAX: usize = 1024 * 1024;

/// The acceptor looks again after this many milliseconds when descriptors or connections had run out.
pub(crate) const ACCEPT_RETRY_MS: u64 = 100;

/// Pauses of the acceptor are written to the log at most once in so many seconds: a full node pauses for each client that
/// comes and goes.
pub(crate) const ACCEPT_TELL_SECONDS: u64 = 10;

/// Sockets accepted in a row before the acceptor looks at anything else.
pub(crate) const ACCEPT_BURST_MAX: usize = 256;

/// Descriptors kept free for segments, checkpoints, pollers, log files and what the system needs.
pub(crate) const DESCRIPTORS_RESERVED: u64 = 128;

/// With fewer descriptors a node does not start: it would take hardly a connection, and nobody would know why.
pub(crate) const DESCRIPTORS_MIN: u64 = DESCRIPTORS_RESERVED + 64;

/// Largest part of a RECORD or PUBLISH frame that is not its body: fixed fields, names, headers, padding, rounded up.
pub(crate) const FRAME_OVERHEAD_BYTES_MAX: u64 = 6 * 1024;

const _: () = assert!(
    READ_TURN_BYTES_MAX >= READ_BUFFER_BYTES,
    "one full read is within a turn's budget"
);
const _: () = assert!(
    SEND_DIRECT_BYTES_MIN <= SEND_BUFFER_BYTES,
    "what is not sent directly fits the buffer"
);
const _: () = assert!(
    SEND_TURN_BYTES_MAX >= SEND_BUFFER_BYTES,
    "one full send is within a turn's budget"
);
const _: () = assert!(
    LANE_TURN_MESSAGES_MAX <= LANE_MESSAGES_MAX,
    "a turn's share is at most the lane"
);

/// Nodes of a cluster, as the formats on disk and the core have it.
pub(crate) const CLUSTER_MEMBERS_MAX: usize = 7;

/// Forms of entries that this program knows: the items 1 to 6 (docs/peer-protocol.md, section 5).
pub(crate) const PEER_LEVEL: u32 = 1;

/// Bytes of one read from another node, and what an idle peering keeps of its buffers.
pub(crate) const PEER_READ_BYTES: usize = 64 * 1024;

/// Reads from one peering per turn; reached: it goes on in the next one.
pub(crate) const PEER_READS_TURN_MAX: usize = 16;

/// Connections from nodes at a time, strangers too. Reached: who comes is closed and dials again. Several times the members, so that a few
/// strangers, each gone after the silence that a peering may keep, leave room for them.
pub(crate) const PEER_ACCEPTED_MAX: usize = 64;

/// Bytes that wait for a node that does not read. Above: messages are dropped, and their groups are told.
pub(crate) const PEER_OUTPUT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What cores have said and the peer thread has not taken; one a core, node and turn. Full: dropped, and the groups are told.
pub(crate) const PEER_OUTGOING_MAX: usize = 4_096;

/// What other nodes have said and one core has not taken. Full: dropped, as on a network; Raft sends it again.
pub(crate) const PEER_NEWS_MAX: usize = 1_024;

/// Events that one wait of the peer thread returns; more stay for the next one.
pub(crate) const PEER_EVENTS_MAX: usize = 128;

/// The peer thread looks at its deadlines (dialling, pings, silence) at least this often, in ms: well below each of them.
pub(crate) const PEER_LOOK_MS: u64 = 25;

/// A lost peering is dialled again after this long at first, in ms, then after twice as long each time.
pub(crate) const PEER_BACKOFF_MS_MIN: u64 = 50;

/// And at most after this long, in ms.
pub(crate) const PEER_BACKOFF_MS_MAX: u64 = 1_000;
const _: () =
    assert!(PEER_LOOK_MS <= PEER_BACKOFF_MS_MIN && PEER_BACKOFF_MS_MIN <= PEER_BACKOFF_MS_MAX);

/// The same signal again within this time is one request to stop, not two: shells and supervisors often signal a process and
/// its group, about 1 ms apart. A person who presses Ctrl-C twice is slower.
pub(crate) const SIGNAL_ECHO: std::time::Duration = std::time::Duration::from_millis(200);
