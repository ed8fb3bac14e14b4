//! The floors' server: an event loop, a list of subscribers by room, a file. As little as can stand behind the same figures.
//!
//! It has no limits against slow readers and trusts its peers: it is a yardstick, and nobody's server.

use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::net::TcpListener as StdListener;
use std::os::unix::fs::FileExt;
use std::path::Path;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use super::frame::{Frame, Kind, append};
use crate::limits::{EVENTS_MAX, READ_BYTES};

const LISTENER: Token = Token(usize::MAX);
/// Length of the file that is written round and round; zero-filled first, so that a sync writes data only.
const FILE_BYTES: u64 = 64 << 20;

/// Serves connections of `listener` for ever. What is to be kept goes to `file`, which is synced before the acks; without a file,
/// whoever wants something kept is cut off.
///
/// # Errors
/// The machine says no.
pub fn serve(listener: StdListener, file: Option<&Path>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let mut server = Floor {
        poll: Poll::new()?,
        listener: TcpListener::from_std(listener),
        connections: Vec::new(),
        rooms: Vec::new(),
        dirty: Vec::new(),
        disk: file.map(Disk::create).transpose()?,
    };
    let registry = server.poll.registry();
    registry.register(&mut server.listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(EVENTS_MAX);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        server.turn(&mut events, &mut buffer)?;
    }
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    /// By token; `None`: gone.
    connections: Vec<Option<Connection>>,
    /// Subscribers by room.
    rooms: Vec<Vec<u32>>,
    /// Connections with something to send.
    dirty: Vec<u32>,
    disk: Option<Disk>,
}

struct Connection {
    socket: TcpStream,
    /// The start of a frame that is not whole.
    input: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    is_dirty: bool,
}

impl Floor {
    fn turn(&mut self, events: &mut Events, buffer: &mut [u8]) -> io::Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let Ok(number) = u32::try_from(event.token().0) else {
                continue;
            };
            if event.is_readable() {
                self.read(number, buffer);
            }
            if event.is_writable() {
                self.mark(number);
            }
        }
        let synced = match &mut self.disk {
            Some(disk) => disk.sync()?,
            None => Vec::new(),
        };
        for (number, request) in synced {
            self.say(number, |out| append(Kind::Ack, 0, request, &[], out));
        }
        self.send();
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let token = Token(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut socket, token, interest)?;
            self.connections.push(Some(Connection {
                socket,
                input: Vec::new(),
                out: Vec::new(),
                sent: 0,
                is_dirty: false,
            }));
        }
    }

    /// Reads until the socket is dry; a broken connection is forgotten.
    fn read(&mut self, number: u32, buffer: &mut [u8]) {
        loop {
            let Some(Some(connection)) = self.connections.get_mut(number as usize) else {
                return;
            };
            let count = match connection.socket.read(buffer) {
                Ok(count) if count > 0 => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => return self.forget(number),
            };
            let is_dry = count < buffer.len();
            let mut input = mem::take(&mut connection.input);
            let used = if input.is_empty() {
                let used = self.on_bytes(number, &buffer[..count]);
                input.extend_from_slice(&buffer[used.unwrap_or(count)..count]);
                used
            } else {
                input.extend_from_slice(&buffer[..count]);
                let used = self.on_bytes(number, &input);
                input.drain(..used.unwrap_or_default());
                used
            };
            match (self.connections.get_mut(number as usize), used) {
                (Some(Some(connection)), Some(_)) => connection.input = input,
                _ => return self.forget(number),
            }
            if is_dry {
                return;
            }
        }
    }

    /// Takes whole frames; how many bytes they were, or nothing if they are unlawful.
    fn on_bytes(&mut self, number: u32, input: &[u8]) -> Option<usize> {
        let mut used = 0;
        // Publishes to one room that follow each other are copied to each subscriber at once.
        let mut run = (0, 0..0);
        while let Some(frame) = Frame::next(&input[used..]).ok()? {
            let at = used;
            used += frame.whole.len();
            if frame.kind == Kind::Publish {
                if frame.room == run.0 && run.1.end == at {
                    run.1.end = used;
                } else {
                    self.fan_out(run.0, &input[run.1]);
                    run = (frame.room, at..used);
                }
            } else {
                self.on_request(number, frame);
            }
        }
        self.fan_out(run.0, &input[run.1]);
        Some(used)
    }

    fn on_request(&mut self, number: u32, frame: Frame<'_>) {
        match frame.kind {
            Kind::Subscribe => {
                let room = frame.room as usize;
                if self.rooms.len() <= room {
                    self.rooms.resize_with(room + 1, Vec::new);
                }
                self.rooms[room].push(number);
                self.say(number, |out| out.extend_from_slice(frame.whole));
            }
            Kind::Hello => self.say(number, |out| out.extend_from_slice(frame.whole)),
            Kind::Keep => match &mut self.disk {
                Some(disk) => {
                    disk.pending.extend_from_slice(frame.whole);
                    disk.waiting.push((number, frame.request));
                }
                None => self.forget(number),
            },
            Kind::Publish | Kind::Ack => {}
        }
    }

    fn fan_out(&mut self, room: u32, frames: &[u8]) {
        if frames.is_empty() || self.rooms.len() <= room as usize {
            return;
        }
        let subscribers = mem::take(&mut self.rooms[room as usize]);
        for &number in &subscribers {
            self.say(number, |out| out.extend_from_slice(frames));
        }
        self.rooms[room as usize] = subscribers;
    }

    fn say(&mut self, number: u32, speak: impl FnOnce(&mut Vec<u8>)) {
        if let Some(Some(connection)) = self.connections.get_mut(number as usize) {
            speak(&mut connection.out);
        }
        self.mark(number);
    }

    fn mark(&mut self, number: u32) {
        if let Some(Some(connection)) = self.connections.get_mut(number as usize)
            && !connection.is_dirty
        {
            connection.is_dirty = true;
            self.dirty.push(number);
        }
    }

    fn send(&mut self) {
        for number in mem::take(&mut self.dirty) {
            let Some(Some(connection)) = self.connections.get_mut(number as usize) else {
                continue;
            };
            connection.is_dirty = false;
            if connection.send().is_err() {
                self.forget(number);
            }
        }
    }

    fn forget(&mut self, number: u32) {
        if let Some(connection) = self.connections.get_mut(number as usize) {
            *connection = None;
        }
    }
}

impl Connection {
    /// Sends what the socket takes; the rest goes when the kernel says that there is room.
    fn send(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }
}

/// What is kept in one turn is written at once and synced once.
struct Disk {
    file: File,
    at: u64,
    pending: Vec<u8>,
    /// Connection and request of each frame in `pending`.
    waiting: Vec<(u32, u32)>,
}

impl Disk {
    fn create(path: &Path) -> io::Result<Self> {
        let mut file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(path)?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..FILE_BYTES >> 20 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self {
            file,
            at: 0,
            pending: Vec::new(),
            waiting: Vec::new(),
        })
    }

    /// Writes and syncs what is pending; connection and request of each frame of it.
    fn sync(&mut self) -> io::Result<Vec<(u32, u32)>> {
        if self.pending.is_empty() {
            return Ok(Vec::new());
        }
        if self.at + self.pending.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.pending, self.at)?;
        self.file.sync_data()?;
        self.at += self.pending.len() as u64;
        self.pending.clear();
        Ok(mem::take(&mut self.waiting))
    }
}
