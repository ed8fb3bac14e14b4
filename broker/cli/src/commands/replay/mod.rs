//! `antiphon replay FILE`: publishes a chat file, exactly once however often it is interrupted or repeated.
//!
//! ```text
//! source ──line──> schedule ──due──> pool ──publish──> broker
//!  reads FILE       a room's order     one connection     │
//!                       ^              per user           │
//!                       └───────── acked ─────────────────┘
//! state: FILE.replay-state, the producer id of each user, on disk before the user's first publish
//! ```

mod pace;
mod pool;
mod report;
mod schedule;
pub(crate) mod source;
mod state;

use std::path::PathBuf;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use antiphon_client::{PublishError, Receipt, Receipts, Timestamp};
use clap::Args;

use crate::chat_line::ChatLine;
use crate::commands::replay::pace::Pace;
use crate::commands::replay::pool::Pool;
use crate::commands::replay::report::Report;
use crate::commands::replay::schedule::{RoomKey, Schedule, UserKey};
use crate::commands::replay::source::{Lines, survey};
use crate::commands::replay::state::ReplayState;
use crate::connection::Target;
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::limits::{REPLAY_CONNECTIONS, REPLAY_LULL, REPLAY_PATIENCE, REPLAY_WINDOW_LINES};
use crate::output::Output;

#[derive(Args, Debug)]
pub(crate) struct Replay {
    /// NDJSON with at, room, user, text; gzip is fine. FILE.replay-state is kept beside it.
    file: PathBuf,
    /// Connections open at once; each user has one, idle ones are closed for others.
    #[arg(long, default_value_t = REPLAY_CONNECTIONS, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Keep the pace of the file's times, N times as fast; without it as fast as the broker acks.
    #[arg(long, value_name = "N", value_parser = speed)]
    speed: Option<f64>,
}

impl Replay {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let interrupt = Interrupt::install()?;
        let lines = Lines::open(&self.file)?;
        let mut state = ReplayState::open(&self.file)?;
        state.check_age(now())?;
        let survey = survey(&self.file, state.extent(), &interrupt)?;
        if !survey.begins_as_known {
            return Err(Failure::failed(format_args!(
                "{} is not the file that {} belongs to: it has changed since, and not only grown",
                self.file.display(),
                state.path().display()
            ))
            .next("restore the file; or give the changed one another name, and all of it is published as new messages"));
        }
        state.set_extent(survey.extent)?;
        let run = Run {
            lines,
            next_line: None,
            is_read: false,
            pace: Pace::new(self.speed, Instant::now()),
            schedule: Schedule::default(),
            pool: Pool::new(target, &mut state, self.connections),
            flights: Receipts::new(),
            report: Report::new(output.is_json(), survey.lines),
            last_ack: Instant::now(),
        };
        run.go(&interrupt)?.finish(output)
    }
}

/// A replay under way.
struct Run<'a> {
    lines: Lines,
    /// Read, and not yet due.
    next_line: Option<ChatLine>,
    /// The file's end was reached.
    is_read: bool,
    pace: Pace,
    schedule: Schedule,
    pool: Pool<'a>,
    /// Publishes without an ack.
    flights: Receipts<Flight>,
    report: Report,
    last_ack: Instant,
}

/// Whose publish it is.
#[derive(Clone, Copy)]
struct Flight {
    user: UserKey,
    room: RoomKey,
}

