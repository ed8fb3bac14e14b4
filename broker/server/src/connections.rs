//! The connections of one core: a slab whose places are never mistaken for their earlier owners.
//!
//! A connection is named by slot and generation; the generation rises each time the slot is given away, so an event, an
//! output or a deadline that still names the former owner finds nobody.

use antiphon_core::ConnId;
use mio::Token;
use mio::net::TcpStream;

use crate::input::Input;
use crate::places::Place;

/// One client's socket and what is between it and the core.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: TcpStream,
    pub(crate) input: Input,
    pub(crate) reading: Reading,
    pub(crate) writing: Writing,
    pub(crate) stage: Stage,
    /// The peer has closed its side, says the poller: read up to the end, short reads or not.
    pub(crate) is_read_closed: bool,
    /// Registered for writing, as it is only while [`Writing::Blocked`] or right after.
    pub(crate) is_watching_writable: bool,
    /// Held for its drop.
    _place: Place,
}

// An idle connection costs this and its core state's share, and no buffer.
const _: () = assert!(size_of::<Slot>() <= 96, "a place in the slab is small");

/// What reading waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// The socket was read empty: an event will come.
    Waiting,
    /// It is in the core's list of sockets to read.
    Queued,
    /// The core has told to pause. The poller is edge-triggered and will not repeat what it has told, so resuming always
    /// reads, event or not.
    Paused,
}

/// What writing waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Writing {
    /// Nothing to write.
    Idle,
    /// It is in the core's list of sockets to flush.
    Queued,
    /// The kernel took no more: an event will come. Only now is the socket registered for writing.
    Blocked,
}

/// How far a connection's life is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// In use.
    Open,
    /// The core wants it closed; its last output is still going out. Input is not parsed any more.
    Closing,
    /// Our side is shut. What still comes is thrown away, so that no reset destroys our last bytes on their way.
    Lingering {
        /// Bytes that may still be thrown away.
        bytes_left: usize,
    },
}

/// The slab.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    count: usize,
}

#[derive(Debug)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

/// The token that events of a connection carry.
pub(crate) const fn token_of(id: ConnId) -> Token {
    Token((id.generation as usize) << 32 | id.slot as usize)
}

/// The connection that events with this token are about.
#[allow(clippy::cast_possible_truncation)]
pub(crate) const fn id_of(token: Token) -> ConnId {
    ConnId {
        slot: token.0 as u32,
        generation: (token.0 >> 32) as u32,
    }
}

impl Connection {
    pub(crate) fn new(socket: TcpStream, place: Place) -> Self {
        Self {
            socket,
            input: Input::default(),
            reading: Reading::Waiting,
            writing: Writing::Idle,
            stage: Stage::Open,
            is_read_closed: false,
            is_watching_writable: false,
            _place: place,
        }
    }
}

impl Connections {
    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    /// Takes a connection in.
    pub(crate) fn insert(&mut self, connection: Connection) -> ConnId {
        self.count += 1;
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            debug_assert!(
                place.connection.is_none(),
                "INV-SRV-5: a free slot is empty"
            );
            place.connection = Some(connection);
            return ConnId {
                slot,
                generation: place.generation,
            };
        }
        let slot = u32::try_from(self.slots.len())
            .expect("a process has fewer descriptors than u32 has values");
        self.slots.push(Slot {
            generation: 0,
            connection: Some(connection),
        });
        ConnId {
            slot,
            generation: 0,
        }
    }

    /// The connection of that name, if it still is.
    pub(crate) fn by_id(&mut self, id: ConnId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation == id.generation {
            slot.connection.as_mut()
        } else {
            None
        }
    }

    /// Takes a connection out; its name is never given again (but for 2^32 reuses of one slot).
    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Connection> {
        let slot = self.slots.get_mut(id.slot as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let connection = slot.connection.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(id.slot);
        self.count -= 1;
        Some(connection)
    }
}
