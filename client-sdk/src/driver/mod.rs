//! The blocking driver: one thread per client with a socket, a clock and a session.
//!
//! Threads of the application post commands into one inbox ([`Shared`]) and wait at a [`Waiter`] of their own; the thread
//! ([`thread::Driver`]) takes all of them at once, so that what was posted meanwhile leaves in one write.

mod calls;
mod completion;
mod deliveries;
mod shared;
#[cfg(test)]
mod tests;
mod thread;
mod transport;
mod waiter;

use std::io;
use std::sync::Arc;

use antiphon_protocol::UserName;
use mio::{Poll, Waker};

pub(crate) use calls::{close, history, ping, producer_seq, publish, subscribe};
pub(crate) use deliveries::Deliveries;
pub(crate) use shared::Handle;
pub(crate) use waiter::Waiter;

use crate::driver::shared::Shared;
use crate::driver::thread::{Driver, WAKER};
use crate::error::{ClientError, Misuse};
use crate::limits::THREAD_STACK_BYTES;
use crate::options::ClientOptions;
use crate::session::Session;

/// Starts the thread and waits until the broker has greeted.
pub(crate) fn start(options: ClientOptions) -> Result<Arc<Handle>, ClientError> {
    let user = UserName::try_from(options.user.as_str())
        .map_err(|_| Misuse::UserName(options.user.clone()))?;
    let mut seed = [0; 8];
    getrandom::fill(&mut seed).map_err(|_| ClientError::System(io::ErrorKind::Unsupported))?;
    let session = Session::new(&options, user, u64::from_le_bytes(seed))?;
    let poll = Poll::new().map_err(system)?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(system)?;
    let shared = Arc::new(Shared::new(options, waker));
    let opening = Arc::new(Waiter::new());
    let driver = Driver::new(poll, Arc::clone(&shared), session, Arc::clone(&opening));
    let handle = Arc::new(Handle { shared });
    std::thread::Builder::new()
        .name("antiphon-client".into())
        .stack_size(THREAD_STACK_BYTES)
        .spawn(move || driver.run())
        .map_err(system)?;
    // The session bounds the opening: every address once, or until the connect deadline.
    opening.wait()?;
    Ok(handle)
}

fn system(error: io::Error) -> ClientError {
    ClientError::System(error.kind())
}
