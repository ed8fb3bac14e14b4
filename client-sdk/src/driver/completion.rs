//! Who waits for what.

use std::collections::HashMap;
use std::sync::Arc;

use antiphon_protocol::{CursorAnswer, ProducerSeq};

use crate::check::Check;
use crate::cluster::Cluster;
use crate::driver::answer::Answer;
use crate::driver::deliveries::Deliveries;
use crate::error::{ClientError, PublishError, SubscribeError};
use crate::history::History;
use crate::message::Receipt;
use crate::record::Position;
use crate::session::{Event, Ticket};
use crate::subscription::RoomHead;

/// What a request comes to.
pub(crate) type Outcome<T> = Arc<Answer<Result<T, ClientError>>>;

/// Where the end of an operation is to be told.
#[derive(Debug)]
pub(crate) enum Completion {
    Publish(Arc<Answer<Result<Receipt, PublishError>>>),
    Subscribe(Outcome<(RoomHead, Position)>, Arc<Deliveries>),
    Fetch(Outcome<History>),
    Done(Outcome<()>),
    Check(Outcome<Check>),
    Cursor(Outcome<CursorAnswer>),
    Cluster(Outcome<Cluster>),
    ProducerSeq(Outcome<ProducerSeq>),
    Close(Arc<Answer<u32>>),
}

impl Completion {
    /// The client ended first.
    pub(crate) fn close(self, reason: &ClientError, unacked: u32) {
        match self {
            Completion::Publish(answer) => {
                answer.complete(Err(PublishError::Closed(Box::new(reason.clone()))))
            }
            Completion::Subscribe(answer, deliveries) => {
                answer.complete(Err(reason.clone()));
                deliveries.end(SubscribeError::Closed(Box::new(reason.clone())));
            }
            Completion::Fetch(answer) => answer.complete(Err(reason.clone())),
            Completion::Done(answer) => answer.complete(Err(reason.clone())),
            Completion::Check(answer) => answer.complete(Err(reason.clone())),
            Completion::Cursor(answer) => answer.complete(Err(reason.clone())),
            Completion::Cluster(answer) => answer.complete(Err(reason.clone())),
            Completion::ProducerSeq(answer) => answer.complete(Err(reason.clone())),
            Completion::Close(answer) => answer.complete(unacked),
        }
    }
}

/// All operations under way, by ticket.
#[derive(Debug, Default)]
pub(crate) struct Completions {
    by_ticket: HashMap<Ticket, Completion>,
}

impl Completions {
    pub(crate) fn insert(&mut self, ticket: Ticket, completion: Completion) {
        let before = self.by_ticket.insert(ticket, completion);
        assert!(before.is_none(), "INV-SDK-2: a ticket was given twice");
    }

    /// The asker of a request waits no longer; deliveries of a subscription are wanted no longer.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.by_ticket.remove(&ticket);
    }

    /// Passes one event on to who waits for it; an event for nobody is dropped.
    pub(crate) fn tell(&mut self, event: Event) {
        match event {
            Event::Published(ticket, result) => {
                if let Some(Completion::Publish(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::Subscribed(ticket, head, position) => {
                if let Some(Completion::Subscribe(answer, _)) = self.by_ticket.get(&ticket) {
                    answer.complete(Ok((head, position)));
                }
            }
            Event::Delivered(ticket, delivery) => {
                if let Some(Completion::Subscribe(_, deliveries)) = self.by_ticket.get(&ticket) {
                    deliveries.push(delivery);
                }
            }
            Event::SubscriptionOver(ticket, error) => {
                if let Some(Completion::Subscribe(answer, deliveries)) =
                    self.by_ticket.remove(&ticket)
                {
                    answer.complete(Err(error.clone().into()));
                    deliveries.end(error);
                }
            }
            Event::Fetched(ticket, result) => {
                if let Some(Completion::Fetch(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::Done(ticket, result) => {
                if let Some(Completion::Done(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::Checked(ticket, result) => {
                if let Some(Completion::Check(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::CursorAnswered(ticket, result) => {
                if let Some(Completion::Cursor(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::ClusterTold(ticket, result) => {
                if let Some(Completion::Cluster(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(result);
                }
            }
            Event::ProducerSeq(ticket, number) => {
                if let Some(Completion::ProducerSeq(answer)) = self.by_ticket.remove(&ticket) {
                    answer.complete(Ok(number));
                }
            }
            Event::Welcomed(_)
            | Event::ConnectionFailed(_)
            | Event::SignalRefused(_)
            | Event::Released { .. }
            | Event::Closed { .. } => {}
        }
    }

    /// The client ended: everybody who still waits is told why.
    pub(crate) fn close(&mut self, reason: &ClientError, unacked: u32) {
        for (_, completion) in self.by_ticket.drain() {
            completion.close(reason, unacked);
        }
    }
}
