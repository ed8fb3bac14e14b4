//! The proof that nothing is missing: every record must be the next one, and its link must follow.

use antiphon_protocol::{self as protocol, Link, RoomId, Seq};
use bytes::Bytes;

use crate::error::Violation;
use crate::headers::Headers;
use crate::record::{Gap, Position, Record};

/// How far a room has been read and checked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Chain {
    room_id: RoomId,
    position: Position,
}

impl Chain {
    /// A chain that goes on behind `position`. `told` is the link there as the broker says it: 0 if it keeps no such record any
    /// more (a gap comes first then); it must be ours if we know one.
    pub(crate) fn new(room_id: RoomId, position: Position, told: Link) -> Result<Chain, Violation> {
        let ours = if position.seq == Seq::ZERO {
            Link::start(room_id)
        } else {
            position.link
        };
        let link = match (ours, told) {
            (ours, Link(0)) => ours,
            (Link(0), told) => told,
            (ours, told) if ours == told => ours,
            _ => return Err(Violation::Link(position.seq)),
        };
        Ok(Chain {
            room_id,
            position: Position {
                seq: position.seq,
                link,
            },
        })
    }

    pub(crate) fn room_id(&self) -> RoomId {
        self.room_id
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Takes the next record, or says why it is not the next one. Its checksum was checked when it was decoded.
    pub(crate) fn record(&mut self, record: &protocol::Record<'_>) -> Result<Record, Violation> {
        self.expect(record.room_id(), record.seq())?;
        // A redacted record cannot be hashed any more; the next one's link still covers its place.
        if !record.is_erased() && !record.verify_link(self.position.link) {
            return Err(Violation::Link(record.seq()));
        }
        self.position = Position {
            seq: record.seq(),
            link: record.link(),
        };
        Ok(owned(record))
    }

    /// Takes a gap that starts at the next record.
    pub(crate) fn gap(&mut self, gap: &protocol::Gap) -> Result<Gap, Violation> {
        self.expect(gap.room_id, gap.from)?;
        self.position = Position {
            seq: gap.to,
            link: gap.link,
        };
        Ok(Gap {
            room_id: gap.room_id,
            from: gap.from,
            to: gap.to,
            link: gap.link,
            reason: gap.reason,
        })
    }

    fn expect(&self, room_id: RoomId, got: Seq) -> Result<(), Violation> {
        let expected = self.position.seq.next();
        if room_id != self.room_id || got != expected {
            return Err(Violation::Order { expected, got });
        }
        Ok(())
    }
}

/// Copies a record out of the receive buffer, its variable parts into one shared allocation.
fn owned(record: &protocol::Record<'_>) -> Record {
    let (sender, headers, body) = (record.sender().as_bytes(), record.headers(), record.body());
    let mut parts = Vec::with_capacity(sender.len() + headers.len() + body.len());
    parts.extend_from_slice(sender);
    parts.extend_from_slice(headers);
    parts.extend_from_slice(body);
    let parts = Bytes::from(parts);
    let headers_end = sender.len() + headers.len();
    Record {
        room_id: record.room_id(),
        seq: record.seq(),
        count: record.count(),
        time: record.time(),
        link: record.link(),
        producer: record.producer(),
        producer_seq: record.producer_seq(),
        device: record.device(),
        kind: record.kind(),
        codec: record.codec(),
        is_erased: record.is_erased(),
        sender: parts.slice(..sender.len()),
        headers: Headers(parts.slice(sender.len()..headers_end)),
        body: parts.slice(headers_end..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId(7);

    #[test]
    fn a_known_link_must_be_the_brokers_unless_it_tells_none() {
        let start = Link::start(ROOM);
        let at = |seq, ours, told| {
            let position = Position {
                seq: Seq(seq),
                link: Link(ours),
            };
            Chain::new(ROOM, position, Link(told)).map(|chain| chain.position().link)
        };
        assert_eq!(at(0, 0, start.0), Ok(start));
        assert_eq!(at(0, 0, 0), Ok(start));
        assert_eq!(at(0, 0, 5), Err(Violation::Link(Seq(0))));
        assert_eq!(at(3, 5, 5), Ok(Link(5)));
        assert_eq!(at(3, 5, 6), Err(Violation::Link(Seq(3))));
        assert_eq!(at(3, 0, 6), Ok(Link(6)));
        assert_eq!(at(3, 5, 0), Ok(Link(5)));
        assert_eq!(at(3, 0, 0), Ok(Link(0)));
    }
}
