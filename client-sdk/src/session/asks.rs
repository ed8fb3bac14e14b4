//! Small requests with one answer each: cursors, metadata.

use antiphon_protocol::{Cursor, CursorAnswer, Metadata, MetadataRequest, RequestId, RoomName};

use crate::cluster::Cluster;
use crate::cursor::{CursorMove, CursorName};
use crate::error::{ClientError, Rejection};
use crate::session::context::Context;
use crate::session::input::Ticket;
use crate::session::output::Event;
use crate::session::unanswered::Unanswered;

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
pub(crate) type Asks = Unanswered<Ask>;

impl Unanswered<Ask> {
    /// Appends a request that is still wanted; true: it did.
    pub(crate) fn encode(&mut self, ticket: Ticket, id: RequestId, out: &mut Vec<u8>) -> bool {
        let Some(ask) = self.of(ticket) else {
            return false;
        };
        match ask {
            Ask::Cursor { room, name, to } => Cursor {
                room: (&*room).into(),
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
        if self.answered(ticket).is_some() {
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
        if self.answered(ticket).is_some() {
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
        if let Some(ask) = self.refused(ticket, &rejection, context) {
            context.tell(ask.failed(ticket, ClientError::Rejected(rejection)));
        }
    }

    /// The session is over.
    pub(crate) fn end(&mut self, error: &ClientError, context: &mut Context<'_>) {
        for (ticket, ask) in self.drain() {
            context.tell(ask.failed(ticket, error.clone()));
        }
    }
}

impl Ask {
    fn failed(&self, ticket: Ticket, error: ClientError) -> Event {
        match self {
            Ask::Cursor { .. } => Event::CursorAnswered(ticket, Err(error)),
            Ask::Metadata => Event::ClusterTold(ticket, Err(error)),
        }
    }
}
