//! One connection per user, not all open at once.
//!
//! A user's producer id is kept before the connection publishes anything; from then on the user has that producer over all
//! connections and all runs. When the cap is reached, the connection that has been idle the longest is closed; one with unacked
//! publishes never is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use antiphon_client::{Client, ClientError, Code, Message, Pending, PublishError, Timestamp};

use crate::commands::replay::schedule::{Due, UserKey};
use crate::commands::replay::state::ReplayState;
use crate::connection::Target;
use crate::failure::{Exit, Failure};
use crate::limits::{REPLAY_PATIENCE, REPLAY_RETRY};

/// An idle connection has nothing to wait for when it is closed.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

pub(crate) struct Pool<'a> {
    target: &'a Target,
    state: &'a mut ReplayState,
    open: HashMap<UserKey, Connection>,
    /// open.len() <= connections_max
    connections_max: usize,
    /// Counts publishes; tells which connection was used least lately.
    clock: u64,
    /// The broker was not reached; not before this is it tried again.
    retry_at: Option<Instant>,
    /// The broker has greeted at least once in this run.
    was_reached: bool,
    /// Losses of connections that are closed by now, not told yet.
    closed: Losses,
}

struct Connection {
    client: Client,
    /// Publishes without an ack.
    flying: u32,
    used_at: u64,
    /// Losses of this connection that were told already.
    told: Losses,
}

/// Connections that were lost, and what was unacked on them at that moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Losses {
    pub(crate) connections: u64,
    pub(crate) unacked: u64,
}

impl<'a> Pool<'a> {
    pub(crate) fn new(
        target: &'a Target,
        state: &'a mut ReplayState,
        connections_max: u32,
    ) -> Self {
        let connections_max = connections_max.max(1) as usize;
        Self {
            target,
            state,
            open: HashMap::new(),
            connections_max,
            clock: 0,
            retry_at: None,
            was_reached: false,
            closed: Losses::default(),
        }
    }

    /// Whether the user can publish without a connection being opened.
    pub(crate) fn is_open(&self, user: UserKey) -> bool {
        self.open.contains_key(&user)
    }

    /// Opens the user's connection unless it is open. `false`, not now: every connection has unacked publishes, or the broker is
    /// not there at the moment.
    pub(crate) fn admit(&mut self, user: UserKey, name: &str) -> Result<bool, Failure> {
        if self.open.contains_key(&user) {
            return Ok(true);
        }
        if self
            .retry_at
            .is_some_and(|retry_at| Instant::now() < retry_at)
            || !self.make_room()
        {
            return Ok(false);
        }
        let options = self
            .target
            .options(name)
            // How long nothing may be acked is the replay's to say, not each message's.
            .publish_deadline(2 * REPLAY_PATIENCE)
            .backoff(REPLAY_RETRY, 4 * REPLAY_RETRY);
        let known = self.state.producer(name);
        let options = match known {
            Some(producer) => options.producer(producer),
            None => options.keep_producer(),
        };
        let client = match Client::connect(options) {
            Ok(client) => client,
            Err(error) => return self.not_reached(&error),
        };
        (self.retry_at, self.was_reached) = (None, true);
        if known.is_none() {
            self.state.issue(name, client.producer())?;
        }
        self.open.insert(
            user,
            Connection {
                client,
                flying: 0,
                used_at: self.clock,
                told: Losses::default(),
            },
        );
        Ok(true)
    }

    /// Publishes a line of an admitted user.
    pub(crate) fn publish(&mut self, due: Due, room: &str) -> Result<Pending, Failure> {
        let connection = self.open.get_mut(&due.user);
        let connection = connection
            .ok_or_else(|| Failure::failed("a user who was not admitted cannot publish"))?;
        let message = Message::from(due.text)
            .origin_time(Timestamp(due.at.0))
            .producer_seq(due.producer_seq);
        let pending = connection.client.publish_pipelined(room, message);
        let pending = pending.map_err(|error| self.target.publish_failure(&error))?;
        self.clock += 1;
        connection.used_at = self.clock;
        connection.flying += 1;
        Ok(pending)
    }

    /// A publish of this user has been acked.
    pub(crate) fn acked(&mut self, user: UserKey) {
        if let Some(connection) = self.open.get_mut(&user) {
            connection.flying -= 1;
        }
    }

    /// What a publish that came to a bad end means for the replay.
    pub(crate) fn failure(&self, error: &PublishError) -> Failure {
        let again = "run the same command again when the cause is gone: what has arrived is not published twice";
        match error {
            PublishError::ProducerExpired => self.state.too_old(),
            PublishError::ProducerConflict(_) => Failure::new(Exit::Refused, error).next(format_args!(
                "the broker has other messages from this replay than the file: is {} a copy from elsewhere?",
                self.state.path().display()
            )),
            PublishError::Unknown(_) | PublishError::OutOfOrder { .. } => {
                Failure::new(Exit::Refused, error).next("was the broker's data directory replaced? else run the same command again")
            }
            _ => self.target.publish_failure(error).next(again),
        }
    }

    /// Losses of connections since the last call.
    pub(crate) fn take_losses(&mut self) -> Losses {
        self.open
            .values_mut()
            .fold(std::mem::take(&mut self.closed), |sum, connection| {
                sum.plus(connection.take_losses())
            })
    }

    /// Closes the connection that has been idle the longest if there are as many as may be; `false`: none is idle.
    fn make_room(&mut self) -> bool {
        if self.open.len() < self.connections_max {
            return true;
        }
        let idle = self
            .open
            .iter()
            .filter(|(_, connection)| connection.flying == 0);
        let Some(user) = idle
            .min_by_key(|(_, connection)| connection.used_at)
            .map(|(user, _)| *user)
        else {
            return false;
        };
        if let Some(mut connection) = self.open.remove(&user) {
            self.closed = self.closed.plus(connection.take_losses());
            // With nothing unacked there is nothing that closing could fail to deliver.
            let _ = connection.client.close(CLOSE_WITHIN);
        }
        true
    }

    /// A broker that was there may be restarting: it is waited for. One that never was is told at once.
    fn not_reached(&mut self, error: &ClientError) -> Result<bool, Failure> {
        let is_expired = matches!(error, ClientError::ProducerRefused)
            || matches!(error, ClientError::Goaway { code, .. } if *code == Code::PRODUCER_EXPIRED);
        if is_expired {
            return Err(self.state.too_old());
        }
        if !self.was_reached || !error.is_retryable() {
            return Err(self.target.failure(error));
        }
        self.retry_at = Some(Instant::now() + REPLAY_RETRY);
        Ok(false)
    }
}

impl Losses {
    pub(crate) fn plus(self, more: Losses) -> Losses {
        Losses {
            connections: self.connections + more.connections,
            unacked: self.unacked + more.unacked,
        }
    }
}

impl Connection {
    fn take_losses(&mut self) -> Losses {
        let all = self.client.losses();
        let fresh = Losses {
            connections: all.connections - self.told.connections,
            unacked: all.unacked - self.told.unacked,
        };
        self.told = Losses {
            connections: all.connections,
            unacked: all.unacked,
        };
        fresh
    }
}
