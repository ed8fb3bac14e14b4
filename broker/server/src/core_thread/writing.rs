//! Writing sockets: one flat send per socket and turn.
//!
//! A small send costs the same whether it holds one frame or sixty, and copying the pieces together beats handing the
//! kernel a list of them. Only a piece that is large is sent from where it lies.

use std::io::{self, Write};

use antiphon_core::{ConnId, Now, Outbox};
use mio::Interest;

use crate::connections::{Connection, Stage, Writing, token_of};
use crate::core_thread::CoreThread;
use crate::limits::{SEND_BUFFER_BYTES, SEND_DIRECT_BYTES_MIN, SEND_TURN_BYTES_MAX};

/// How sending to a socket ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    /// The outbox is empty.
    All,
    /// The turn's budget is spent.
    Budget,
    /// The kernel takes no more.
    Blocked,
    /// The connection is lost.
    Lost,
}

impl CoreThread {
    /// Queues a connection for the flush of this turn.
    pub(super) fn queue_flush(&mut self, id: ConnId) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        // Blocked: the event that says "writable" will queue it.
        if connection.writing == Writing::Idle {
            connection.writing = Writing::Queued;
            self.queues.flush.push_back(id);
        }
    }

    /// Flushes sockets that are queued: [`FLUSH_TURN_SOCKETS_MAX`](crate::limits::FLUSH_TURN_SOCKETS_MAX) at most, so that new input
    /// is not kept waiting for long, but all of them in the last turn.
    pub(super) fn flush_sockets(&mut self, flushes_max: usize, now: Now) {
        for _ in 0..self.queues.flush.len().min(flushes_max) {
            let Some(id) = self.queues.flush.pop_front() else {
                break;
            };
            self.flush_socket(id, now);
        }
    }

    fn flush_socket(&mut self, id: ConnId, now: Now) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        debug_assert_eq!(
            connection.writing,
            Writing::Queued,
            "INV-SRV-8: who is flushed was queued"
        );
        let Some(outbox) = self.core.outbox(id) else {
            // The core's state and this thread agree on who is connected; if they did not, this one could never be served.
            debug_assert!(false, "INV-SRV-11: every connection has an outbox");
            self.remove(id);
            return;
        };
        let (bytes, sends, sent) = send(connection, outbox, &mut self.buffers.send);
        self.flushes += 1;
        self.sends += sends;
        if bytes > 0 {
            self.core.sent(id, now);
            self.owes_turn = true;
        }
        self.after_send(id, sent);
    }

    fn after_send(&mut self, id: ConnId, sent: Sent) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        let before = std::mem::replace(&mut connection.writing, Writing::Idle);
        debug_assert_eq!(
            before,
            Writing::Queued,
            "INV-SRV-8: who is flushed was queued"
        );
        match sent {
            Sent::All => {
                self.watch_writable(id, false);
                self.linger_if_closing(id);
            }
            Sent::Budget => {
                connection.writing = Writing::Queued;
                self.queues.flush.push_back(id);
            }
            Sent::Blocked => {
                connection.writing = Writing::Blocked;
                self.watch_writable(id, true);
            }
            Sent::Lost => self.remove(id),
        }
    }

    /// Registers for "writable" events, or not any more. Without output such events would only wake us for nothing.
    fn watch_writable(&mut self, id: ConnId, is_wanted: bool) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        if connection.is_watching_writable == is_wanted {
            return;
        }
        connection.is_watching_writable = is_wanted;
        let interest = if is_wanted {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        let registered =
            self.poll
                .registry()
                .reregister(&mut connection.socket, token_of(id), interest);
        if let Err(error) = registered {
            // Its events would not come any more.
            tracing::warn!(%error, "connection_not_registered");
            self.remove(id);
        }
    }

    /// Goes on with closing once the last output is out.
    fn linger_if_closing(&mut self, id: ConnId) {
        let is_closing = self
            .connections
            .by_id(id)
            .is_some_and(|connection| connection.stage == Stage::Closing);
        if is_closing && self.core.outbox(id).is_none_or(|outbox| outbox.is_empty()) {
            self.linger(id);
        }
    }
}

/// Sends what `outbox` has, within the turn's budget. Returns how many bytes went out, in how many sends.
fn send(
    connection: &mut Connection,
    outbox: &mut Outbox,
    flat: &mut Vec<u8>,
) -> (usize, u64, Sent) {
    let (mut total, mut sends) = (0, 0);
    while !outbox.is_empty() {
        if total >= SEND_TURN_BYTES_MAX {
            return (total, sends, Sent::Budget);
        }
        let piece = next_piece(outbox, flat);
        let offered = piece.len();
        match connection.socket.write(piece) {
            Ok(count) => {
                outbox.advance(count);
                total += count;
                sends += 1;
                if count < offered {
                    return (total, sends, Sent::Blocked);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return (total, sends, Sent::Blocked);
            }
            Err(_) => return (total, sends, Sent::Lost),
        }
    }
    (total, sends, Sent::All)
}

/// The bytes of the next send: the first chunk where it lies if it is large, else as many chunks as fit, copied into `flat`.
fn next_piece<'a>(outbox: &'a Outbox, flat: &'a mut Vec<u8>) -> &'a [u8] {
    let mut chunks = outbox.chunks().peekable();
    let first = chunks.next().unwrap_or_default();
    if first.len() >= SEND_DIRECT_BYTES_MIN || chunks.peek().is_none() {
        return first;
    }
    flat.clear();
    flat.extend_from_slice(first);
    for chunk in chunks {
        let room = SEND_BUFFER_BYTES - flat.len();
        flat.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if chunk.len() >= room {
            break;
        }
    }
    flat
}
