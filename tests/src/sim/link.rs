//! A connection between a client and a core: two pipes, and how each side stands to it.

use antiphon_core::ConnId;

use super::acks::Acks;
use super::pipe::Pipe;

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) core: usize,
    pub(crate) client: usize,
    /// To the server.
    pub(crate) up: Pipe,
    /// To the client.
    pub(crate) down: Pipe,
    pub(crate) server: ServerSide,
    /// The client holds it.
    pub(crate) client_holds: bool,
    /// The client's side has heard of a reset.
    pub(crate) client_is_broken: bool,
}

/// The server's side.
#[derive(Debug)]
pub(crate) struct ServerSide {
    pub(crate) stage: Stage,
    pub(crate) conn: ConnId,
    /// Read, and no frame yet.
    pub(crate) held: Vec<u8>,
    /// The core wants no frame for now.
    pub(crate) is_paused: bool,
    /// In the core's list of readable ones.
    pub(crate) is_queued: bool,
    /// In the core's list of flushes.
    pub(crate) is_flushing: bool,
    /// A reset was heard.
    pub(crate) is_broken: bool,
    /// Finds the acks in what was sent.
    pub(crate) acks: Acks,
}

/// How the server's side stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Accepted by the kernel, not by the core.
    Waiting,
    Open,
    /// To be closed once the outbox is sent.
    Closing,
    /// The end was sent; what comes is thrown away.
    Lingering,
    /// The core knows nothing of it.
    Gone,
}

impl Link {
    /// Whether neither side holds it.
    pub(crate) fn is_over(&self) -> bool {
        !self.client_holds && self.server.stage == Stage::Gone
    }
}
