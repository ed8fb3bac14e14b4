//! A request on its way, and who takes it back.

use std::sync::Arc;
use std::time::Instant;

use crate::driver::answer::Answer;
use crate::driver::completion::{Completion, Outcome};
use crate::driver::shared::Handle;
use crate::error::ClientError;
use crate::session::{Command, Ticket};

/// A request whose answer is awaited. Dropped before its answer is taken, it is taken back: nobody would want it.
#[derive(Debug)]
pub(crate) struct Request<T> {
    handle: Arc<Handle>,
    ticket: Ticket,
    outcome: Outcome<T>,
    is_answered: bool,
}

impl<T> Request<T> {
    /// Hands a command over.
    ///
    /// # Errors
    /// Why the client has ended.
    pub(crate) fn new(
        handle: &Arc<Handle>,
        completion: impl FnOnce(Outcome<T>) -> Completion,
        command: impl FnOnce(Ticket) -> Command,
    ) -> Result<Request<T>, ClientError> {
        let outcome = Arc::new(Answer::new());
        let ticket = handle
            .shared
            .ask(completion(Arc::clone(&outcome)), command)?;
        Ok(Request {
            handle: Arc::clone(handle),
            ticket,
            outcome,
            is_answered: false,
        })
    }

    pub(crate) fn ticket(&self) -> Ticket {
        self.ticket
    }

    /// Waits for the answer within the client's request deadline.
    pub(crate) fn wait(mut self) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.handle.options().request_deadline;
        let answer = self.outcome.wait_until(deadline);
        self.is_answered = answer.is_some();
        answer.unwrap_or(Err(ClientError::Timeout))
    }

    /// As [`wait`](Request::wait), for a task.
    #[cfg(feature = "tokio")]
    pub(crate) async fn answer(mut self) -> Result<T, ClientError> {
        let answer = std::future::poll_fn(|context| self.outcome.poll(context));
        let answer = tokio::time::timeout(self.handle.options().request_deadline, answer).await;
        self.is_answered = answer.is_ok();
        answer.unwrap_or(Err(ClientError::Timeout))
    }
}

impl<T> Drop for Request<T> {
    fn drop(&mut self) {
        if !self.is_answered {
            let ticket = self.ticket;
            self.handle.post(Command::Cancel { ticket });
        }
    }
}
