//! The drivers: what moves a session's bytes and hands out its answers.
//!
//! An application posts commands into one inbox ([`shared::Shared`]) and waits at an [`answer::Answer`] of its own, as a
//! thread or as a task. A driver takes all that was posted at once, so that what came together leaves in one write. What it
//! does with its session is in [`engine`]; the two drivers differ in what they sleep on and how they hold a socket:
//!
//! | | [`thread`]: blocking | [`task`]: tokio (feature `tokio`) |
//! |---|---|---|
//! | sleeps on | a `mio::Poll` | `select!` of bell, socket and timer |
//! | its bell is | a `mio::Waker` | a `Notify` |
//! | looks names up | on a thread of its own | in the runtime's pool for blocking work |

mod answer;
mod calls;
mod completion;
mod deliveries;
mod engine;
mod feed;
mod flight;
mod request;
mod resolver;
mod shared;
#[cfg(feature = "tokio")]
mod task;
#[cfg(test)]
mod tests;
mod thread;
mod transport;

pub(crate) use calls::{Closing, check, cluster, cursor, history, ping, producer_seq, signal};
pub(crate) use feed::{Feed, open};
pub(crate) use flight::{Flight, prepare};
pub(crate) use shared::Handle;
#[cfg(feature = "tokio")]
pub(crate) use task::start as start_task;
pub(crate) use thread::start as start_thread;
