//! Small requests that may be asked again without harm, so they are asked until answered: cursors, metadata.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_protocol::{
    Code, Cursor, CursorAnswer, Metadata, MetadataRequest, RequestId, RoomName,
};

use crate::cluster::Cluster;
use crate::cursor::{CursorMove, CursorName};
use crate::error::{ClientError, Rejection};
use crate::session::context::Context;
use crate::session::input::{Mono, Ticket};
use crate::session::jitter::millis;
use crate::session::output::Event;

/// What is asked.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To move a cursor, which never goes back: asked twice, it moves once.
    Cursor {
        room: RoomName,
        name: CursorName,
        to: CursorMove,
    },
    /// Which nodes there are.
    Metadata,
}

/// Every such request that has no answer yet.
#[derive(Debug, Default)]
pub(crate) struct Asks {
    by_ticket: BTreeMap<Ticket, Asked>,
    held: BTreeSet<(Mono, Ticket)>,
}

#[derive(Debug)]
struct Asked {
    ask: Ask,
    /// In a row.
    refusals: u32,
}

impl Asks {
    pub(crate) fn add(&mut self, ticket: Ticket, ask: Ask) {
        self.by_ticket.insert(ticket, Asked { ask, refusals: 0 });
    }

    /// The asker waits no longer.
    pub(crate) fn remove(&mut self, ticket: Ticket) {
        self.by_ticket.remove(&ticket);
        self.held.retain(|(_, held)| *held != ticket);
    }

    /// All that must be asked on a new connection.
    pub(crate) fn on_open(&mut self) -> Vec<Ticket> {
        self.held.clear();
        self.by_ticket.keys().copied().collect()
    }

    /// Appends a request that is still wanted; true: it did.
    pub(crate) fn encode(&self, ticket: Ticket, id: RequestId, out: &mut Vec<u8>) -> bool {
        let Some(asked) = self.by_ticket.get(&ticket) else {
            return false;
        };
        match &asked.ask {
            Ask::Cursor { room, name, to } => Cursor {
                room: room.into(),
                name: name.as_str(),
                position: to.position,
                scope: to.scope,
                is_sync: to.is_sync,
            }
            .encode(id, out),
            Ask::Metadata => MetadataRequest::default().encode(id, out),
        }
        true
    }

    /// Where a cursor stands.
    pub(crate) fn on_cursor(
        &mut self,
        ticket: Ticket,
        answer: CursorAnswer,
        context: &mut Context<'_>,
    ) {
        if self.by_ticket.remove(&ticket).is_some() {
            context.tell(Event::CursorAnswered(ticket, Ok(answer)));
        }
    }

    /// Which nodes there are.
    pub(crate) fn on_metadata(
        &mut self,
        ticket: Ticket,
        metadata: &Metadata<'_>,
        context: &mut Context<'_>,
    ) {
        if self.by_ticket.remove(&ticket).is_some() {
            context.tell(Event::ClusterTold(ticket, Ok(Cluster::new(metadata))));
        }
    }

    /// The broker refused one.
    pub(crate) fn on_refused(
        &mut self,
        ticket: Ticket,
        rejection: Rejection,
        context: &mut Context<'_>,
    ) {
        let Some(asked) = self.by_ticket.get_mut(&ticket) else {
            return;
        };
        // A broker that keeps no more cursors will hardly do so soon.
        if !rejection.is_retryable() || rejection.code == Code::LIMIT {
            self.fail(ticket, ClientError::Rejected(rejection), context);
            return;
        }
        let at = context.retry_at(asked.refusals, millis(rejection.retry_after));
        asked.refusals += 1;
        self.held.insert((at, ticket));
    }

    /// Requests whose hold is over.
    pub(crate) fn tick(&mut self, now: Mono) -> Vec<Ticket> {
        let mut wanted = Vec::new();
        while let Some(&(at, ticket)) = self.held.first().filter(|(at, _)| *at <= now) {
            self.held.remove(&(at, ticket));
            wanted.push(ticket);
        }
        wanted
    }

    /// When the next hold is over.
    pub(crate) fn next_deadline(&self) -> Option<Mono> {
        self.held.first().map(|(at, _)| *at)
    }

    /// The session is over.
    pub(crate) fn end(&mut self, error: &ClientError, context: &mut Context<'_>) {
        self.held.clear();
        while let Some((&ticket, _)) = self.by_ticket.first_key_value() {
            self.fail(ticket, error.clone(), context);
        }
    }

    fn fail(&mut self, ticket: Ticket, error: ClientError, context: &mut Context<'_>) {
        let Some(asked) = self.by_ticket.remove(&ticket) else {
            return;
        };
        context.tell(match asked.ask {
            Ask::Cursor { .. } => Event::CursorAnswered(ticket, Err(error)),
            Ask::Metadata => Event::ClusterTold(ticket, Err(error)),
        });
    }
}
