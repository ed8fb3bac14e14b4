//! What a subscription is, whoever waits for its deliveries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use antiphon_protocol::RoomName;

use crate::driver::completion::Completion;
use crate::driver::deliveries::Deliveries;
use crate::driver::request::Request;
use crate::driver::shared::Handle;
use crate::error::{ClientError, SubscribeError};
use crate::record::{Delivery, Position};
use crate::session::{Command, Ticket};
use crate::subscription::{Follow, RoomHead};

/// The application's end of a subscription; dropped, the room is followed no longer.
#[derive(Debug)]
pub(crate) struct Feed {
    handle: Arc<Handle>,
    ticket: Ticket,
    deliveries: Arc<Deliveries>,
    taken: VecDeque<Delivery>,
    pub(crate) position: Position,
    pub(crate) head: RoomHead,
    /// The error that ended it was told.
    pub(crate) is_over: bool,
}

/// A subscription that was asked for.
#[derive(Debug)]
pub(crate) struct Opening {
    pub(crate) request: Request<(RoomHead, Position)>,
    deliveries: Arc<Deliveries>,
}

/// Asks for a subscription.
///
/// # Errors
/// Why the client has ended.
pub(crate) fn open(
    handle: &Arc<Handle>,
    room: RoomName,
    follow: Follow,
) -> Result<Opening, ClientError> {
    let deliveries = Arc::new(Deliveries::new(handle.options().bounds));
    let filled = Arc::clone(&deliveries);
    let request = Request::new(
        handle,
        |outcome| Completion::Subscribe(outcome, filled),
        |ticket| Command::Subscribe {
            ticket,
            room,
            follow,
        },
    )?;
    Ok(Opening {
        request,
        deliveries,
    })
}

impl Feed {
    /// Follows a room, once the broker has answered.
    pub(crate) fn wait(handle: &Arc<Handle>, opening: Opening) -> Result<Feed, ClientError> {
        let ticket = opening.request.ticket();
        let answer = opening.request.wait()?;
        Ok(Feed::new(handle, ticket, opening.deliveries, answer))
    }

    /// As [`Feed::wait`], for a task.
    #[cfg(feature = "tokio")]
    pub(crate) async fn answer(
        handle: &Arc<Handle>,
        opening: Opening,
    ) -> Result<Feed, ClientError> {
        let ticket = opening.request.ticket();
        let answer = opening.request.answer().await?;
        Ok(Feed::new(handle, ticket, opening.deliveries, answer))
    }

    fn new(
        handle: &Arc<Handle>,
        ticket: Ticket,
        deliveries: Arc<Deliveries>,
        (head, position): (RoomHead, Position),
    ) -> Feed {
        Feed {
            handle: Arc::clone(handle),
            ticket,
            deliveries,
            taken: VecDeque::new(),
            position,
            head,
            is_over: false,
        }
    }

    /// Waits for the next delivery at most until `deadline`; `Ok(None)`: none came.
    pub(crate) fn next_until(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Delivery>, SubscribeError> {
        if self.taken.is_empty() {
            self.deliveries.take_until(deadline, &mut self.taken)?;
        }
        Ok(self.hand_out())
    }

    /// The next delivery, or the context is woken when there is one.
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_next(
        &mut self,
        context: &std::task::Context<'_>,
    ) -> std::task::Poll<Result<Option<Delivery>, SubscribeError>> {
        if self.taken.is_empty() {
            std::task::ready!(self.deliveries.poll_take(context, &mut self.taken))?;
        }
        std::task::Poll::Ready(Ok(self.hand_out()))
    }

    /// Hands one delivery to the application: from here on it counts as read.
    fn hand_out(&mut self) -> Option<Delivery> {
        let delivery = self.taken.pop_front()?;
        if let Some(position) = delivery.position() {
            self.position = position;
        }
        if let Some(command) = self.deliveries.consumed(self.ticket, &delivery) {
            self.handle.post(command);
        }
        Some(delivery)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.handle.post(Command::Unsubscribe {
            ticket: self.ticket,
        });
    }
}
