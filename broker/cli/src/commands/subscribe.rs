//! `antiphon sub ROOM`: each record as it comes, until Ctrl-C.

use std::time::Duration;

use antiphon_client::{Delivery, Link, Position, Seq, Start, Subscription, Timestamp};
use clap::Args;

use crate::commands::history::moment;
use crate::connection::Target;
use crate::failure::Failure;
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
        let start = match (self.last, self.after) {
            (Some(last), _) => Start::Last(last),
            (None, Some(Position { seq: Seq(0), .. })) => Start::Beginning,
            (None, Some(after)) => Start::After(after),
            (None, None) => self.from_time.map_or(Start::Live, Start::Time),
        };
        let mut subscription = client
            .subscribe(&self.room, start)
            .map_err(|error| target.failure(&error))?;
        let mut records = 0;
        while self.count != Some(records) {
            match next(&mut subscription, target, output, &interrupt)? {
                Some(Delivery::Record(record)) => {
                    print_record(output, &self.room, &record)?;
                    records += 1;
                }
                Some(Delivery::Gap(gap)) => print_gap(output, &self.room, &gap)?,
                Some(_) => {}
                None => return Err(self.interrupted(&subscription)),
            }
        }
        Ok(())
    }

    /// Says how to go on where this ended.
    fn interrupted(&self, subscription: &Subscription) -> Failure {
        note(format_args!(
            "\nto go on from here: antiphon sub {} --after {}",
            self.room,
            subscription.position()
        ));
        Failure::interrupted()
    }
}

/// The next delivery, or `None` after Ctrl-C. What was printed is flushed before anything is waited for.
fn next(
    subscription: &mut Subscription,
    target: &Target,
    output: &mut Output,
    interrupt: &Interrupt,
) -> Result<Option<Delivery>, Failure> {
    let mut patience = Duration::ZERO;
    while !interrupt.is_raised() {
        let delivery = subscription
            .next_timeout(patience)
            .map_err(|error| target.subscribe_failure(&error))?;
        if delivery.is_some() {
            return Ok(delivery);
        }
        output.flush()?;
        patience = NOTICE;
    }
    output.flush()?;
    Ok(None)
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