impl Run<'_> {
    fn go(mut self, interrupt: &Interrupt) -> Result<Report, Failure> {
        while !self.is_done() {
            let moved = interrupt.check().and_then(|()| self.step());
            match moved {
                Ok(true) => {}
                Ok(false) => self.rest()?,
                Err(failure) => {
                    self.report.stopped();
                    return Err(failure);
                }
            }
        }
        self.report.tell();
        Ok(self.report)
    }

    fn is_done(&self) -> bool {
        self.is_read && self.next_line.is_none() && self.schedule.open_lines() == 0
    }

    /// Does what can be done now; `false`: nothing could.
    fn step(&mut self) -> Result<bool, Failure> {
        let has_read = self.read()?;
        let has_sent = self.send()?;
        let has_settled = self.settle()?;
        self.report.lost(self.pool.take_losses());
        self.report.tell();
        let has_moved = has_read || has_sent || has_settled;
        if has_sent || has_settled || self.schedule.open_lines() == 0 {
            self.last_ack = Instant::now();
        } else if self.last_ack.elapsed() > REPLAY_PATIENCE {
            return Err(Failure::new(
                Exit::Unreachable,
                format_args!("nothing was acked for {} s", REPLAY_PATIENCE.as_secs()),
            )
            .next(
                "see whether the broker runs with `antiphon ping`, then run the same command again",
            ));
        }
        Ok(has_moved)
    }

    /// Takes lines from the file as long as they are due and the window has places.
    fn read(&mut self) -> Result<bool, Failure> {
        let now = Instant::now();
        let mut has_read = false;
        while self.schedule.open_lines() < REPLAY_WINDOW_LINES {
            if self.next_line.is_none() && !self.is_read {
                match self.lines.next_line()? {
                    Some(line) => self.next_line = line.chat,
                    None => self.is_read = true,
                }
            }
            match self
                .next_line
                .take_if(|line| self.pace.is_due(line.at, now))
            {
                Some(line) => self.schedule.offer(line),
                None if self.next_line.is_some() || self.is_read => break,
                // An empty line.
                None => {}
            }
            has_read = true;
        }
        Ok(has_read)
    }

    /// Publishes what may go now.
    fn send(&mut self) -> Result<bool, Failure> {
        let mut has_sent = self.send_to_open()?;
        while let Some(user) = self.schedule.next_user() {
            if !self.pool.admit(user, self.schedule.user_name(user))? {
                break;
            }
            self.publish_next()?;
            has_sent = true;
        }
        Ok(has_sent)
    }

    /// Users whose connection is open go first: when connections are few, each is used as much as it can be before it is closed
    /// for another user. Those may wait until the window is full of their lines; then nothing else is left, and they go.
    fn send_to_open(&mut self) -> Result<bool, Failure> {
        let mut has_sent = false;
        let mut rooms = self.schedule.ready_rooms();
        while rooms > 0 {
            let Some(user) = self.schedule.next_user() else {
                break;
            };
            if self.pool.is_open(user) {
                self.publish_next()?;
                has_sent = true;
            } else {
                self.schedule.postpone();
                rooms -= 1;
            }
        }
        Ok(has_sent)
    }

    fn publish_next(&mut self) -> Result<(), Failure> {
        let Some(due) = self.schedule.poll() else {
            return Ok(());
        };
        let (user, room) = (due.user, due.room);
        let pending = self.pool.publish(due, self.schedule.room_name(room))?;
        self.flights.add(Flight { user, room }, pending);
        Ok(())
    }

    /// Takes the acks that have come.
    fn settle(&mut self) -> Result<bool, Failure> {
        let flying = self.flights.len();
        while let Some((flight, receipt)) = self.flights.try_next() {
            self.settled(flight, receipt)?;
        }
        Ok(self.flights.len() < flying)
    }

    /// Waits for the next ack, or for a while.
    fn rest(&mut self) -> Result<(), Failure> {
        if self.flights.is_empty() {
            thread::sleep(REPLAY_LULL);
        } else if let Some((flight, receipt)) = self.flights.next_timeout(REPLAY_LULL) {
            self.settled(flight, receipt)?;
            self.last_ack = Instant::now();
        }
        Ok(())
    }

    fn settled(
        &mut self,
        flight: Flight,
        receipt: Result<Receipt, PublishError>,
    ) -> Result<(), Failure> {
        let receipt = receipt.map_err(|error| self.pool.failure(&error))?;
        self.report.acked(receipt.duplicate);
        self.pool.acked(flight.user);
        self.schedule.acked(flight.room);
        Ok(())
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if speed.is_finite() && speed > 0.0 {
        Ok(speed)
    } else {
        Err("a speed is more than 0, such as 60".into())
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
