//! A free port for a broker that will be killed and started again on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

/// Below the range from which Linux takes ports for outgoing connections (32,768 and up).
const PORT_FIRST: u16 = 20_000;
const PORTS: u16 = 10_000;

/// A loopback address that is free now and that no outgoing connection will take while the broker is down.
///
/// Port 0 does not do for this: clients that call a dead ephemeral port may be given that same port for their own end, and are then
/// connected to themselves, and the broker cannot have it back.
///
/// # Errors
/// All ports of the range are taken.
pub fn restartable() -> io::Result<SocketAddr> {
    // Tests that run side by side begin their search at different places.
    let start = (process::id() % u32::from(PORTS)) as u16;
    for step in 0..PORTS {
        let port = PORT_FIRST + (start + step) % PORTS;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::other("no port is free between 20000 and 29999"))
}
