//! Connecting: a bounded number at a time, from several source addresses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Interest, Token};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::Connection;
use super::{Ears, Generator};
use crate::clock::Nanos;
use crate::error::BenchError;
use crate::limits::{CONNECTIONS_PER_SOURCE, STALLED_AFTER};
use crate::target::{Event, Target, Wire};

/// Longest wait of one turn while connecting.
const TURN: Duration = Duration::from_millis(100);

impl<T: Target> Generator<'_, T> {
    /// Connects `count` more, at most `at_once` at a time, until each is ready. `on_ready` gets each of their numbers as it is.
    ///
    /// # Errors
    /// A connect fails, or none becomes ready for [`STALLED_AFTER`].
    pub fn connect(&mut self, count: u32, at_once: usize) -> Result<(), BenchError> {
        let mut greeter = Greeter::default();
        let first = self.connections();
        while greeter.ready < u64::from(count) {
            let begun = u64::from(self.connections() - first);
            let room = (greeter.ready + at_once as u64).min(u64::from(count));
            for _ in begun..room {
                self.begin_connect()?;
            }
            self.turn(TURN, &mut greeter)?;
            let waited = self.clock().now().since(greeter.newest);
            if Duration::from_nanos(waited) > STALLED_AFTER && greeter.newest != Nanos(0) {
                return Err(BenchError::Stalled {
                    what: "connections",
                    have: greeter.ready,
                    want: count.into(),
                    seconds: STALLED_AFTER.as_secs(),
                });
            }
            if greeter.newest == Nanos(0) {
                greeter.newest = self.clock().now();
            }
        }
        Ok(())
    }

    /// Begins to connect one more; its number.
    ///
    /// # Errors
    /// The kernel refuses at once.
    pub fn begin_connect(&mut self) -> Result<u32, BenchError> {
        let number = self.connections();
        let address = self.target.address(self.server, number);
        let broken = |error| BenchError::Socket {
            connection: number,
            error,
        };
        let mut socket = open_socket(number, address).map_err(broken)?;
        self.poll
            .registry()
            .register(
                &mut socket,
                Token(number as usize),
                Interest::READABLE | Interest::WRITABLE,
            )
            .map_err(broken)?;
        let wire = self.target.wire(number);
        self.connections.push(Connection::new(socket, wire));
        Ok(number)
    }

    /// The kernel has finished a connect, well or badly: say hello.
    pub(super) fn on_connected(&mut self, connection: u32) -> Result<(), BenchError> {
        let place = &mut self.connections[connection as usize];
        let refused = place.socket.take_error().transpose();
        if let Some(Ok(error) | Err(error)) = refused {
            return Err(BenchError::Socket { connection, error });
        }
        place.is_open = true;
        place.wire.open(&mut place.out);
        self.list(connection);
        Ok(())
    }
}

/// Counts those that are ready.
#[derive(Debug, Default)]
struct Greeter {
    ready: u64,
    newest: Nanos,
}

impl Ears for Greeter {
    fn hear(&mut self, _connection: u32, event: Event<'_>, now: Nanos) {
        if event == Event::Ready {
            self.ready += 1;
            self.newest = now;
        }
    }
}

/// A socket on its way to `address`. Each [`CONNECTIONS_PER_SOURCE`] of them share a source address of 127.0.0.0/8.
fn open_socket(number: u32, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if address.ip().is_loopback() && address.is_ipv4() && number >= CONNECTIONS_PER_SOURCE {
        let [_, _, high, low] = (number / CONNECTIONS_PER_SOURCE + 1).to_be_bytes();
        let source = SocketAddrV4::new(Ipv4Addr::new(127, 0, high, low), 0);
        socket.bind(&SocketAddr::from(source).into())?;
    }
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}
