//! Who is still there: deadlines of handshake, frame and silence, and the PINGs that keep a quiet connection alive.
//!
//! Liveness is judged by bytes. A connection that we do not read is not blamed for its silence, but it must take what we send: after STALLED_MS without
//! that it ends, for nothing else would tell that it is dead.

use antiphon_protocol::limits::KEEPALIVES_MISSED_MAX;
use antiphon_protocol::{Code, Ping, RequestId};

use super::Edge;
use super::conns::Conn;
use super::session::Session;
use super::wheel::HORIZON_MS;
use crate::core::{ConnId, Output};
use crate::limits::{CLOSING_MS, Limits, STALLED_MS};

/// What a look at a connection finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    /// Look again then.
    Wait(u64),
    /// Nothing was said for a keepalive: PING.
    Ping,
    /// GOAWAY(TIMEOUT), for this reason.
    TimedOut(&'static str),
    /// GOAWAY could not be sent in time: close without.
    GiveUp,
}

impl Edge {
    /// Bytes came, and the frames in them were handled.
    pub(crate) fn received(&mut self, conn: ConnId, bytes: usize, partial: bool) {
        let now_ms = self.now.mono_ms;
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        entry.heard_ms = now_ms;
        let is_new = entry.frame_since_ms == 0;
        if !partial || entry.is_paused {
            entry.frame_since_ms = 0;
        } else if is_new {
            entry.frame_since_ms = now_ms.max(1);
            // What of this read belongs to earlier frames is not known: it earns a second at most.
            let earned = (bytes as u64).min(self.settings.limits.frame_bytes_per_second);
            entry.frame_bytes = u32::try_from(earned).unwrap_or(u32::MAX);
        } else {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            entry.frame_bytes = entry.frame_bytes.saturating_add(bytes);
        }
    }

    /// Looks at the connections whose time has come.
    pub(super) fn check_connections(&mut self) {
        while let Some(due) = self.wheel.take_due(self.now.mono_ms) {
            for &conn in &due {
                self.check(conn);
            }
            self.wheel.give_back(due);
        }
    }

    fn check(&mut self, conn: ConnId) {
        let now_ms = self.now.mono_ms;
        let Some(entry) = self.conns.get_mut(conn) else {
            return;
        };
        let mut next = now_ms + HORIZON_MS;
        match look(entry, now_ms, &self.settings.limits) {
            Verdict::Wait(at_ms) => next = at_ms,
            Verdict::Ping => {
                entry.told_ms = now_ms;
                self.conns.write(conn, |out| {
                    Ping { nonce: now_ms }.encode(RequestId::PUSH, out)
                });
                next = now_ms + 1;
            }
            Verdict::TimedOut(text) => {
                next = now_ms + CLOSING_MS;
                self.goaway(conn, Code::TIMEOUT, text);
            }
            Verdict::GiveUp => {
                self.conns.clear(conn);
                self.out.push_back(Output::Close(conn));
            }
        }
        self.wheel.put(conn, next.min(now_ms + HORIZON_MS));
    }
}

fn look(conn: &Conn, now_ms: u64, limits: &Limits) -> Verdict {
    let open = match &conn.session {
        Session::AwaitHello { deadline_ms } if now_ms >= *deadline_ms => {
            return Verdict::TimedOut("no HELLO in time");
        }
        Session::AwaitHello { deadline_ms } => return Verdict::Wait(*deadline_ms),
        Session::Closing { deadline_ms } if now_ms >= *deadline_ms => return Verdict::GiveUp,
        Session::Closing { deadline_ms } => return Verdict::Wait(*deadline_ms),
        Session::Open(open) => open,
    };
    let keepalive_ms = u64::from(open.keepalive_ms);
    let silence_ms = keepalive_ms * u64::from(KEEPALIVES_MISSED_MAX);
    let (silent_at, text) = if conn.is_paused {
        let silent_at = conn.heard_ms + silence_ms.max(STALLED_MS);
        (silent_at, "nothing could be answered or sent for too long")
    } else {
        (conn.heard_ms + silence_ms, "nothing was heard for too long")
    };
    if now_ms >= silent_at {
        return Verdict::TimedOut(text);
    }
    let slow_at = slow_frame_at(conn, limits);
    if now_ms >= slow_at {
        return Verdict::TimedOut("a started frame took too long");
    }
    let ping_at = if conn.outbox.is_empty() {
        conn.told_ms + keepalive_ms
    } else {
        now_ms + keepalive_ms
    };
    if now_ms >= ping_at {
        return Verdict::Ping;
    }
    Verdict::Wait(silent_at.min(slow_at).min(ping_at))
}

/// When a started frame becomes too slow, if no more of it arrives.
fn slow_frame_at(conn: &Conn, limits: &Limits) -> u64 {
    if conn.frame_since_ms == 0 || conn.is_paused {
        return u64::MAX;
    }
    let earned_ms = u64::from(conn.frame_bytes) * 1_000 / limits.frame_bytes_per_second.max(1);
    conn.frame_since_ms + limits.frame_ms.max(earned_ms)
}
