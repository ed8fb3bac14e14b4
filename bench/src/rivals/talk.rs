//! A wire over a blocking socket: for what must be there before a run, such as rooms, streams and queues.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::error::StartError;
use crate::limits::{READ_BYTES, READY_WITHIN};
use crate::target::{Event, Wire};

/// One connection, used step by step.
#[derive(Debug)]
pub(super) struct Talk<W> {
    program: &'static str,
    socket: TcpStream,
    wire: W,
    /// Longest time that one [`Talk::hear`] may take, whatever comes meanwhile.
    wait: Duration,
    input: Vec<u8>,
    out: Vec<u8>,
}

impl<W: Wire> Talk<W> {
    /// Connects, and waits until the wire is ready.
    pub(super) fn open(
        program: &'static str,
        address: SocketAddr,
        mut wire: W,
    ) -> Result<Self, StartError> {
        let socket = TcpStream::connect_timeout(&address, READY_WITHIN)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(READY_WITHIN))?;
        let mut out = Vec::new();
        wire.open(&mut out);
        let mut talk = Self {
            program,
            socket,
            wire,
            wait: READY_WITHIN,
            input: Vec::new(),
            out,
        };
        talk.hear(1, |event| matches!(event, Event::Ready))?;
        Ok(talk)
    }

    /// From now on answers must come within this.
    pub(super) fn give_up_after(&mut self, wait: Duration) {
        self.wait = wait;
    }

    /// Has the wire say something; it goes out with the next [`Talk::hear`].
    pub(super) fn say<R>(&mut self, speak: impl FnOnce(&mut W, &mut Vec<u8>) -> R) -> R {
        speak(&mut self.wire, &mut self.out)
    }

    /// Sends, and reads until `count` events are what `is_due` says. A refusal is an error.
    pub(super) fn hear(
        &mut self,
        count: usize,
        is_due: impl Fn(&Event<'_>) -> bool,
    ) -> Result<(), StartError> {
        let until = Instant::now() + self.wait;
        let mut come = 0;
        let mut buffer = vec![0; READ_BYTES];
        while come < count {
            self.socket.write_all(&self.out)?;
            self.out.clear();
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.refused(format!("{come} of {count} answers came in time")));
            }
            self.socket.set_read_timeout(Some(left))?;
            let read = match self.socket.read(&mut buffer) {
                // How long there is left is looked at in one place only.
                Err(error) if is_passing(error.kind()) => continue,
                read => read?,
            };
            if read == 0 {
                return Err(self.refused("it closed the connection".to_owned()));
            }
            self.input.extend_from_slice(&buffer[..read]);
            let mut is_refused = false;
            let parsed = self.wire.parse(&self.input, &mut self.out, &mut |event| {
                come += usize::from(is_due(&event));
                is_refused |= event == Event::Refused;
            });
            let used = parsed.map_err(|error| self.refused(error.to_string()))?;
            self.input.drain(..used);
            if is_refused {
                return Err(self.refused("it answered with an error".to_owned()));
            }
        }
        self.socket.write_all(&self.out)?;
        self.out.clear();
        Ok(())
    }

    fn refused(&self, reason: String) -> StartError {
        StartError::Refused {
            program: self.program.to_owned(),
            reason,
        }
    }
}

/// Says whether a read that failed so may be tried again.
const fn is_passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::thread;

    use super::super::redis::PubSubWire;
    use super::*;

    /// Says hello, and then what nobody waits for until the other end has gone.
    fn chatter(listener: &TcpListener) -> std::io::Result<()> {
        let (mut socket, _) = listener.accept()?;
        socket.write_all(b"%1\r\n+a\r\n+b\r\n")?;
        loop {
            socket.write_all(b"+noise\r\n")?;
        }
    }

    #[test]
    fn a_server_that_falls_silent_is_given_up() -> Result<(), StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || -> std::io::Result<u64> {
            let (mut socket, _) = listener.accept()?;
            socket.write_all(b"%1\r\n+a\r\n+b\r\n")?;
            std::io::copy(&mut socket, &mut std::io::sink())
        });
        let mut talk = Talk::open("silent", address, PubSubWire::default())?;
        talk.give_up_after(Duration::from_millis(50));
        let heard = talk.hear(1, |event| *event == Event::Subscribed);
        let refused = matches!(&heard, Err(StartError::Refused { reason, .. }) if reason.starts_with("0 of 1"));
        assert!(refused, "{heard:?}");
        drop(talk);
        assert!(server.join().is_ok());
        Ok(())
    }

    #[test]
    fn a_server_that_talks_of_something_else_is_given_up() -> Result<(), StartError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let server = thread::spawn(move || chatter(&listener));
        let mut talk = Talk::open("chatter", address, PubSubWire::default())?;
        talk.give_up_after(Duration::from_millis(50));
        let heard = talk.hear(1, |event| *event == Event::Subscribed);
        let refused = matches!(&heard, Err(StartError::Refused { reason, .. }) if reason.starts_with("0 of 1"));
        assert!(refused, "{heard:?}");
        drop(talk);
        assert!(server.join().is_ok_and(|ended| ended.is_err()));
        Ok(())
    }
}
