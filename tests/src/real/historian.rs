//! A reader of the past: fetches stretches of rooms, and at the end all of them.

use std::time::Duration;

use antiphon_client::{Client as Sdk, ClientError, Code, HistoryRange};

use super::journal::Journal;
use super::seat::{NODE, Seat, gap_seen, room_name, seen};
use super::stage::Part;
use crate::history::{Range, Room, Seq, What};

/// Between two fetches.
const PAUSE: Duration = Duration::from_millis(20);

/// Records of one page of the final reading.
const PAGE_RECORDS: u32 = 1_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Historian {
    seat: Seat,
    sdk: Option<Sdk>,
}

impl Historian {
    pub(crate) fn new(seat: Seat) -> Self {
        Self { seat, sdk: None }
    }

    /// Fetches until the run is to finish.
    pub(crate) fn run(mut self) {
        while self.seat.is_at(Part::Work) {
            if self.sdk.is_none() {
                self.sdk = self.seat.connect(&self.seat.options());
            }
            self.fetch();
            self.seat.stage.rest(PAUSE, Part::Work);
        }
    }

    fn fetch(&mut self) {
        let Some(sdk) = &self.sdk else { return };
        let place = self.seat.dice.place(self.seat.rooms.len());
        let room = self.seat.rooms[place];
        let limit = self.seat.dice.between(1, 40) as u32;
        let seq = self.seat.dice.between(0, 400);
        let (range, asked) = match self.seat.dice.below(3) {
            0 => (Range::Latest, HistoryRange::Latest),
            1 => (
                Range::Before(Seq(seq + 1)),
                HistoryRange::Before(antiphon_client::Seq(seq + 1)),
            ),
            _ => (
                Range::After(Seq(seq)),
                HistoryRange::After(antiphon_client::Seq(seq)),
            ),
        };
        let op = self.seat.journal.op();
        self.seat.note(What::Fetch {
            op,
            room,
            range,
            limit,
        });
        match sdk.history(&room_name(room), asked, limit) {
            Ok(history) => self.seat.note(What::Fetched {
                op,
                head: Seq(history.head_seq.0),
                records: history.records.iter().map(seen).collect(),
                gaps: history.gaps.iter().map(gap_seen).collect(),
            }),
            Err(error) => {
                if self.seat.failed(op, &error) {
                    self.sdk = None;
                    self.seat.note(What::Disconnected);
                }
            }
        }
    }
}

/// The head of a room; 0 if there is no such room.
///
/// # Errors
/// The broker does not answer.
pub(crate) fn head(sdk: &Sdk, room: Room) -> Result<u64, ClientError> {
    match sdk.history(&room_name(room), HistoryRange::Latest, 1) {
        Ok(history) => Ok(history.head_seq.0),
        Err(ClientError::Rejected(rejection)) if rejection.code == Code::NOT_FOUND => Ok(0),
        Err(error) => Err(error),
    }
}

/// Reads a whole room over the wire, as the broker's final word.
///
/// # Errors
/// The broker does not answer.
pub(crate) fn final_read(journal: &Journal, sdk: &Sdk, room: Room) -> Result<(), ClientError> {
    let head = head(sdk, room)?;
    let (mut records, mut gaps) = (Vec::new(), Vec::new());
    let mut after = 0;
    while after < head {
        let range = HistoryRange::After(antiphon_client::Seq(after));
        let page = sdk.history(&room_name(room), range, PAGE_RECORDS)?;
        let Some(last) = page.last_seq() else { break };
        after = last.0;
        records.extend(page.records.iter().map(seen));
        gaps.extend(page.gaps.iter().map(gap_seen));
    }
    journal.node(
        NODE,
        What::FinalRead {
            room,
            head: Seq(head),
            records,
            gaps,
        },
    );
    Ok(())
}
