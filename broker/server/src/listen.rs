//! The listening socket.
//!
//! One socket and one acceptor for all cores, instead of a `SO_REUSEPORT` socket per core: connections live for hours, so they
//! are worth dealing out evenly, which a hash of addresses does not; "in use" is an error and not a second broker that
//! silently takes half of the clients; and there is one backlog that limits and draining act on. The price is one
//! hand-over per connection, never per message. See docs/decisions/0004-one-acceptor.md.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use socket2::{Domain, Protocol, Socket, Type};

use crate::error::StartError;

/// An address that is ours, before anybody can connect to it.
#[derive(Debug)]
pub(crate) struct Bound {
    socket: Socket,
    address: SocketAddr,
}

impl Bound {
    /// Takes `address`; port 0 takes a free one. An address that somebody listens on is refused here already, before the
    /// data directory is touched.
    pub(crate) fn new(address: SocketAddr) -> Result<Self, StartError> {
        let socket = bind(address).map_err(|source| refused(address, source))?;
        Ok(Self { socket, address })
    }

    /// Lets clients connect. Returns the address that it became.
    pub(crate) fn listen(self, backlog: u32) -> Result<(TcpListener, SocketAddr), StartError> {
        let Self { socket, address } = self;
        let listening = socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX));
        listening.map_err(|source| refused(address, source))?;
        let listener = TcpListener::from_std(socket.into());
        let became = listener
            .local_addr()
            .map_err(|source| refused(address, source))?;
        Ok((listener, became))
    }
}

fn refused(address: SocketAddr, source: io::Error) -> StartError {
    match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse { address },
        _ => StartError::Listen { address, source },
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A port in TIME_WAIT after a restart is free; one that somebody listens on is still refused.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_0_becomes_a_real_port_and_taking_it_twice_is_told() {
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        let (_listener, address) = Bound::new(any)
            .and_then(|bound| bound.listen(16))
            .expect("a free port");
        assert_ne!(address.port(), 0);
        let refused = Bound::new(address).expect_err("taken");
        assert!(matches!(refused, StartError::AddressInUse { address: told } if told == address));
        assert!(
            refused.to_string().contains("in use by another process"),
            "{refused}"
        );
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        let elsewhere: SocketAddr = "192.0.2.1:0".parse().expect("an address");
        assert!(matches!(
            Bound::new(elsewhere),
            Err(StartError::Listen { .. })
        ));
    }
}
