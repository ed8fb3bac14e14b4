//! Publishes of one turn, gathered by connection and room.
//!
//! Each batch becomes one place in its room's channel, one allocation for all payload, and one share of an entry in the log.

use alloc::vec::Vec;
use core::mem;

use antiphon_protocol::{Ack, Device, Publish, RequestId, UserName};
use bytes::Bytes;
use hashbrown::HashMap;

use crate::channel::{PublishBatch, PublishRequest};
use crate::core::{ConnId, CoreId, HashState};
use crate::limits::Budgets;

/// A batch that is being gathered.
#[derive(Debug)]
struct Draft {
    conn: ConnId,
    /// Entry of the room's channel.
    channel: u32,
    sender: UserName,
    device: Device,
    publishes: Vec<PublishRequest>,
    payload: Vec<u8>,
}

/// The batches of this turn, in the order they were begun.
#[derive(Debug)]
pub(super) struct Batches {
    drafts: Vec<Draft>,
    /// The draft that still grows for (slot of the connection, channel).
    growing: HashMap<(u32, u32), usize, HashState>,
    bytes_max: usize,
    publishes_max: usize,
}

impl Batches {
    pub(super) fn new(hash: &HashState, budgets: &Budgets) -> Batches {
        Batches {
            bytes_max: budgets.batch_bytes_max as usize,
            publishes_max: budgets.batch_publishes_max,
            drafts: Vec::new(),
            growing: HashMap::with_hasher(hash.clone()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.drafts.is_empty()
    }

    /// Adds a publish to the batch of its connection and channel.
    pub(super) fn add(
        &mut self,
        conn: ConnId,
        channel: u32,
        who: (&UserName, Device),
        id: RequestId,
        publish: &Publish<'_>,
    ) {
        let bytes = publish.headers.len() + publish.body.len();
        let draft = self.draft(conn, channel, who, bytes);
        draft.publishes.push(PublishRequest {
            request: id,
            producer: publish.producer,
            producer_seq: publish.producer_seq,
            kind: publish.kind.wire(),
            codec: publish.codec,
            expect_seq: publish.expect_seq,
            quiet: publish.ack == Ack::None,
            at: length(draft.payload.len()),
            headers_len: u16::try_from(publish.headers.len())
                .expect("a frame gives headers_len as u16"),
            body_len: length(publish.body.len()),
        });
        draft.payload.extend_from_slice(publish.headers);
        draft.payload.extend_from_slice(publish.body);
    }

    /// Takes all batches, oldest first, each with the entry of its channel.
    pub(super) fn take(
        &mut self,
        edge: CoreId,
    ) -> impl Iterator<Item = (u32, PublishBatch)> + use<> {
        self.growing.clear();
        let bytes_max = self.bytes_max;
        mem::take(&mut self.drafts)
            .into_iter()
            .map(move |draft| (draft.channel, draft.finish(edge, bytes_max)))
    }

    /// The draft that has room for so many bytes more.
    fn draft(
        &mut self,
        conn: ConnId,
        channel: u32,
        who: (&UserName, Device),
        bytes: usize,
    ) -> &mut Draft {
        let key = (conn.slot, channel);
        // Mostly a connection goes on with the room that it was at.
        let newest = self
            .drafts
            .last()
            .filter(|draft| draft.conn == conn && draft.channel == channel);
        let growing = match newest {
            Some(_) => Some(self.drafts.len() - 1),
            None => self.growing.get(&key).copied(),
        };
        let fitting = growing.filter(|&at| {
            let draft = &self.drafts[at];
            draft.conn == conn
                && draft.payload.len() + bytes <= self.bytes_max
                && draft.publishes.len() < self.publishes_max
        });
        let at = fitting.unwrap_or_else(|| {
            let (sender, device) = (who.0.clone(), who.1);
            self.drafts.push(Draft {
                conn,
                channel,
                sender,
                device,
                publishes: Vec::new(),
                payload: Vec::with_capacity(bytes),
            });
            self.growing.insert(key, self.drafts.len() - 1);
            self.drafts.len() - 1
        });
        &mut self.drafts[at]
    }
}

impl Draft {
    fn finish(self, edge: CoreId, bytes_max: usize) -> PublishBatch {
        let Draft {
            conn,
            sender,
            device,
            publishes,
            payload,
            ..
        } = self;
        debug_assert!(
            publishes.len() == 1 || payload.len() <= bytes_max,
            "INV-EDGE-6: a batch over its limit"
        );
        PublishBatch {
            edge,
            conn,
            sender,
            device,
            publishes,
            payload: Bytes::from(payload),
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch is at most one frame or BATCH_BYTES_MAX long")
}
