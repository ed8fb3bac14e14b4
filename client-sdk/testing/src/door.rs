//! The port that clients know: it passes bytes on to the broker of the moment, or does not.
//!
//! Two threads per connection, each with one buffer: a test has few connections, and a thread that waits is the simplest
//! thing that holds bytes back without losing or reordering any.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};

/// Bytes that one direction of a connection may hold up.
const BUFFER_BYTES: usize = 64 * 1024;

/// Stack of a thread that copies.
const STACK_BYTES: usize = BUFFER_BYTES + 64 * 1024;

/// A listening port and the connections that came through it.
#[derive(Debug)]
pub(crate) struct Door {
    address: SocketAddr,
    hall: Arc<Hall>,
    porter: Option<JoinHandle<()>>,
}

/// What all threads of a door share.
#[derive(Debug, Default)]
struct Hall {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Where the broker listens; `None`: there is none, who knocks is sent away.
    target: Option<SocketAddr>,
    is_paused: bool,
    is_over: bool,
    links: BTreeMap<u64, Link>,
    last_link: u64,
}

/// Both ends of one connection.
#[derive(Debug)]
struct Link {
    client: TcpStream,
    broker: TcpStream,
}

impl Door {
    /// A door on a free port that leads nowhere yet.
    pub(crate) fn open() -> io::Result<Door> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let hall = Arc::new(Hall::default());
        let inside = Arc::clone(&hall);
        let porter = std::thread::Builder::new()
            .name("test-door".into())
            .spawn(move || {
                for stream in listener.incoming() {
                    if inside.state.lock().is_over {
                        return;
                    }
                    // A connection that cannot be passed on is dropped: its client sees it end.
                    let _ = stream.and_then(|client| Hall::admit(&inside, client));
                }
            })?;
        Ok(Door {
            address,
            hall,
            porter: Some(porter),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on clients come to the broker at `target`.
    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.hall.state.lock().target = Some(target);
    }

    /// Ends every connection, and sends everybody away from now on.
    pub(crate) fn close(&self) {
        self.hall.state.lock().target = None;
        self.cut();
    }

    /// Ends every connection.
    pub(crate) fn cut(&self) {
        let links = std::mem::take(&mut self.hall.state.lock().links);
        links.into_values().for_each(Link::end);
        self.hall.changed.notify_all();
    }

    /// Holds all bytes back, or no longer.
    pub(crate) fn pause(&self, is_paused: bool) {
        self.hall.state.lock().is_paused = is_paused;
        self.hall.changed.notify_all();
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.hall.state.lock().is_over = true;
        self.cut();
        // Whoever waits for the next client gets one, and sees that it is over.
        let _ = TcpStream::connect(self.address);
        if let Some(porter) = self.porter.take() {
            let _ = porter.join();
        }
    }
}

impl Hall {
    /// Connects a client to the broker.
    fn admit(hall: &Arc<Hall>, client: TcpStream) -> io::Result<()> {
        let Some(target) = hall.state.lock().target else {
            return Ok(());
        };
        let broker = TcpStream::connect(target)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let ends = Link {
            client: client.try_clone()?,
            broker: broker.try_clone()?,
        };
        let id = {
            let mut state = hall.state.lock();
            if state.target != Some(target) || state.is_over {
                return Ok(());
            }
            state.last_link += 1;
            let id = state.last_link;
            state.links.insert(id, ends);
            id
        };
        let ways = [(client.try_clone()?, broker.try_clone()?), (broker, client)];
        for (from, to) in ways {
            let hall = Arc::clone(hall);
            std::thread::Builder::new()
                .name("test-door-link".into())
                .stack_size(STACK_BYTES)
                .spawn(move || {
                    let _ = hall.copy(id, from, to);
                    hall.end(id);
                })?;
        }
        Ok(())
    }

    /// Copies one direction until either end is gone.
    fn copy(&self, id: u64, mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER_BYTES];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 || !self.pass(id) {
                return Ok(());
            }
            to.write_all(buffer.get(..count).unwrap_or_default())?;
        }
    }

    /// Waits while the door is paused; false: the connection is gone.
    fn pass(&self, id: u64) -> bool {
        let mut state = self.state.lock();
        while state.is_paused && state.links.contains_key(&id) {
            self.changed.wait(&mut state);
        }
        state.links.contains_key(&id)
    }

    fn end(&self, id: u64) {
        if let Some(link) = self.state.lock().links.remove(&id) {
            link.end();
        }
    }
}

impl Link {
    fn end(self) {
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }
}
