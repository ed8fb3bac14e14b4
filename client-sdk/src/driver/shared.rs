//! What the application and the driver share: one inbox behind one lock, and a bell.

use std::collections::BTreeMap;
use std::sync::Arc;
#[cfg(feature = "tokio")]
use std::task::Poll;
use std::task::Waker;
use std::time::Instant;

use antiphon_protocol::RoomName;
use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::driver::answer::Answer;
use crate::driver::completion::Completion;
use crate::error::{ClientError, PublishError, Rejection};
use crate::losses::Losses;
use crate::message::Receipt;
use crate::options::{Bounds, ClientOptions};
use crate::session::{Command, Outgoing, Ticket, Welcomed};
use crate::signal::SignalRefusals;

/// The application's side and the driver's side of one client.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    inbox: Mutex<Inbox>,
    /// Threads, told when a place in the outbox is free again and when the client ends.
    freed: Condvar,
    /// Wakes the driver.
    bell: Waker,
}

#[derive(Debug, Default)]
struct Inbox {
    posts: Vec<Post>,
    /// The driver will look at the inbox before it sleeps.
    is_awake: bool,
    last_ticket: u64,
    /// held_messages <= Bounds::outbox_messages
    held_messages: u32,
    held_bytes: u64,
    /// Tasks that wait for a place, by a ticket of their own; told as `freed` is. Who waits no longer takes itself out.
    tasks: BTreeMap<Ticket, Waker>,
    welcomed: Arc<Welcomed>,
    losses: Losses,
    refusals: SignalRefusals,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    Closing,
    Closed(ClientError),
}

/// A command, and who waits for its end.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) command: Command,
    pub(crate) completion: Option<(Ticket, Completion)>,
}

/// A message that is sound and has no place in the outbox yet.
#[derive(Debug)]
pub(crate) struct Publish {
    pub(crate) room: RoomName,
    pub(crate) outgoing: Outgoing,
    /// What it costs in the outbox.
    pub(crate) bytes: u64,
    pub(crate) answer: Arc<Answer<Result<Receipt, PublishError>>>,
}

impl Shared {
    pub(crate) fn new(options: ClientOptions, bell: Waker) -> Shared {
        Shared {
            options,
            inbox: Mutex::default(),
            freed: Condvar::new(),
            bell,
        }
    }

    /// Hands a command over for which nobody waits; a client that has ended ignores it.
    pub(crate) fn post(&self, command: Command) {
        let mut inbox = self.inbox.lock();
        if !matches!(inbox.end, End::Closed(_)) {
            self.push(
                &mut inbox,
                Post {
                    command,
                    completion: None,
                },
            );
        }
    }

    /// Hands over a command whose end somebody awaits.
    ///
    /// # Errors
    /// Why the client has ended.
    pub(crate) fn ask(
        &self,
        completion: Completion,
        command: impl FnOnce(Ticket) -> Command,
    ) -> Result<Ticket, ClientError> {
        let mut inbox = self.inbox.lock();
        if let End::Closed(reason) = &inbox.end {
            return Err(reason.clone());
        }
        Ok(self.push_awaited(&mut inbox, completion, command))
    }

    /// Takes a place in the outbox, waiting for it until `deadline`, and hands the publish over.
    pub(crate) fn publish(
        &self,
        publish: Publish,
        deadline: Instant,
    ) -> Result<Ticket, PublishError> {
        let mut inbox = self.inbox.lock();
        while !inbox.has_place(publish.bytes, self.options.bounds)? {
            if self.freed.wait_until(&mut inbox, deadline).timed_out() {
                return Err(PublishError::Backpressure);
            }
        }
        Ok(self.push_publish(&mut inbox, publish))
    }

    /// Takes a place in the outbox and hands the publish over, or has `waker` woken when there may be a place.
    ///
    /// `task` is what it waits under: `None` at first, and to be taken out with [`Shared::leave`].
    #[cfg(feature = "tokio")]
    pub(crate) fn poll_publish(
        &self,
        publish: &mut Option<Publish>,
        task: &mut Option<Ticket>,
        waker: &Waker,
    ) -> Poll<Result<Ticket, PublishError>> {
        let mut inbox = self.inbox.lock();
        let bytes = publish.as_ref().map_or(0, |publish| publish.bytes);
        let has_place = match inbox.has_place(bytes, self.options.bounds) {
            Ok(has_place) => has_place,
            Err(error) => return Poll::Ready(Err(error)),
        };
        match publish.take_if(|_| has_place) {
            Some(publish) => Poll::Ready(Ok(self.push_publish(&mut inbox, publish))),
            None => {
                let id = *task.get_or_insert_with(|| inbox.next_ticket());
                inbox.tasks.insert(id, waker.clone());
                Poll::Pending
            }
        }
    }

    /// A task waits no longer for a place.
    #[cfg(feature = "tokio")]
    pub(crate) fn leave(&self, task: Ticket) {
        self.inbox.lock().tasks.remove(&task);
    }

