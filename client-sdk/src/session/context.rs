//! What the parts of a session need from it while they handle something.

use std::collections::VecDeque;

use crate::session::input::Mono;
use crate::session::jitter::Jitter;
use crate::session::output::{Event, Output};

/// The moment, the chance, and the way out.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The moment of the input at hand.
    pub(crate) now: Mono,
    /// Spreads waits.
    pub(crate) jitter: &'a mut Jitter,
    /// What the driver will do, in order.
    pub(crate) outputs: &'a mut VecDeque<Output>,
}

impl Context<'_> {
    /// Tells the application.
    pub(crate) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// When to try again what was refused for the `attempt`th time in a row.
    pub(crate) fn retry_at(&mut self, attempt: u32, retry_after_ms: u64) -> Mono {
        self.now.plus(self.jitter.wait_ms(attempt, retry_after_ms))
    }
}
