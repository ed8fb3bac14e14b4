//! Ports for programs that must be told a number.

use std::env;
use std::fs::File;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::limits::{PORT_FIRST, PORTS};

/// Loopback ports that belong to one system as long as this value lives.
///
/// A port that the kernel gives for port 0 does not do: until the program listens on it, the kernel may give it to an outgoing
/// connection, and this generator makes thousands of them. So ports come from below that range, and the lock of a file keeps other
/// runs on the machine away.
#[derive(Debug, Default)]
pub struct Ports {
    /// Held, never written.
    locks: Vec<File>,
}

impl Ports {
    /// One more port, on which nobody listens now.
    ///
    /// # Errors
    /// All are taken, or the folder for temporary files cannot be written to.
    pub fn take(&mut self) -> io::Result<SocketAddr> {
        // Runs side by side begin at different places, and a port rests a while before it is used again.
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        for _ in 0..PORTS {
            let step = TAKEN.fetch_add(1, Ordering::Relaxed);
            let at = process::id().wrapping_add(step) % u32::from(PORTS);
            let port = PORT_FIRST + u16::try_from(at).expect("a remainder is smaller than PORTS");
            let lock =
                File::create(env::temp_dir().join(format!("antiphon-bench-port-{port}.lock")))?;
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            if lock.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
                self.locks.push(lock);
                return Ok(address);
            }
        }
        Err(io::Error::other(
            "no port is free below those of outgoing connections",
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ports_are_given_once_and_are_none_that_an_outgoing_connection_gets() -> io::Result<()> {
        let (mut ours, mut theirs) = (Ports::default(), Ports::default());
        let mut seen = HashSet::new();
        for _ in 0..20 {
            for address in [ours.take()?, theirs.take()?] {
                assert!(seen.insert(address), "{address} twice");
                assert!((PORT_FIRST..32_768).contains(&address.port()), "{address}");
            }
        }
        Ok(())
    }
}
