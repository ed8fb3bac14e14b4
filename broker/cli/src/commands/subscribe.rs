//! `antiphon sub ROOM`: each record as it comes, until Ctrl-C.

use std::time::Duration;

use antiphon_client::{
    Client, ClientError, CursorName, Delivery, Link, Position, Record, Seq, Start, SubscribeError,
    Subscription, Timestamp,
};
use clap::Args;

use crate::commands::cursor::Following;
use crate::commands::history::moment;
use crate::connection::{DIVERGED_NEXT, Target};
use crate::failure::{Exit, Failure};
use crate::interrupt::{Interrupt, NOTICE};
use crate::output::{Output, note};
use crate::record_line::{print_gap, print_record};

#[derive(Args, Debug)]
pub(crate) struct Subscribe {
    /// The room; one that does not exist yet is waited for.
    room: String,
    /// Begin with the last N records.
    #[arg(long, value_name = "N", conflicts_with = "after")]
    last: Option<u64>,
    /// Begin behind this record; 0 is the beginning. SEQ:LINK, as --json prints positions, also checks that the history is the same.
    #[arg(long, value_name = "SEQ[:LINK]", value_parser = position)]
    after: Option<Position>,
    /// Begin with the first record from this time on (RFC 3339, as the broker stamped it).
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with_all = ["last", "after"])]
    from_time: Option<Timestamp>,
    /// Begin behind this cursor of the reader, and move it along with what is printed; none yet: begin with the first record.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["last", "after", "from_time"])]
    cursor: Option<String>,
    /// End after N records.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Who reads.
    #[arg(
        long = "as",
        value_name = "USER",
        env = "ANTIPHON_USER",
        default_value = "anonymous"
    )]
    user: String,
}

impl Subscribe {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect(&self.user)?;
        let interrupt = Interrupt::install()?;
        let start = self.start().map_err(|error| target.failure(&error))?;
        let subscription = client
            .subscribe(&self.room, start)
            .map_err(|error| self.refused(target, &error))?;
        let cursor = self.cursor.as_deref();
        let mut reading = Reading {
            asked: &self,
            target,
            client: &client,
            interrupt: &interrupt,
            subscription,
            cursor: cursor.map(|name| Following::new(&self.room, name)),
        };
        let mut records = 0;
        while self.count != Some(records) {
            match reading.next(output)? {
                Some(Delivery::Record(record)) => {
                    print_record(output, &self.room, &record)?;
                    reading.on_printed(&record);
                    records += 1;
                }
                Some(Delivery::Gap(gap)) => print_gap(output, &self.room, &gap)?,
                Some(_) => {}
                None => {
                    reading.settle(output)?;
                    return Err(self.interrupted(&reading.subscription));
                }
            }
        }
        reading.settle(output)
    }

    fn start(&self) -> Result<Start, ClientError> {
        if let Some(name) = &self.cursor {
            return Ok(Start::Cursor(CursorName::new(name)?));
        }
        Ok(match (self.last, self.after) {
            (Some(last), _) => Start::Last(last),
            (None, Some(Position { seq: Seq(0), .. })) => Start::Beginning,
            (None, Some(after)) => Start::After(after),
            (None, None) => self.from_time.map_or(Start::Live, Start::Time),
        })
    }

    fn refused(&self, target: &Target, error: &ClientError) -> Failure {
        match error {
            ClientError::Diverged { head } => self.diverged(*head),
            error => target.failure(error),
        }
    }

    fn ended(&self, target: &Target, error: &SubscribeError) -> Failure {
        match error {
            SubscribeError::Diverged { head } => self.diverged(*head),
            error => target.subscribe_failure(error),
        }
    }

    /// The room is not the one that the position belongs to, or does not reach that far.
    fn diverged(&self, head: Seq) -> Failure {
        let room = &self.room;
        match self.after.map(|after| after.seq) {
            Some(after) if after > head => Failure::new(
                Exit::Refused,
                format_args!("{room} ends at {head}, which is before {after}"),
            )
            .next(format_args!(
                "to see what comes from now on: antiphon sub {room}; if you have read {after} before, the broker has lost records: \
                 look with `antiphon log verify DIR`"
            )),
            _ => Failure::new(
                Exit::Refused,
                format_args!("{room} differs from what was read before (its head is {head})"),
            )
            .next(DIVERGED_NEXT),
        }
    }

    /// Says how to go on where this ended.
    fn interrupted(&self, subscription: &Subscription) -> Failure {
        match &self.cursor {
            Some(name) => note(format_args!(
                "\nto go on from here: antiphon sub {} --cursor {name} --as {}",
                self.room, self.user
            )),
            None => note(format_args!(
                "\nto go on from here: antiphon sub {} --after {}",
                self.room,
                subscription.position()
            )),
        }
        Failure::interrupted()
    }
}

/// A room that is being followed, and the cursor that goes along.
struct Reading<'a> {
    asked: &'a Subscribe,
    target: &'a Target,
    client: &'a Client,
    interrupt: &'a Interrupt,
    subscription: Subscription,
    cursor: Option<Following<'a>>,
}

impl Reading<'_> {
    /// The next delivery, or `None` after Ctrl-C. What was printed is flushed before anything is waited for, and counts as read
    /// from then on.
    fn next(&mut self, output: &mut Output) -> Result<Option<Delivery>, Failure> {
        let mut patience = Duration::ZERO;
        while !self.interrupt.is_raised() {
            let delivery = self
                .subscription
                .next_timeout(patience)
                .map_err(|error| self.asked.ended(self.target, &error))?;
            if delivery.is_some() {
                return Ok(delivery);
            }
            output.flush()?;
            output.check()?;
            if let Some(cursor) = &mut self.cursor {
                cursor
                    .tell(self.client)
                    .map_err(|error| self.target.failure(&error))?;
            }
            patience = NOTICE;
        }
        output.flush()?;
        Ok(None)
    }

    fn on_printed(&mut self, record: &Record) {
        if let Some(cursor) = &mut self.cursor {
            cursor.on_printed(record);
        }
    }

    /// The end: what was printed is read, for good.
    fn settle(&mut self, output: &mut Output) -> Result<(), Failure> {
        output.flush()?;
        let Some(cursor) = &mut self.cursor else {
            return Ok(());
        };
        cursor
            .settle(self.client)
            .map_err(|error| self.target.failure(&error))
    }
}

/// Reads `12` or `12:00000000000000ff`.
fn position(text: &str) -> Result<Position, String> {
    let (seq, link) = text.split_once(':').unwrap_or((text, "0"));
    let seq = seq
        .parse()
        .map_err(|_| format!("`{seq}` is no seq: a number is expected, such as 12"))?;
    let link = u64::from_str_radix(link, 16)
        .map_err(|_| format!("`{link}` is no link: 16 hex digits are expected"))?;
    Ok(Position {
        seq: Seq(seq),
        link: Link(link),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_printed() {
        let printed = Position {
            seq: Seq(12),
            link: Link(0xff),
        };
        assert_eq!(position(&printed.to_string()), Ok(printed));
        assert_eq!(
            position("12"),
            Ok(Position {
                seq: Seq(12),
                link: Link(0)
            })
        );
        assert!(position("12:").is_err());
        assert!(position("-1").is_err());
    }
}
