//! Redis Streams with the append-only file: what is kept.

use std::collections::VecDeque;

use super::resp::{self, Reply};
use crate::error::{StartError, Unsupported, WireError};
use crate::server::{Place, Server};
use crate::target::{Ack, Durability, Event, Room, Since, Target, Wire};

/// `appendfsync` of redis.conf.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AppendFsync {
    /// Before the replies of a turn go out: group commit.
    Always,
    /// Once a second, in the background. While that runs, writes wait for it for up to 2 s, and replies do not.
    EverySecond,
}

/// Redis as a log.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// When it syncs.
    pub appendfsync: AppendFsync,
}

impl Streams {
    const fn own(self) -> [(&'static str, &'static str); 3] {
        let appendfsync = match self.appendfsync {
            AppendFsync::Always => "always",
            AppendFsync::EverySecond => "everysec",
        };
        [
            ("appendonly", "yes"),
            ("appendfsync", appendfsync),
            // A rewrite would fork in the middle of a run; a run is short.
            ("auto-aof-rewrite-percentage", "0"),
        ]
    }
}

impl Target for Streams {
    type Wire = StreamsWire;

    fn name(&self) -> String {
        match self.appendfsync {
            AppendFsync::Always => "redis streams, always",
            AppendFsync::EverySecond => "redis streams, everysec",
        }
        .to_owned()
    }

    fn durability(&self) -> Durability {
        let is_synced = self.appendfsync == AppendFsync::Always;
        let acked = if is_synced {
            "after fdatasync of the append-only file"
        } else {
            "after a write to the append-only file, or up to 2 s before it while a sync runs; synced once a second"
        };
        Durability {
            acked: acked.to_owned(),
            synced_before_ack: is_synced,
            synced_before_delivery: is_synced,
        }
    }

    fn settings(&self) -> Vec<String> {
        super::in_words(&self.own())
    }

    fn start(&self, place: &Place) -> Result<Server, StartError> {
        super::start(&self.own(), place)
    }

    fn wire(&self, _number: u32) -> StreamsWire {
        StreamsWire::default()
    }
}

/// What a reply answers; replies come in the order of the commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Ping,
    Add { request: u64 },
    History { request: u64 },
}

/// One connection.
#[derive(Clone, Debug, Default)]
pub struct StreamsWire {
    asked: VecDeque<Asked>,
}

impl StreamsWire {
    fn on_reply(
        &mut self,
        reply: &Reply<'_>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<(), WireError> {
        let asked = self.asked.pop_front();
        let asked = asked.ok_or_else(|| WireError::Malformed("a reply to nothing".to_owned()))?;
        match (asked, reply) {
            (_, Reply::Error(_)) => sink(Event::Refused),
            (Asked::Ping, _) => sink(Event::Ready),
            (Asked::Add { request }, _) => sink(Event::Acked { request }),
            (Asked::History { request }, Reply::Array(entries)) => {
                for body in entries.iter().filter_map(body_of) {
                    sink(Event::HistoryItem { body });
                }
                sink(Event::History { request });
            }
            (Asked::History { .. }, _) => sink(Event::Refused),
        }
        Ok(())
    }
}

/// The value in `[id, [field, value]]`.
fn body_of<'a>(entry: &Reply<'a>) -> Option<&'a [u8]> {
    match entry {
        Reply::Array(parts) => match parts.as_slice() {
            [_, Reply::Array(fields)] => match fields.as_slice() {
                [_, Reply::Bulk(body)] => Some(body),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

impl Wire for StreamsWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        self.asked.push_back(Asked::Ping);
        resp::command(&[b"PING"], out);
    }

    fn subscribe(&mut self, _: &Room, _: Since, _: &mut Vec<u8>) -> Result<(), Unsupported> {
        Err(Unsupported("push from streams: readers ask"))
    }

    fn publish(&mut self, room: &Room, request: u64, _ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        self.asked.push_back(Asked::Add { request });
        resp::command(&[b"XADD", room.name.as_bytes(), b"*", b"b", body], out);
    }

    fn history(
        &mut self,
        room: &Room,
        limit: u32,
        request: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        self.asked.push_back(Asked::History { request });
        let limit = limit.to_string();
        let name = room.name.as_bytes();
        resp::command(
            &[b"XREVRANGE", name, b"+", b"-", b"COUNT", limit.as_bytes()],
            out,
        );
        Ok(())
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        _out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some((reply, length)) = resp::next(&input[used..])? {
            used += length;
            self.on_reply(&reply, sink)?;
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transcript::{heard, said};
    use super::*;

    fn asked() -> (StreamsWire, String) {
        let room = Room {
            number: 0,
            name: "r0-0".to_owned(),
        };
        let mut wire = StreamsWire::default();
        let words = said(|out| {
            wire.open(out);
            wire.publish(&room, 1, Ack::Wanted, b"hi", out);
            assert_eq!(wire.history(&room, 100, 2, out), Ok(()));
            wire.publish(&room, 3, Ack::Wanted, b"no", out);
        });
        (wire, words)
    }

    #[test]
    fn what_it_says() {
        let expected = "*1\r\n$4\r\nPING\r\n\
            *5\r\n$4\r\nXADD\r\n$4\r\nr0-0\r\n$1\r\n*\r\n$1\r\nb\r\n$2\r\nhi\r\n\
            *6\r\n$9\r\nXREVRANGE\r\n$4\r\nr0-0\r\n$1\r\n+\r\n$1\r\n-\r\n$5\r\nCOUNT\r\n$3\r\n100\r\n\
            *5\r\n$4\r\nXADD\r\n$4\r\nr0-0\r\n$1\r\n*\r\n$1\r\nb\r\n$2\r\nno\r\n";
        assert_eq!(asked().1, expected);
    }

    #[test]
    fn replies_go_to_what_was_asked_in_that_order() {
        let transcript = b"+PONG\r\n$3\r\n7-0\r\n\
            *1\r\n*2\r\n$3\r\n7-0\r\n*2\r\n$1\r\nb\r\n$2\r\nhi\r\n\
            -OOM no\r\n";
        let expected = ["Ready", "Acked 1", "HistoryItem hi", "History 2", "Refused"];
        assert_eq!(heard(|| asked().0, transcript), expected);
    }
}
