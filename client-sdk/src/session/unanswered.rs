//! Requests that may be asked again without harm, so they are asked until answered: on each connection, and after each refusal
//! for now.

use std::collections::{BTreeMap, BTreeSet};

use antiphon_protocol::Code;

use crate::error::Rejection;
use crate::session::context::Context;
use crate::session::input::{Mono, Ticket};
use crate::session::jitter::millis;

/// Every request of one sort that has no answer yet.
#[derive(Debug)]
pub(crate) struct Unanswered<T> {
    by_ticket: BTreeMap<Ticket, Asked<T>>,
    /// Refused for now, by the end of the wait.
    held: BTreeSet<(Mono, Ticket)>,
}

#[derive(Debug)]
struct Asked<T> {
    request: T,
    /// In a row.
    refusals: u32,
}

impl<T> Default for Unanswered<T> {
    fn default() -> Unanswered<T> {
        Unanswered {
            by_ticket: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }
}

impl<T> Unanswered<T> {
    pub(crate) fn add(&mut self, ticket: Ticket, request: T) {
        let refusals = 0;
        self.by_ticket.insert(ticket, Asked { request, refusals });
    }

    /// A request that is still wanted.
    pub(crate) fn of(&mut self, ticket: Ticket) -> Option<&mut T> {
        let asked = self.by_ticket.get_mut(&ticket)?;
        Some(&mut asked.request)
    }

    /// The answer has come.
    pub(crate) fn answered(&mut self, ticket: Ticket) -> Option<T> {
        let asked = self.by_ticket.remove(&ticket)?;
        Some(asked.request)
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

    /// The broker refused one: for now, so that it is held; or for good, so that it is given back.
    pub(crate) fn refused(
        &mut self,
        ticket: Ticket,
        rejection: &Rejection,
        context: &mut Context<'_>,
    ) -> Option<T> {
        // A broker that has no place for one more will hardly have it soon.
        if !rejection.is_retryable() || rejection.code == Code::LIMIT {
            return self.answered(ticket);
        }
        let asked = self.by_ticket.get_mut(&ticket)?;
        let at = context.retry_at(asked.refusals, millis(rejection.retry_after));
        asked.refusals += 1;
        self.held.insert((at, ticket));
        None
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

    /// Takes all of them, in the order in which they were asked: the session is over.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Ticket, T)> {
        self.held.clear();
        std::mem::take(&mut self.by_ticket)
            .into_iter()
            .map(|(ticket, asked)| (ticket, asked.request))
    }
}
