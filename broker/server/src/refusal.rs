//! Saying no to a connection that gets no place.

use std::io::{Read, Write};
use std::net::Shutdown;

use antiphon_protocol::{Code, Goaway, GoawayClass, RequestId};
use mio::net::TcpStream;

/// When a refused client should come back, in milliseconds: a place must become free first.
const RETRY_AFTER_MS: u32 = 5_000;

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
        retry_after_ms: RETRY_AFTER_MS,
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
