//! Closing a connection so that its last bytes arrive.
//!
//! ```text
//!  Open --Output::Close--> Closing --outbox sent--> Lingering --peer's end, too many bytes, or time--> gone
//! ```
//! A socket that is closed with unread input makes the kernel send a reset, and a reset makes the peer's kernel throw away
//! what it had received: the GOAWAY that tells why. So our side is shut first, and what still comes is read and thrown away.

use std::net::Shutdown;

use antiphon_core::{ConnId, Now};

use crate::connections::{Reading, Stage, Writing};
use crate::core_thread::CoreThread;
use crate::limits::{CLOSE_DISCARD_BYTES_MAX, CLOSE_WAIT_MS};

impl CoreThread {
    /// The core wants the connection closed once its outbox is sent.
    pub(super) fn close(&mut self, id: ConnId, now: Now) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        if connection.stage != Stage::Open {
            return;
        }
        connection.stage = Stage::Closing;
        self.buffers.held_bytes -= connection.input.capacity();
        connection.input.clear();
        self.queues
            .closing
            .push_back((now.mono_ms + CLOSE_WAIT_MS, id));
        if connection.writing == Writing::Idle {
            self.queue_flush(id);
        }
    }

    /// All is sent: shuts our side and waits for the peer's end.
    pub(super) fn linger(&mut self, id: ConnId) {
        let Some(connection) = self.connections.by_id(id) else {
            return;
        };
        connection.stage = Stage::Lingering {
            bytes_left: CLOSE_DISCARD_BYTES_MAX,
        };
        if connection.socket.shutdown(Shutdown::Write).is_err() {
            self.remove(id);
            return;
        }
        // Edge-triggered: what came while nobody read makes no further event.
        if connection.reading != Reading::Queued {
            connection.reading = Reading::Queued;
            self.queues.read.push_back(id);
        }
    }

    /// Ends the wait for peers that take too long.
    pub(super) fn close_overdue(&mut self, now: Now) {
        while let Some((at, id)) = self.queues.closing.front().copied()
            && at <= now.mono_ms
        {
            self.queues.closing.pop_front();
            self.remove(id);
        }
    }
}
