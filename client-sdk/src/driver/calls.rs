//! The calls of the application: each posts a command and waits for its end until a deadline.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{ProducerSeq, RoomName};

use crate::client::CloseError;
use crate::driver::completion::{Answer, Completion};
use crate::driver::deliveries::Deliveries;
use crate::driver::shared::Handle;
use crate::driver::waiter::Waiter;
use crate::error::{ClientError, Misuse, PublishError};
use crate::history::{History, HistoryRange};
use crate::limits::{GIVE_UP_GRACE, PUBLISH_FIXED_BYTES};
use crate::message::Message;
use crate::options::ProducerChoice;
use crate::pending::Pending;
use crate::session::{Command, Outgoing, Ticket, Welcomed};
use crate::subscription::{Start, Subscription};

/// Takes a message over into the outbox.
pub(crate) fn publish(
    handle: &Arc<Handle>,
    room: RoomName,
    message: Message,
    deadline: Instant,
) -> Result<Pending, PublishError> {
    let number = message.producer_seq;
    if number.is_some() && handle.options().producer == ProducerChoice::Automatic {
        return Err(Misuse::ProducerNotKept.into());
    }
    let outgoing = message.into_outgoing()?;
    check_size(&outgoing, &room, &handle.welcomed())?;
    let bytes = outgoing.held_bytes(&room);
    let waiter = Arc::new(Waiter::new());
    let completion = Completion::Publish(Arc::clone(&waiter));
    let ticket = handle
        .shared
        .publish(bytes, deadline, completion, |ticket| Command::Publish {
            ticket,
            room,
            outgoing,
        })?;
    Ok(Pending {
        handle: Arc::clone(handle),
        ticket,
        waiter,
        deadline,
    })
}

/// Checked here, so that a message that the broker would refuse never takes a number.
fn check_size(
    outgoing: &Outgoing,
    room: &RoomName,
    welcomed: &Welcomed,
) -> Result<(), PublishError> {
    let (body, headers) = (outgoing.body.len() as u64, outgoing.headers.len() as u64);
    let frame = PUBLISH_FIXED_BYTES + room.as_bytes().len() as u64 + headers + body;
    let parts = [
        ("body", body, welcomed.body_bytes_max),
        ("headers", headers, welcomed.headers_bytes_max),
        ("frame", frame, welcomed.frame_bytes_max),
    ];
    for (part, bytes, bytes_max) in parts {
        let bytes_max = u64::from(bytes_max);
        if bytes > bytes_max {
            return Err(PublishError::TooLarge {
                part,
                bytes,
                bytes_max,
            });
        }
    }
    Ok(())
}

/// Follows a room.
pub(crate) fn subscribe(
    handle: &Arc<Handle>,
    room: RoomName,
    start: Start,
) -> Result<Subscription, ClientError> {
    let deliveries = Arc::new(Deliveries::new(handle.options().bounds));
    let answer: Answer<_> = Arc::new(Waiter::new());
    let completion = Completion::Subscribe(Arc::clone(&answer), Arc::clone(&deliveries));
    let ticket = handle.shared.ask(completion, |ticket| Command::Subscribe {
        ticket,
        room,
        start,
    })?;
    let (head, position) = wait(handle, ticket, &answer)?;
    Ok(Subscription {
        handle: Arc::clone(handle),
        ticket,
        deliveries,
        taken: VecDeque::new(),
        position,
        head,
        is_over: false,
    })
}

/// Reads a stretch of history.
pub(crate) fn history(
    handle: &Handle,
    room: RoomName,
    range: HistoryRange,
    limit: u32,
) -> Result<History, ClientError> {
    let answer: Answer<_> = Arc::new(Waiter::new());
    let completion = Completion::Fetch(Arc::clone(&answer));
    let ticket = handle.shared.ask(completion, |ticket| Command::Fetch {
        ticket,
        room,
        range,
        limit,
    })?;
    wait(handle, ticket, &answer)
}

/// Measures a round trip as the caller sees it.
pub(crate) fn ping(handle: &Handle) -> Result<Duration, ClientError> {
    let answer: Answer<_> = Arc::new(Waiter::new());
    let asked = Instant::now();
    let ticket = handle
        .shared
        .ask(Completion::Ping(Arc::clone(&answer)), |ticket| {
            Command::Ping { ticket }
        })?;
    wait(handle, ticket, &answer)?;
    Ok(asked.elapsed())
}

/// The number given last in a room.
pub(crate) fn producer_seq(handle: &Handle, room: RoomName) -> Result<ProducerSeq, ClientError> {
    let answer: Answer<_> = Arc::new(Waiter::new());
    let completion = Completion::ProducerSeq(Arc::clone(&answer));
    let ticket = handle
        .shared
        .ask(completion, |ticket| Command::ProducerSeq { ticket, room })?;
    wait(handle, ticket, &answer)
}

/// Flushes the outbox and ends the client.
pub(crate) fn close(handle: &Handle, patience: Duration) -> Result<(), CloseError> {
    let waiter = Arc::new(Waiter::new());
    handle.shared.set_closing();
    let asked = handle
        .shared
        .ask(Completion::Close(Arc::clone(&waiter)), |_| Command::Close);
    if asked.is_err() {
        return Ok(());
    }
    let mut unacked = waiter.wait_until(Instant::now() + patience);
    if unacked.is_none() {
        handle.post(Command::Abort);
        unacked = waiter.wait_until(Instant::now() + GIVE_UP_GRACE);
    }
    match unacked {
        Some(0) => Ok(()),
        Some(unacked) => Err(CloseError { unacked }),
        None => Err(CloseError {
            unacked: handle.shared.held_messages(),
        }),
    }
}

/// Waits for an answer within the client's request deadline; takes the request back afterwards.
fn wait<T>(handle: &Handle, ticket: Ticket, answer: &Answer<T>) -> Result<T, ClientError> {
    answer
        .wait_until(handle.request_deadline())
        .unwrap_or_else(|| {
            handle.post(Command::Cancel { ticket });
            Err(ClientError::Timeout)
        })
}
