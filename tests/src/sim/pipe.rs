//! One direction of a connection: bytes in order, late, in any pieces, or never.

use std::collections::VecDeque;

use super::queue::Micros;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Sent and not read, oldest first; the first `arrived` of them can be read.
    bytes: VecDeque<u8>,
    arrived: usize,
    flights: VecDeque<(Micros, Flight)>,
    /// Nothing arrives before what was sent before it.
    last: Micros,
    /// Most bytes sent and not read.
    capacity: usize,
    /// The end was read: nothing follows.
    is_ended: bool,
    /// Nothing arrives before.
    pub(crate) clogged_until: Micros,
    /// Nothing arrives any more, and nobody is told.
    pub(crate) is_dead: bool,
    /// The writer was refused and wants to hear of room.
    pub(crate) is_blocked: bool,
    /// Most bytes that one read takes.
    grain: u64,
    /// While it dribbles: most bytes that one read takes, and until when.
    dribble: Option<(u64, Micros)>,
}

#[derive(Clone, Copy, Debug)]
enum Flight {
    Bytes(usize),
    End,
}

impl Pipe {
    /// An empty one.
    pub(crate) fn new(capacity: usize, grain: u64) -> Pipe {
        Pipe {
            bytes: VecDeque::new(),
            arrived: 0,
            flights: VecDeque::new(),
            last: 0,
            capacity,
            is_ended: false,
            clogged_until: 0,
            is_dead: false,
            is_blocked: false,
            grain,
            dribble: None,
        }
    }

    /// Most bytes that one read takes.
    pub(crate) fn grain(&self, now: Micros) -> u64 {
        match self.dribble {
            Some((grain, until)) if now < until => grain,
            _ => self.grain,
        }
    }

    /// Until then a read takes so few bytes.
    pub(crate) fn dribble(&mut self, grain: u64, until: Micros) {
        self.dribble = Some((grain, until));
    }

    /// It is not clogged any more, and does not dribble. What is dead stays dead.
    pub(crate) fn heal(&mut self, now: Micros) {
        self.clogged_until = self.clogged_until.min(now);
        self.dribble = None;
    }

    /// Bytes that it takes now.
    pub(crate) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.bytes.len())
    }

    /// Sends `bytes`, for which there is room, to arrive at `at` or later; gives back when they do.
    pub(crate) fn write(&mut self, bytes: &[u8], at: Micros) -> Micros {
        self.bytes.extend(bytes);
        self.send(Flight::Bytes(bytes.len()), at)
    }

    /// Sends the end.
    pub(crate) fn end(&mut self, at: Micros) -> Micros {
        self.send(Flight::End, at)
    }

    fn send(&mut self, flight: Flight, at: Micros) -> Micros {
        let at = at.max(self.last).max(self.clogged_until);
        self.last = at;
        self.flights.push_back((at, flight));
        at
    }

    /// Lets arrive what is due; true: there is something new. Dead pipes bring nothing.
    pub(crate) fn arrive(&mut self, now: Micros) -> bool {
        let mut is_new = false;
        while !self.is_dead
            && now >= self.clogged_until
            && let Some((at, flight)) = self.flights.front().copied()
            && at <= now
        {
            self.flights.pop_front();
            is_new = true;
            match flight {
                Flight::Bytes(count) => self.arrived += count,
                Flight::End => self.is_ended = true,
            }
        }
        is_new
    }

    /// Takes up to `most` bytes that have arrived.
    pub(crate) fn read(&mut self, most: usize, into: &mut Vec<u8>) -> usize {
        let count = most.min(self.arrived);
        let (front, back) = self.bytes.as_slices();
        let (from_front, from_back) = (count.min(front.len()), count.saturating_sub(front.len()));
        into.extend_from_slice(&front[..from_front]);
        into.extend_from_slice(&back[..from_back]);
        self.bytes.drain(..count);
        self.arrived -= count;
        count
    }

    /// Whether something can be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.arrived > 0 || self.is_ended
    }

    /// Everything was read, and nothing follows.
    pub(crate) fn is_at_end(&self) -> bool {
        self.is_ended && self.arrived == 0
    }
}
