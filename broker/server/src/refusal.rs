//! Saying no to a connection that gets no place.

use std::io::{Read, Write};
use std::net::Shutdown;

use antiphon_protocol::{Code, Goaway, GoawayClass, RequestId};
use mio::net::TcpStream;

/// Earliest and latest time at which a refused client should come back, in milliseconds: a place must become free first, and
/// a thousand refused ones should not come back together.
const RETRY_AFTER_MS: std::ops::Range<u32> = 2_000..10_000;

/// Sends GOAWAY(LIMIT, retry) and closes.
///
/// A new socket takes one small frame without waiting. What the client sent already is read first: closing a socket with
/// unread input makes the kernel send a reset, which may overtake the GOAWAY.
pub(crate) fn too_many(mut socket: TcpStream, limit: u32) {
    let mut frame = Vec::with_capacity(128);
    let text = format!("{limit} connections are the limit");
    let goaway = Goaway {
        code: Code::LIMIT,
        class: GoawayClass::Retry,
        retry_after_ms: personal_delay(&socket),
        text: &text,
        endpoints: None,
    };
    goaway.encode(RequestId::PUSH, &mut frame);
    let mut thrown_away = [0; 1_024];
    // Best effort: whoever does not hear it sees the end of the connection.
    let _ = socket.write_all(&frame);
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.read(&mut thrown_away);
}

/// A delay of its own for every client: neighbours in the kernel's numbering of ports land far apart.
fn personal_delay(socket: &TcpStream) -> u32 {
    let port = socket
        .peer_addr()
        .map_or(0, |address| u32::from(address.port()));
    let spread = RETRY_AFTER_MS.end - RETRY_AFTER_MS.start;
    RETRY_AFTER_MS.start + port.wrapping_mul(2_654_435_761) % spread
}
