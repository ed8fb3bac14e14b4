//! What the threads of the application and the driver share: one inbox behind one lock, and a waker.

use std::sync::Arc;
use std::time::Instant;

use mio::Waker;
use parking_lot::{Condvar, Mutex};

use crate::driver::completion::Completion;
use crate::error::{ClientError, PublishError};
use crate::losses::Losses;
use crate::options::{Bounds, ClientOptions};
use crate::session::{Command, Ticket, Welcomed};

/// The application's side and the driver's side of one client.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ClientOptions,
    inbox: Mutex<Inbox>,
    /// Told when a place in the outbox is free again and when the client ends.
    freed: Condvar,
    waker: Waker,
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
    welcomed: Option<Welcomed>,
    losses: Losses,
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

impl Shared {
    pub(crate) fn new(options: ClientOptions, waker: Waker) -> Shared {
        Shared {
            options,
            inbox: Mutex::default(),
            freed: Condvar::new(),
            waker,
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
        bytes: u64,
        deadline: Instant,
        completion: Completion,
        command: impl FnOnce(Ticket) -> Command,
    ) -> Result<Ticket, PublishError> {
        let mut inbox = self.inbox.lock();
        loop {
            match &inbox.end {
                End::Closed(reason) => return Err(PublishError::Closed(Box::new(reason.clone()))),
                End::Closing => return Err(PublishError::Closed(Box::new(ClientError::Closed))),
                End::Open if inbox.has_place(bytes, self.options.bounds) => break,
                End::Open => {}
            }
            if self.freed.wait_until(&mut inbox, deadline).timed_out() {
                return Err(PublishError::Backpressure);
            }
        }
        inbox.held_messages += 1;
        inbox.held_bytes += bytes;
        Ok(self.push_awaited(&mut inbox, completion, command))
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
        self.freed.notify_all();
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
        self.freed.notify_all();
    }

    /// The client has ended; what was posted and not taken is given back to be answered.
    pub(crate) fn set_closed(&self, reason: ClientError) -> Vec<Post> {
        let mut inbox = self.inbox.lock();
        inbox.end = End::Closed(reason);
        self.freed.notify_all();
        std::mem::take(&mut inbox.posts)
    }

    /// What the broker told in its last greeting; `None` before the first.
    pub(crate) fn welcomed(&self) -> Option<Welcomed> {
        self.inbox.lock().welcomed.clone()
    }

    pub(crate) fn losses(&self) -> Losses {
        self.inbox.lock().losses
    }

    pub(crate) fn set_losses(&self, losses: Losses) {
        self.inbox.lock().losses = losses;
    }

    pub(crate) fn set_welcomed(&self, welcomed: Welcomed) {
        self.inbox.lock().welcomed = Some(welcomed);
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

    fn push(&self, inbox: &mut Inbox, post: Post) {
        inbox.posts.push(post);
        if !std::mem::replace(&mut inbox.is_awake, true) {
            // A waker fails only when its poll is gone, and then nobody is left to wake.
            let _ = self.waker.wake();
        }
    }
}

impl Inbox {
    fn next_ticket(&mut self) -> Ticket {
        self.last_ticket += 1;
        Ticket(self.last_ticket)
    }

    /// A single message above the byte bound is let through when nothing else is held, or it could never be sent.
    fn has_place(&self, bytes: u64, bounds: Bounds) -> bool {
        self.held_messages == 0
            || (self.held_messages < bounds.outbox_messages
                && self.held_bytes + bytes <= bounds.outbox_bytes)
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

    pub(crate) fn request_deadline(&self) -> Instant {
        Instant::now() + self.shared.options.request_deadline
    }

    pub(crate) fn publish_deadline(&self) -> Instant {
        Instant::now() + self.shared.options.publish_deadline
    }

    /// What the broker told in its last greeting.
    pub(crate) fn welcomed(&self) -> Welcomed {
        // A handle exists only behind the first greeting.
        self.shared.welcomed().unwrap_or_default()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.post(Command::Abort);
    }
}
