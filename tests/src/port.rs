//! A port for a broker that will be killed and started again on it.

use std::env;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;

/// Below the range from which Linux takes ports for outgoing connections (32,768 and up).
const PORT_FIRST: u16 = 20_000;
const PORTS: u16 = 10_000;

/// A loopback address that is kept for its holder as long as the value lives, also while nobody listens on it.
///
/// Port 0 does not do for a broker that comes back: clients that call a dead ephemeral port may be given that same port for their own
/// end, and are then connected to themselves. And another test must not take the port while the broker is down; so it is reserved by
/// the lock of a file that all tests on the machine look at.
#[derive(Debug)]
pub struct Reserved {
    address: SocketAddr,
    /// Held, never written.
    _lock: File,
}

impl Reserved {
    /// Reserves a port that is free now.
    ///
    /// # Errors
    /// All ports of the range are taken, or the folder for temporary files cannot be written to.
    pub fn new() -> io::Result<Self> {
        // Processes that run side by side begin their search at different places.
        let start = (process::id() % u32::from(PORTS)) as u16;
        for step in 0..PORTS {
            let port = PORT_FIRST + (start + step) % PORTS;
            let lock =
                File::create(env::temp_dir().join(format!("antiphon-tests-port-{port}.lock")))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if lock.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
                return Ok(Self {
                    address,
                    _lock: lock,
                });
            }
        }
        Err(io::Error::other("no port is free between 20000 and 29999"))
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_holders_never_have_the_same_port() {
        let (first, second) = (Reserved::new().unwrap(), Reserved::new().unwrap());
        assert_ne!(first.address(), second.address());
    }
}
