//! Room channels: how publishes reach the home core of their room.
//!
//! Each room in use has one bounded lock-free queue, created by its home core and shared with the edges that publish to it; it goes with its last
//! holder. A flag puts the channel into the home core's ready queue once, however many batches arrive, and home drains the ready queue round-robin
//! with a budget: a hot room cannot starve a quiet one, and a full one stops only its own publishers.
//!
//! # Why no batch is forgotten
//! 1. An edge pushes a batch, then sets `ready`; if it was unset, the edge puts the channel into the ready queue.
//! 2. Home takes the channel out of the ready queue and batches out of the channel. Is some left when the budget ends, [`Exchange::again`] puts the
//!    channel back, `ready` still set.
//! 3. Found empty, [`Exchange::rest`] unsets `ready`, then looks again: a batch pushed before the unset was seen by its edge with `ready` set, so
//!    nobody but home would tell of it. All of these are sequentially consistent, so one of the two sees the other.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use antiphon_log::{GroupId, SegmentId};
use antiphon_protocol::{
    Device, Namespace, Producer, ProducerSeq, RequestId, RoomName, Seq, Slot, UserName,
};
use bytes::Bytes;
use crossbeam_queue::SegQueue;

use crate::core::{ConnId, CoreId};
use crate::identity::{Claim, Identities};
use crate::leading::Leading;
use crate::limits::CHANNEL_PLACES;

/// One publish of a batch. Its headers and body lie in [`PublishBatch::payload`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublishRequest {
    /// The client's request id.
    pub request: RequestId,
    /// The session's producer.
    pub producer: Producer,
    /// Dense from 1 per (producer, room).
    pub producer_seq: ProducerSeq,
    /// Record kind; served.
    pub kind: u8,
    /// Codec of the body.
    pub codec: u8,
    /// The seq that the record must get; 0: any.
    pub expect_seq: Seq,
    /// The publisher wants no ack: answer it with a quiet one.
    pub quiet: bool,
    /// Where the headers start in the payload; the body follows them.
    pub at: u32,
    /// Length of the headers.
    pub headers_len: u16,
    /// Length of the body.
    pub body_len: u32,
}

impl PublishRequest {
    fn headers_range(&self) -> Range<usize> {
        let start = self.at as usize;
        start..start + usize::from(self.headers_len)
    }

    fn body_range(&self) -> Range<usize> {
        let start = self.headers_range().end;
        start..start + self.body_len as usize
    }
}

/// All publishes of one connection, room and turn: at most [`crate::limits::BATCH_BYTES_MAX`] of payload, or one publish.
#[derive(Clone, Debug)]
pub struct PublishBatch {
    /// Where the connection is and the answers go.
    pub edge: CoreId,
    /// The publisher's connection.
    pub conn: ConnId,
    /// Stamped into the records.
    pub sender: UserName,
    /// Stamped into the records.
    pub device: Device,
    /// In the connection's order; never empty.
    pub publishes: Vec<PublishRequest>,
    /// Headers and bodies of all, one allocation.
    pub payload: Bytes,
}

impl PublishBatch {
    /// Headers of one of this batch's publishes; checked by the edge.
    pub fn headers(&self, publish: &PublishRequest) -> &[u8] {
        &self.payload[publish.headers_range()]
    }

    /// Body of one of this batch's publishes.
    pub fn body(&self, publish: &PublishRequest) -> &[u8] {
        &self.payload[publish.body_range()]
    }
}

/// The bounded queue of one room.
#[derive(Debug)]
pub struct RoomChannel {
    namespace: Namespace,
    name: RoomName,
    home: CoreId,
    /// Grows by blocks of pointers: a node has many rooms that somebody publishes to now and then, and few that are full.
    queue: SegQueue<Box<PublishBatch>>,
    /// How many of the places are taken, or about to be. Whoever takes one beyond CHANNEL_PLACES gives it back.
    taken: AtomicUsize,
    /// The channel is in the ready queue, or home is draining it.
    ready: AtomicBool,
}

impl RoomChannel {
    /// An empty channel of a room at home on core `home`. Made by home only, and only one for a room.
    pub fn new(namespace: Namespace, name: RoomName, home: CoreId) -> Arc<RoomChannel> {
        Arc::new(RoomChannel {
            namespace,
            name,
            home,
            queue: SegQueue::new(),
            taken: AtomicUsize::new(0),
            ready: AtomicBool::new(false),
        })
    }

    /// Where the room's name is looked up.
    pub fn namespace(&self) -> Namespace {
        self.namespace
    }

    /// The room's name.
    pub fn name(&self) -> &RoomName {
        &self.name
    }

    /// The core that drains this channel.
    pub fn home(&self) -> CoreId {
        self.home
    }

    /// Takes the oldest batch. For the home core.
    pub fn take(&self) -> Option<PublishBatch> {
        let batch = self.queue.pop()?;
        self.taken.fetch_sub(1, Ordering::SeqCst);
        Some(*batch)
    }

    /// Puts a batch in, or gives it back if all places are taken.
    fn push(&self, batch: PublishBatch) -> Result<(), PublishBatch> {
        if self.taken.fetch_add(1, Ordering::SeqCst) >= CHANNEL_PLACES {
            self.taken.fetch_sub(1, Ordering::SeqCst);
            return Err(batch);
        }
        self.queue.push(Box::new(batch));
        Ok(())
    }

    /// Whether no batch waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

/// Whether an offered batch asks for a wake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Offered {
    /// The channel became ready: wake its home core if that sleeps.
    Wake,
    /// The channel was ready already.
    Quiet,
}

