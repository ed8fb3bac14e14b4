//! How connections end: GOAWAY, then closed; all of them when the core is drained.

use alloc::vec::Vec;
use core::mem;

use antiphon_protocol::{BrokenStream, Code, Goaway, GoawayClass, RequestId};

use super::Edge;
use super::session::Session;
use crate::core::{ConnId, CoreEvent, Output};
use crate::limits::{CLOSING_MS, DRAIN_WAIT_MS};

/// Connections on their way out.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Set while drained: when waiting for answers ends.
    pub(super) drain_deadline_ms: Option<u64>,
    /// To be closed with this turn's flushes.
    pub(super) closes: Vec<ConnId>,
}

impl Edge {
    /// The bytes of the connection are no frames.
    pub(crate) fn broken(&mut self, conn: ConnId, why: BrokenStream) {
        let text = match why {
            BrokenStream::TooLarge { .. } => "the frame is longer than allowed",
            BrokenStream::Reserved { .. } => "these bytes are no frame",
        };
        self.goaway(conn, why.code(), text);
    }

    /// Queues GOAWAY as the last frame and has the connection closed behind it. Does nothing if that was done before.
    pub(super) fn goaway(&mut self, conn: ConnId, code: Code, text: &str) {
        let class = class_of(code);
        let retry_after_ms = match class {
            GoawayClass::Retry => self.random.below(self.settings.limits.drain_spread_ms),
            GoawayClass::Move | GoawayClass::Terminal => 0,
        };
        let deadline_ms = self.now.mono_ms + CLOSING_MS;
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        if matches!(entry.session, Session::Closing { .. }) {
            return;
        }
        let session = mem::replace(&mut entry.session, Session::Closing { deadline_ms });
        entry.is_paused = true;
        entry.live_bytes_max = 0;
        let goaway = Goaway {
            code,
            class,
            retry_after_ms,
            text,
            endpoints: None,
        };
        self.conns
            .write(conn, |out| goaway.encode(RequestId::PUSH, out));
        if let Session::Open(open) = session {
            self.leave_session(conn, &open);
        }
        self.stats.goaways += 1;
        self.ending.closes.push(conn);
        self.out
            .push_back(Output::Event(CoreEvent::GoawaySent { conn, code }));
    }

    /// The socket is gone.
    pub(crate) fn disconnected(&mut self, conn: ConnId) {
        let Some(gone) = self.conns.remove(conn) else {
            return;
        };
        if let Session::Open(open) = gone.session {
            self.leave_session(conn, &open);
        }
    }

    /// Stops accepting and ends all connections, each as soon as its publishes are answered.
    pub(crate) fn drain(&mut self) {
        if self.ending.drain_deadline_ms.is_some() {
            return;
        }
        self.ending.drain_deadline_ms = Some(self.now.mono_ms + DRAIN_WAIT_MS);
        for conn in self.conns.ids() {
            if let Some(open) = self.conns.open_mut(conn) {
                open.is_leaving = true;
            }
            self.leave_if_answered(conn);
        }
    }

    /// While drained: says goodbye to a connection that has nothing to wait for.
    pub(super) fn leave_if_answered(&mut self, conn: ConnId) {
        if self.ending.drain_deadline_ms.is_some()
            && self.conns.open(conn).is_none_or(|open| open.in_flight == 0)
        {
            self.shut_down(conn);
        }
    }

    pub(super) fn shut_down(&mut self, conn: ConnId) {
        self.goaway(conn, Code::SHUTTING_DOWN, "the node goes down");
    }

    /// The time for answers is over: the connections that still wait for some go without.
    pub(super) fn end_drain(&mut self) {
        let deadline_ms = self.ending.drain_deadline_ms;
        if deadline_ms.is_some_and(|deadline_ms| self.now.mono_ms >= deadline_ms) {
            self.end();
        }
    }

    /// Says goodbye to all.
    pub(crate) fn end(&mut self) {
        for conn in self.conns.ids() {
            self.shut_down(conn);
        }
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.ending.drain_deadline_ms.is_some() && self.conns.len() == 0
    }
}

fn class_of(code: Code) -> GoawayClass {
    match code {
        Code::TIMEOUT | Code::SHUTTING_DOWN | Code::UNAVAILABLE | Code::INTERNAL => {
            GoawayClass::Retry
        }
        Code::MOVED => GoawayClass::Move,
        _ => GoawayClass::Terminal,
    }
}
