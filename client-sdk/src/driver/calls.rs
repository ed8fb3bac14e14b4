//! The other calls of the application: each posts a command whose end is awaited.

use std::sync::Arc;
use std::time::{Duration, Instant};

use antiphon_protocol::{CursorAnswer, ProducerSeq, RoomName};

use crate::check::Check;
use crate::client::CloseError;
use crate::cluster::Cluster;
use crate::cursor::{CursorMove, CursorName};
use crate::driver::answer::Answer;
use crate::driver::completion::Completion;
use crate::driver::request::Request;
use crate::driver::shared::Handle;
use crate::error::{ClientError, Misuse};
use crate::history::{History, HistoryRange};
use crate::limits::GIVE_UP_GRACE;
use crate::session::{Ask, Command};
use crate::signal::Signal;

/// Reads a stretch of history.
pub(crate) fn history(
    handle: &Arc<Handle>,
    room: RoomName,
    range: HistoryRange,
    limit: u32,
) -> Result<Request<History>, ClientError> {
    if limit == 0 {
        return Err(Misuse::EmptyHistory.into());
    }
    Request::new(handle, Completion::Fetch, |ticket| Command::Fetch {
        ticket,
        room,
        range,
        limit,
    })
}

/// Measures a round trip.
pub(crate) fn ping(handle: &Arc<Handle>) -> Result<Request<()>, ClientError> {
    Request::new(handle, Completion::Done, |ticket| Command::Ping { ticket })
}

/// Compares what has come with what the broker has sent.
pub(crate) fn check(handle: &Arc<Handle>) -> Result<Request<Check>, ClientError> {
    Request::new(handle, Completion::Check, |ticket| Command::Check {
        ticket,
    })
}

/// Tells those who are in a room.
pub(crate) fn signal(
    handle: &Arc<Handle>,
    room: RoomName,
    signal: Signal,
) -> Result<Request<()>, ClientError> {
    signal.check()?;
    Request::new(handle, Completion::Done, |ticket| Command::Signal {
        ticket,
        room,
        signal,
    })
}

/// Moves a cursor, or asks where it stands.
pub(crate) fn cursor(
    handle: &Arc<Handle>,
    room: RoomName,
    name: &str,
    to: CursorMove,
) -> Result<Request<CursorAnswer>, ClientError> {
    let name = CursorName::new(name)?;
    let ask = Ask::Cursor { room, name, to };
    Request::new(handle, Completion::Cursor, |ticket| Command::Ask {
        ticket,
        ask,
    })
}

/// Which brokers there are.
pub(crate) fn cluster(handle: &Arc<Handle>) -> Result<Request<Cluster>, ClientError> {
    Request::new(handle, Completion::Cluster, |ticket| Command::Ask {
        ticket,
        ask: Ask::Metadata,
    })
}

/// The number given last in a room.
pub(crate) fn producer_seq(
    handle: &Arc<Handle>,
    room: RoomName,
) -> Result<Request<ProducerSeq>, ClientError> {
    Request::new(handle, Completion::ProducerSeq, |ticket| {
        Command::ProducerSeq { ticket, room }
    })
}

/// A client that takes no more messages and ends as soon as its outbox is empty.
#[derive(Debug)]
pub(crate) struct Closing {
    handle: Arc<Handle>,
    /// Told how many messages are unacked; `None`: the client has ended before.
    unacked: Option<Arc<Answer<u32>>>,
}

impl Closing {
    pub(crate) fn new(handle: &Arc<Handle>) -> Closing {
        let answer = Arc::new(Answer::new());
        handle.shared.set_closing();
        let completion = Completion::Close(Arc::clone(&answer));
        let asked = handle.shared.ask(completion, |_| Command::Close);
        Closing {
            handle: Arc::clone(handle),
            unacked: asked.is_ok().then_some(answer),
        }
    }

    /// Waits for the end; after `patience` it comes at once.
    pub(crate) fn wait(self, patience: Duration) -> Result<(), CloseError> {
        let Some(answer) = &self.unacked else {
            return Ok(());
        };
        let mut unacked = answer.wait_until(Instant::now() + patience);
        if unacked.is_none() {
            self.handle.post(Command::Abort);
            unacked = answer.wait_until(Instant::now() + GIVE_UP_GRACE);
        }
        self.result(unacked)
    }

    /// As [`Closing::wait`], for a task.
    #[cfg(feature = "tokio")]
    pub(crate) async fn answer(self, patience: Duration) -> Result<(), CloseError> {
        let Some(answer) = &self.unacked else {
            return Ok(());
        };
        let told = || std::future::poll_fn(|context| answer.poll(context));
        let mut unacked = tokio::time::timeout(patience, told()).await.ok();
        if unacked.is_none() {
            self.handle.post(Command::Abort);
            unacked = tokio::time::timeout(GIVE_UP_GRACE, told()).await.ok();
        }
        self.result(unacked)
    }

    fn result(&self, unacked: Option<u32>) -> Result<(), CloseError> {
        match unacked.unwrap_or_else(|| self.handle.shared.held_messages()) {
            0 if unacked.is_some() => Ok(()),
            unacked => Err(CloseError { unacked }),
        }
    }
}
