//! `antiphon bench`: load over real sockets, measured and verified. The method is in docs/benchmarks.md.

mod common;
mod floor;
mod report;
mod rivals;
mod rivals_table;
mod table;
mod watching;
mod workloads;

use antiphon_bench::error::{BenchError, StartError};
use antiphon_bench::workload::Workload;
use clap::{Args, Subcommand};

use self::common::Common;
use self::floor::Floor;
use self::report::Report;
use self::rivals::Rivals;
use self::workloads::{Catchup, Connect, Fanout, History, Mixed, Pingpong, Publish, Replay, Rooms};
use crate::failure::{Exit, Failure};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Bench {
    #[command(subcommand)]
    workload: Measure,
}

/// Each starts a broker of its own in a private directory, and stops it afterwards.
#[derive(Debug, Subcommand)]
enum Measure {
    /// One room, many subscribers: deliveries a second, and how long a delivery takes.
    Fanout(One<Fanout>),
    /// Many rooms with some members each.
    Rooms(One<Rooms>),
    /// One message at a time to one subscriber.
    Pingpong(One<Pingpong>),
    /// Publishes that are acked once they are durable.
    Publish(One<Publish>),
    /// A storm of connections that each subscribe once, and what they weigh once they are idle.
    Connect(One<Connect>),
    /// Readers that ask for the last messages of a full room.
    History(One<History>),
    /// A reader that has nothing yet of a full room reads all of it.
    Catchup(One<Catchup>),
    /// A file of chat, as its people spoke: rooms, order, lengths.
    Replay(One<Replay>),
    /// What people do in a chat, all at once: they write, look back, type, go away and come back.
    Mixed(One<Mixed>),
    /// This broker and its rivals in turn, on the same loads: ratios with intervals, against goals.
    Rivals(Box<Rivals>),
    /// A result as one page with plots, for a browser.
    Report(Report),
    /// Serves as the yardstick of `rivals` on a port of loopback that it prints, until it is killed.
    #[command(hide = true)]
    Floor(Floor),
}

/// A workload's own options, and those that all have.
#[derive(Args, Debug)]
struct One<W: Args> {
    #[command(flatten)]
    own: W,
    #[command(flatten)]
    common: Common,
}

impl<W: Args> One<W>
where
    Workload: From<W>,
{
    fn run(self, output: &mut Output) -> Result<(), Failure> {
        self.common.run(&self.own.into(), output)
    }
}

impl Bench {
    pub(crate) fn run(self, output: &mut Output) -> Result<(), Failure> {
        match self.workload {
            Measure::Fanout(one) => one.run(output),
            Measure::Rooms(one) => one.run(output),
            Measure::Pingpong(one) => one.run(output),
            Measure::Publish(one) => one.run(output),
            Measure::Connect(one) => one.run(output),
            Measure::History(one) => one.run(output),
            Measure::Catchup(one) => one.run(output),
            Measure::Mixed(one) => one.run(output),
            Measure::Replay(one) => one.common.run(&one.own.workload()?, output),
            Measure::Rivals(rivals) => rivals.run(output),
            Measure::Report(report) => report.run(output),
            Measure::Floor(floor) => floor.run(output),
        }
    }
}

/// What a run's end means for the user.
fn failure(error: &BenchError) -> Failure {
    match error {
        BenchError::Cancelled => Failure::interrupted(),
        BenchError::Usage(_) | BenchError::Unsupported { .. } => {
            Failure::usage(error).next("see `antiphon bench WORKLOAD --help`")
        }
        BenchError::Start(StartError::Missing { .. }) => {
            Failure::new(Exit::Usage, error).next("install it, or leave it out")
        }
        _ => Failure::failed(error)
            .next("what the broker said last, if it was started, stands above"),
    }
}