/// Every partition has a bit; there are no more of them than slots.
const WANTED_WORDS: usize = Slot::COUNT as usize / u64::BITS as usize;

/// What all cores of a node share: for each of them the queue of its channels that are ready, and who was drawn and claimed.
#[derive(Debug)]
pub struct Exchange {
    /// Unbounded in form, bounded by the channels alive: a channel is in it at most once.
    ready: Vec<SegQueue<Arc<RoomChannel>>>,
    /// What must never repeat on the node.
    identities: Identities,
    /// What takes publishes.
    leading: Leading,
    /// The disk is as good as full: see [`Exchange::set_storage_full`].
    storage_full: AtomicBool,
    /// Segments below do not exist any more.
    kept_from: AtomicU32,
    /// Partitions of which a checkpoint is wanted, one bit each.
    wanted: [AtomicU64; WANTED_WORDS],
}

impl Exchange {
    /// The exchange of a node with `cores` cores.
    pub fn new(cores: u16) -> Arc<Exchange> {
        Arc::new(Exchange {
            ready: (0..cores).map(|_| SegQueue::new()).collect(),
            identities: Identities::default(),
            leading: Leading::default(),
            storage_full: AtomicBool::new(false),
            kept_from: AtomicU32::new(0),
            wanted: core::array::from_fn(|_| AtomicU64::new(0)),
        })
    }

    /// The next claim: of connections that name one producer, the one with the greatest stays.
    ///
    /// Whoever accepts connections draws one for each, in the order in which they came.
    pub fn claim(&self) -> Claim {
        self.identities.claim()
    }

    /// What must never repeat on the node.
    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Which partitions of the node take publishes.
    pub(crate) fn leading(&self) -> &Leading {
        &self.leading
    }

    /// The log thread says whether the disk is as good as full. While it is, whatever would add to the log for a client is refused with STORAGE_FULL;
    /// reading, and retries of what is stored, go on. No core is woken for it: whoever publishes next sees it.
    pub fn set_storage_full(&self, is_full: bool) {
        self.storage_full.store(is_full, Ordering::Relaxed);
    }

    /// Whether it is.
    pub(crate) fn is_storage_full(&self) -> bool {
        self.storage_full.load(Ordering::Relaxed)
    }

    /// The log thread says which is the first segment that is kept: before it removes those below, and once before the cores start. Wake them all
    /// behind it; a read that comes too late finds the segment gone, and is asked for again.
    pub fn set_kept_from(&self, segment: SegmentId) {
        self.kept_from.store(segment.0, Ordering::SeqCst);
    }

    /// The first segment that is kept; 0: none was ever removed.
    pub(crate) fn kept_from(&self) -> SegmentId {
        SegmentId(self.kept_from.load(Ordering::Relaxed))
    }

    /// The log thread says that retention waits for a group: its partition makes one more checkpoint. What became of it, the log knows, and asks again
    /// if it must. Wake all cores behind it.
    pub fn want_checkpoint(&self, group: GroupId) {
        let number = group.0.wrapping_sub(1);
        if let Some(word) = self.wanted.get((number / u64::BITS) as usize) {
            word.fetch_or(1 << (number % u64::BITS), Ordering::SeqCst);
        }
    }

    /// Whether a checkpoint of a partition was wanted since it was asked last.
    pub(crate) fn take_wanted(&self, partition: u16) -> bool {
        let word = &self.wanted[usize::from(partition) / u64::BITS as usize];
        let bit = 1 << (u32::from(partition) % u64::BITS);
        word.load(Ordering::Relaxed) & bit != 0 && word.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    /// Puts a batch into its room's channel.
    ///
    /// # Errors
    /// Gives the batch back if the channel is full.
    pub fn offer(
        &self,
        channel: &Arc<RoomChannel>,
        batch: PublishBatch,
    ) -> Result<Offered, PublishBatch> {
        assert!(
            !batch.publishes.is_empty(),
            "INV-CHAN-1: an empty batch takes no place"
        );
        channel.push(batch)?;
        if channel.ready.swap(true, Ordering::SeqCst) {
            return Ok(Offered::Quiet);
        }
        self.queue_of(channel.home).push(Arc::clone(channel));
        Ok(Offered::Wake)
    }

    /// Takes the next channel that is ready. For the core `home` only; it drains the channel and then calls [`Exchange::again`] or [`Exchange::rest`].
    pub fn next_ready(&self, home: CoreId) -> Option<Arc<RoomChannel>> {
        self.queue_of(home).pop()
    }

    /// Whether a channel of core `home` is ready: it must not sleep.
    pub fn has_ready(&self, home: CoreId) -> bool {
        !self.queue_of(home).is_empty()
    }

    /// Puts a channel that was not drained back at the end of the ready queue.
    pub fn again(&self, channel: Arc<RoomChannel>) {
        debug_assert!(
            channel.ready.load(Ordering::SeqCst),
            "INV-CHAN-2: a channel under drain is ready"
        );
        self.queue_of(channel.home).push(channel);
    }

    /// Lets go of a channel that was found empty; back into the ready queue if a batch slipped in.
    pub fn rest(&self, channel: Arc<RoomChannel>) {
        channel.ready.swap(false, Ordering::SeqCst);
        if !channel.queue.is_empty() && !channel.ready.swap(true, Ordering::SeqCst) {
            self.queue_of(channel.home).push(channel);
        }
    }

    fn queue_of(&self, core: CoreId) -> &SegQueue<Arc<RoomChannel>> {
        &self.ready[usize::from(core.0)]
    }
}