    /// Gives places of the outbox back.
    pub(crate) fn release(&self, messages: u32, bytes: u64) {
        let mut inbox = self.inbox.lock();
        assert!(
            inbox.held_messages >= messages && inbox.held_bytes >= bytes,
            "INV-SDK-1: more places of the outbox given back than taken"
        );
        inbox.held_messages -= messages;
        inbox.held_bytes -= bytes;
        self.tell_freed(inbox);
    }

    /// How many messages have no final answer yet.
    pub(crate) fn held_messages(&self) -> u32 {
        self.inbox.lock().held_messages
    }

    /// From now on publishes are refused.
    pub(crate) fn set_closing(&self) {
        let mut inbox = self.inbox.lock();
        if matches!(inbox.end, End::Open) {
            inbox.end = End::Closing;
        }
        self.tell_freed(inbox);
    }

    /// The client has ended; what was posted and not taken is given back to be answered.
    pub(crate) fn set_closed(&self, reason: ClientError) -> Vec<Post> {
        let mut inbox = self.inbox.lock();
        inbox.end = End::Closed(reason);
        let posts = std::mem::take(&mut inbox.posts);
        self.tell_freed(inbox);
        posts
    }

    /// What the broker told in its last greeting; nothing before the first.
    pub(crate) fn welcomed(&self) -> Arc<Welcomed> {
        Arc::clone(&self.inbox.lock().welcomed)
    }

    pub(crate) fn losses(&self) -> Losses {
        self.inbox.lock().losses
    }

    pub(crate) fn set_losses(&self, losses: Losses) {
        self.inbox.lock().losses = losses;
    }

    pub(crate) fn signal_refusals(&self) -> SignalRefusals {
        self.inbox.lock().refusals.clone()
    }

    pub(crate) fn count_refusal(&self, rejection: Rejection) {
        let refusals = &mut self.inbox.lock().refusals;
        refusals.count += 1;
        refusals.last = Some(rejection);
    }

    pub(crate) fn set_welcomed(&self, welcomed: Welcomed) {
        self.inbox.lock().welcomed = Arc::new(welcomed);
    }

    /// Swaps what was posted into `posts`; false: nothing was, and the next post will wake the driver.
    pub(crate) fn take_posts(&self, posts: &mut Vec<Post>) -> bool {
        let mut inbox = self.inbox.lock();
        std::mem::swap(&mut inbox.posts, posts);
        inbox.is_awake = !posts.is_empty();
        inbox.is_awake
    }

    fn push_awaited(
        &self,
        inbox: &mut Inbox,
        completion: Completion,
        command: impl FnOnce(Ticket) -> Command,
    ) -> Ticket {
        let ticket = inbox.next_ticket();
        let post = Post {
            command: command(ticket),
            completion: Some((ticket, completion)),
        };
        self.push(inbox, post);
        ticket
    }

    fn push_publish(&self, inbox: &mut Inbox, publish: Publish) -> Ticket {
        inbox.held_messages += 1;
        inbox.held_bytes += publish.bytes;
        let (room, outgoing) = (publish.room, publish.outgoing);
        let completion = Completion::Publish(publish.answer);
        self.push_awaited(inbox, completion, |ticket| Command::Publish {
            ticket,
            room,
            outgoing,
        })
    }

    fn tell_freed(&self, mut inbox: MutexGuard<'_, Inbox>) {
        let tasks = std::mem::take(&mut inbox.tasks);
        drop(inbox);
        self.freed.notify_all();
        tasks.into_values().for_each(Waker::wake);
    }

    fn push(&self, inbox: &mut Inbox, post: Post) {
        inbox.posts.push(post);
        if !std::mem::replace(&mut inbox.is_awake, true) {
            self.bell.wake_by_ref();
        }
    }
}

impl Inbox {
    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// A single message above the byte bound is let through when nothing else is held, or it could never be sent.
    ///
    /// # Errors
    /// The client takes no more messages.
    fn has_place(&self, bytes: u64, bounds: Bounds) -> Result<bool, PublishError> {
        match &self.end {
            End::Open => Ok(self.held_messages == 0
                || (self.held_messages < bounds.outbox_messages
                    && self.held_bytes + bytes <= bounds.outbox_bytes)),
            End::Closing => Err(PublishError::Closed(Box::new(ClientError::Closed))),
            End::Closed(reason) => Err(PublishError::Closed(Box::new(reason.clone()))),
        }
    }
}

/// Keeps the client alive: when the last one goes, the session ends.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn options(&self) -> &ClientOptions {
        &self.shared.options
    }

    pub(crate) fn post(&self, command: Command) {
        self.shared.post(command);
    }

    /// What the broker told in its last greeting; a handle is given out only behind the first.
    pub(crate) fn welcomed(&self) -> Arc<Welcomed> {
        self.shared.welcomed()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.post(Command::Abort);
    }
}
