//! From a PUBLISH frame to the room's channel.
//!
//! 1. `publish` checks what can be checked without the room and gathers the publish into a batch.
//! 2. `send_batches`, once per turn, offers each batch to its channel; a channel that is being opened keeps it.
//! 3. A full channel *parks* the batch: its connection is not read, and after CHANNEL_WAIT_MS each of its publishes is answered ERROR(LIMIT).
//!
//! The order of one connection's publishes to one room never changes: as long as a batch of a channel is parked, later ones park behind it.

use alloc::sync::Arc;

use antiphon_protocol::{Class, Code, ErrorFrame, Namespace, Publish, RequestId, RoomRef, Slot};

use super::Edge;
use super::batches::Batches;
use super::channels::{ChannelState, Channels};
use super::parked::{Parked, Row};
use crate::channel::{Offered, PublishBatch, RoomChannel};
use crate::core::{ConnId, CoreConfig, CoreId, Output};
use crate::lane::{ChannelOpened, Message, RoomKey, ToHome};
use crate::limits::{CHANNEL_PLACES, CHANNELS_MAX};

/// Publishes on their way to the channels of their rooms.
#[derive(Debug)]
pub(super) struct Publishing {
    pub(super) channels: Channels,
    pub(super) batches: Batches,
    pub(super) parked: Parked,
}

impl Publishing {
    pub(super) fn new(config: &CoreConfig) -> Publishing {
        Publishing {
            channels: Channels::new(&config.hash),
            batches: Batches::new(&config.hash, &config.limits.budgets),
            parked: Parked::default(),
        }
    }
}

impl Edge {
    /// A PUBLISH came.
    pub(super) fn publish(&mut self, conn: ConnId, id: RequestId, publish: &Publish<'_>) {
        if let Some(error) = self.refuse_publish(conn, publish) {
            return self.answer_error(conn, id, &error);
        }
        let now_ms = self.now.mono_ms;
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        let namespace = open.namespace;
        let channels = &mut self.publishing.channels;
        let channel = match channels.find(namespace, publish.room, now_ms) {
            Some(channel) => channel,
            None => match self.open_channel(conn, publish.room) {
                Some(channel) => channel,
                None => return self.answer_error(conn, id, &limit_error(CHANNELS_MAX as u64)),
            },
        };
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        open.in_flight += 1;
        open.unsent_bytes += (publish.headers.len() + publish.body.len()) as u32;
        let who = (&open.user, open.device);
        self.publishing.batches.add(conn, channel, who, id, publish);
        self.stats.publishes += 1;
    }

