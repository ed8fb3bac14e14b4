//! What is measured: one file a workload.

mod catchup;
mod connect;
mod fanout;
mod findings;
mod history;
mod mixed;
mod pingpong;
mod prefill;
mod publish;
mod replay;
mod rooms;

use std::collections::BTreeMap;

pub use self::catchup::Catchup;
pub use self::connect::Connect;
pub use self::fanout::Fanout;
pub use self::findings::Findings;
pub use self::history::History;
pub use self::mixed::Mixed;
pub use self::pingpong::Pingpong;
pub use self::publish::Publish;
pub use self::replay::{Line, Replay};
pub use self::rooms::Rooms;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::stage::Stage;
use crate::target::Target;

/// A workload with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum Workload {
    /// One room, many subscribers.
    Fanout(Fanout),
    /// Many rooms with some members each.
    Rooms(Rooms),
    /// One message at a time to one subscriber.
    Pingpong(Pingpong),
    /// Publishes that are acked.
    Publish(Publish),
    /// A storm of connections, and what idle ones weigh.
    Connect(Connect),
    /// The last messages of a full room.
    History(History),
    /// All of a full room.
    Catchup(Catchup),
    /// A file of chat.
    Replay(Replay),
    /// What people do in a chat, all at once.
    Mixed(Mixed),
}

impl Workload {
    /// Its name on the command line and in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Workload::Fanout(_) => "fanout",
            Workload::Rooms(_) => "rooms",
            Workload::Pingpong(_) => "pingpong",
            Workload::Publish(_) => "publish",
            Workload::Connect(_) => "connect",
            Workload::History(_) => "history",
            Workload::Catchup(_) => "catchup",
            Workload::Replay(_) => "replay",
            Workload::Mixed(_) => "mixed",
        }
    }

    /// Its options in words; with its name they make two runs comparable.
    #[must_use]
    pub fn configuration(&self) -> BTreeMap<String, String> {
        match self {
            Workload::Fanout(fanout) => fanout.configuration(),
            Workload::Rooms(rooms) => rooms.configuration(),
            Workload::Pingpong(pingpong) => pingpong.configuration(),
            Workload::Publish(publish) => publish.configuration(),
            Workload::Connect(connect) => connect.configuration(),
            Workload::History(history) => history.configuration(),
            Workload::Catchup(catchup) => catchup.configuration(),
            Workload::Replay(replay) => replay.configuration(),
            Workload::Mixed(mixed) => mixed.configuration(),
        }
    }

    /// Its pace, if it has one that a search for saturation can change.
    pub fn pace_mut(&mut self) -> Option<&mut Pace> {
        match self {
            Workload::Fanout(fanout) => Some(&mut fanout.pace),
            Workload::Rooms(rooms) => Some(&mut rooms.pace),
            Workload::Publish(publish) => Some(&mut publish.pace),
            Workload::Replay(replay) => Some(&mut replay.pace),
            Workload::Pingpong(_)
            | Workload::Connect(_)
            | Workload::History(_)
            | Workload::Mixed(_)
            | Workload::Catchup(_) => None,
        }
    }

    /// Measures on a started system.
    ///
    /// # Errors
    /// A connection breaks, the system refuses, or it has no such thing.
    pub fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        match self {
            Workload::Fanout(fanout) => fanout.measure(stage),
            Workload::Rooms(rooms) => rooms.measure(stage),
            Workload::Pingpong(pingpong) => pingpong.measure(stage),
            Workload::Publish(publish) => publish.measure(stage),
            Workload::Connect(connect) => connect.measure(stage),
            Workload::History(history) => history.measure(stage),
            Workload::Catchup(catchup) => catchup.measure(stage),
            Workload::Replay(replay) => replay.measure(stage),
            Workload::Mixed(mixed) => mixed.measure(stage),
        }
    }
}

/// Options in words.
fn options<const N: usize>(pairs: [(&str, String); N]) -> BTreeMap<String, String> {
    let pairs = pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    pairs.collect()
}

/// A pace in words: `64 in flight`, `20/s`.
fn pace(pace: Pace) -> (&'static str, String) {
    match pace {
        Pace::InFlight(window) => ("in_flight", window.to_string()),
        Pace::PerSecond(rate) => ("rate_per_s", rate.to_string()),
        Pace::Bursts {
            messages,
            per_second,
        } => ("bursts", format!("{messages} x {per_second}/s")),
    }
}
