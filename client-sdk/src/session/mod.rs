//! The session: a client's whole state as a machine without socket, thread, clock or randomness.

mod input;
mod output;

use antiphon_protocol::UserName;

pub(crate) use input::{Command, Input, Mono, Outgoing, Ticket};
pub(crate) use output::{Event, Output, Welcomed};

use crate::error::ClientError;
use crate::options::ClientOptions;

/// A client's whole state.
#[derive(Debug)]
pub(crate) struct Session {
    outputs: Vec<Output>,
}

impl Session {
    pub(crate) fn new(
        _options: &ClientOptions,
        _user: UserName,
        _seed: u64,
    ) -> Result<Session, ClientError> {
        Ok(Session {
            outputs: Vec::new(),
        })
    }

    pub(crate) fn handle(&mut self, _input: Input<'_>, _now: Mono) {
        self.outputs.push(Output::Event(Event::Closed {
            reason: ClientError::Closed,
            unacked: 0,
        }));
    }

    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop()
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &[]
    }

    pub(crate) fn advance(&mut self, _count: usize, _now: Mono) {}

    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        None
    }
}