    /// What is wrong with a publish, whatever its room.
    fn refuse_publish(&self, conn: ConnId, publish: &Publish<'_>) -> Option<ErrorFrame<'static>> {
        let open = self.conns.open(conn)?;
        let too_large = |limit: u32| ErrorFrame {
            hint: u64::from(limit),
            ..ErrorFrame::new(Code::TOO_LARGE)
        };
        if publish.body.len() > self.settings.limits.body_bytes_max as usize {
            return Some(too_large(self.settings.limits.body_bytes_max));
        }
        if publish.headers.len() > self.settings.limits.headers_bytes_max as usize {
            return Some(too_large(self.settings.limits.headers_bytes_max));
        }
        if publish.producer != open.producer {
            return Some(ErrorFrame {
                text: "the producer is not this session's",
                ..ErrorFrame::new(Code::BAD_STATE)
            });
        }
        None
    }

    /// Asks home for a channel.
    fn open_channel(&mut self, conn: ConnId, room: RoomRef<'_>) -> Option<u32> {
        let namespace = self.conns.open(conn)?.namespace;
        let key = self.room_key(room)?;
        let home = self.home_of(namespace, &key);
        let channel = self
            .publishing
            .channels
            .add(namespace, key.clone(), self.now.mono_ms)?;
        self.send(
            home,
            Message::ToHome(ToHome::OpenChannel {
                namespace,
                room: key,
            }),
        );
        Some(channel)
    }

    /// Offers all that was gathered since the last turn, behind what is parked.
    pub(super) fn send_batches(&mut self) {
        self.retry_parked();
        for (channel, batch) in self.publishing.batches.take(self.settings.me) {
            self.route(channel, batch);
        }
        self.publishing.channels.batches_left();
    }

    fn route(&mut self, channel: u32, batch: PublishBatch) {
        match self.publishing.channels.state_mut(channel) {
            ChannelState::Opening(waiting) => waiting.push(batch),
            ChannelState::Open(open) => {
                let open = Arc::clone(open);
                self.offer(open, batch);
            }
            ChannelState::Refused(code, hint) => {
                let (code, hint) = (*code, *hint);
                let error = ErrorFrame {
                    hint,
                    ..ErrorFrame::new(code)
                };
                self.refuse_batch(&batch, &error);
            }
        }
    }

    /// Puts the batch into the channel or parks it.
    fn offer(&mut self, channel: Arc<RoomChannel>, batch: PublishBatch) {
        let batch = if self.publishing.parked.has(&channel) {
            batch
        } else {
            match self.try_offer(&channel, batch) {
                None => return,
                Some(batch) => batch,
            }
        };
        if let Some(open) = self.conns.open_mut(batch.conn) {
            open.parked += 1;
        }
        let now_ms = self.now.mono_ms;
        self.publishing.parked.add(channel, batch, now_ms);
        self.stats.batches_parked += 1;
    }

    /// Gives the batch back if the channel is full.
    fn try_offer(
        &mut self,
        channel: &Arc<RoomChannel>,
        batch: PublishBatch,
    ) -> Option<PublishBatch> {
        let (conn, bytes) = (batch.conn, batch.payload.len() as u32);
        match self.settings.exchange.offer(channel, batch) {
            Err(batch) => return Some(batch),
            // This core drains its own channels in the same turn.
            Ok(Offered::Wake) if channel.home() != self.settings.me => {
                self.out.push_back(Output::Wake(channel.home()))
            }
            Ok(_) => {}
        }
        self.stats.batches += 1;
        self.batch_left(conn, bytes);
        None
    }

    /// Offers parked batches again, and gives up those whose time is over.
    fn retry_parked(&mut self) {
        if self.publishing.parked.is_empty() {
            return;
        }
        for mut row in self.publishing.parked.take() {
            self.retry_row(&mut row);
            self.publishing.parked.keep(row);
        }
    }

    /// Offers the batches of one channel, oldest first, until it is full again.
    fn retry_row(&mut self, row: &mut Row) {
        while let Some((batch, deadline_ms)) = row.next() {
            let conn = batch.conn;
            let Some(batch) = self.try_offer(&row.channel, batch) else {
                self.unpark(conn);
                continue;
            };
            if self.now.mono_ms < deadline_ms {
                return row.give_back(batch, deadline_ms);
            }
            self.stats.batches_refused += 1;
            self.refuse_batch(&batch, &limit_error(CHANNEL_PLACES as u64));
            self.unpark(conn);
        }
    }

    /// A batch of this connection is parked no more.
    fn unpark(&mut self, conn: ConnId) {
        if let Some(open) = self.conns.open_mut(conn) {
            open.parked -= 1;
        }
        self.ease(conn);
    }

    /// A batch is no longer here.
    fn batch_left(&mut self, conn: ConnId, bytes: u32) {
        if let Some(open) = self.conns.open_mut(conn) {
            open.unsent_bytes -= bytes;
        }
        self.ease(conn);
    }

    /// Answers each publish of a batch that never reached its channel.
    fn refuse_batch(&mut self, batch: &PublishBatch, error: &ErrorFrame<'_>) {
        self.batch_left(batch.conn, batch.payload.len() as u32);
        for publish in &batch.publishes {
            self.answer_error(batch.conn, publish.request, error);
            self.publish_answered(batch.conn);
        }
    }

    /// Home gave the channel.
    pub(super) fn channel_opened(&mut self, opened: ChannelOpened) {
        let ChannelOpened {
            namespace,
            room,
            channel,
        } = opened;
        let state = ChannelState::Open(Arc::clone(&channel));
        let Some(waiting) = self.publishing.channels.settle(namespace, &room, state) else {
            return;
        };
        for batch in waiting {
            self.offer(Arc::clone(&channel), batch);
        }
    }

    /// Home gave none. What is being gathered for it is refused with the next turn.
    pub(super) fn channel_refused(
        &mut self,
        namespace: Namespace,
        room: &RoomKey,
        code: Code,
        hint: u64,
    ) {
        let state = ChannelState::Refused(code, hint);
        let Some(waiting) = self.publishing.channels.settle(namespace, room, state) else {
            return;
        };
        let error = ErrorFrame {
            hint,
            ..ErrorFrame::new(code)
        };
        for batch in waiting {
            self.refuse_batch(&batch, &error);
        }
    }

    /// One publish less is in flight.
    pub(super) fn publish_answered(&mut self, conn: ConnId) {
        let Some(open) = self.conns.open_mut(conn) else {
            return;
        };
        assert!(
            open.in_flight > 0,
            "INV-EDGE-7: a publish was answered twice"
        );
        open.in_flight -= 1;
        self.ease(conn);
    }

    /// The core at which a room is at home.
    pub(super) fn home_of(&self, namespace: Namespace, room: &RoomKey) -> CoreId {
        let slot = match room {
            RoomKey::Id(id) => id.slot(),
            RoomKey::Name(name) => Slot::of(namespace, name),
        };
        self.settings.map.home_of(slot)
    }
}

fn limit_error(limit: u64) -> ErrorFrame<'static> {
    ErrorFrame {
        class: Class::Limit,
        hint: limit,
        ..ErrorFrame::new(Code::LIMIT)
    }
}
