//! `antiphon history ROOM`: the room's last records, oldest first.

use antiphon_client::{Client, ClientError, Gap, GapReason, HistoryRange, Seq, Timestamp};
use clap::Args;

use crate::chat_line::At;
use crate::connection::{DAMAGED_NEXT, Target};
use crate::failure::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::limits::FETCH_RECORDS;
use crate::output::Output;
use crate::record_line::{print_gap, print_record};

#[derive(Args, Debug)]
pub(crate) struct History {
    /// The room.
    room: String,
    /// How many records.
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    last: u64,
    /// Records around this one instead of the last ones.
    #[arg(long, value_name = "SEQ", conflicts_with = "at")]
    around: Option<u64>,
    /// The first records from this time on (RFC 3339, as the broker stamped them) instead of the last ones.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<Timestamp>,
}

impl History {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect("history")?;
        let interrupt = Interrupt::install()?;
        if let Some(range) = self.range() {
            return self.print_range(&client, target, range, output);
        }
        let latest = client.history(&self.room, HistoryRange::Latest, 1);
        let latest = latest.map_err(|error| target.failure(&error))?;
        let end = latest.head_seq;
        let after = Seq(end.0.saturating_sub(self.last));
        let mut is_damaged = false;
        each_page(&client, target, &self.room, after, end, |page| {
            interrupt.check()?;
            is_damaged |= page.gaps.iter().any(is_damage);
            print(output, &self.room, page)
        })?;
        if let Some(gap) = lost_end(&latest) {
            is_damaged = true;
            print_gap(output, &self.room, gap)?;
        }
        end_of(is_damaged, output)
    }

    /// What was asked for instead of the newest records.
    fn range(&self) -> Option<HistoryRange> {
        let around = self.around.map(|seq| HistoryRange::Around(Seq(seq)));
        around.or(self.at.map(HistoryRange::Time))
    }

    /// Prints one answer of the broker: no more records than it gives at once.
    fn print_range(
        &self,
        client: &Client,
        target: &Target,
        range: HistoryRange,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let limit = u32::try_from(self.last).unwrap_or(u32::MAX);
        let page = client.history(&self.room, range, limit.min(FETCH_RECORDS));
        let page = page.map_err(|error| target.failure(&error))?;
        print(output, &self.room, &page)?;
        end_of(page.gaps.iter().any(is_damage), output)
    }
}

/// The end of the command: damage that was met is its exit code.
fn end_of(is_damaged: bool, output: &mut Output) -> Result<(), Failure> {
    if !is_damaged {
        return Ok(());
    }
    output.flush()?;
    Err(Failure::new(Exit::Damage, "the room is damaged").next(DAMAGED_NEXT))
}

/// Reads a time as the command line takes it.
pub(crate) fn moment(text: &str) -> Result<Timestamp, String> {
    let at = At::parse(text).map_err(|error| format!("`{text}` {error}"))?;
    Ok(Timestamp(at.0))
}

fn is_damage(gap: &Gap) -> bool {
    gap.reason == GapReason::DAMAGED
}

/// The gap behind the newest record that can be read, if the room's log is damaged there.
pub(crate) fn lost_end(latest: &antiphon_client::History) -> Option<&Gap> {
    latest.gaps.last().filter(|gap| gap.is_open_ended())
}

/// Reads a room in pages, from behind `after` up to and with `end`.
pub(crate) fn each_page(
    client: &Client,
    target: &Target,
    room: &str,
    mut after: Seq,
    end: Seq,
    mut take: impl FnMut(&antiphon_client::History) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut records_max = FETCH_RECORDS;
    while after < end {
        let left = u32::try_from(end.0 - after.0).unwrap_or(u32::MAX);
        let page = match client.history(room, HistoryRange::After(after), left.min(records_max)) {
            Ok(page) => page,
            // Large bodies: a page of fewer records fits, at the latest one of a single record.
            Err(ClientError::HistoryTooLarge { .. }) if records_max > 1 => {
                records_max /= 2;
                continue;
            }
            Err(error) => return Err(target.failure(&error)),
        };
        let Some(last) = page.last_seq() else { break };
        assert!(last > after, "INV-CLI-4: every page moves on");
        take(&page)?;
        after = last;
    }
    Ok(())
}

/// Prints records and gaps in their order.
fn print(output: &mut Output, room: &str, page: &antiphon_client::History) -> Result<(), Failure> {
    let mut gaps = page.gaps.iter().peekable();
    for record in &page.records {
        while let Some(gap) = gaps.next_if(|gap| gap.from < record.seq) {
            print_gap(output, room, gap)?;
        }
        print_record(output, room, record)?;
    }
    gaps.try_for_each(|gap| print_gap(output, room, gap))
}
