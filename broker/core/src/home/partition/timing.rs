//! Positions by time: the first record at or above one.
//!
//! Times never fall along a room, so the place is sought by halving: a record in memory is looked at, another one is read by a reader thread. That is one
//! record per step and as many steps as the room's length has bits, whatever the room holds.

use antiphon_protocol::{Code, RoomId, Seq, Timestamp};

use crate::core::CoreId;
use crate::home::desk::Turn;
use crate::home::partition::Partition;
use crate::home::partition::slicing::Found;
use crate::home::partition::subscribing::refuse;
use crate::home::reads::{Purpose, Reading, TimeReader, TimeSearch};
use crate::home::records::time_at;
use crate::lane::FetchRange;
use crate::read::{ReadFailure, ReadRecords};

impl TimeSearch {
    fn middle(&self) -> Seq {
        Seq(self.low.0 + (self.high.0 - self.low.0) / 2)
    }

    /// The record `seq`, the first readable one from the middle on, has this time; `None`: none can be read there, and what is lost is told as a gap.
    fn take(&mut self, seq: Seq, time: Option<Timestamp>) {
        let middle = self.middle();
        match time {
            Some(time) if time < self.time => self.low = seq.next().min(self.high),
            _ => self.high = middle,
        }
        assert!(
            self.low <= self.high,
            "INV-HOME-49: a search by time closes in"
        );
    }
}

impl Partition {
    /// A reader wants to start at a time.
    pub(super) fn seek_time(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        room: RoomId,
        time: Timestamp,
        reader: TimeReader,
    ) {
        let head = self.known_room(room).head;
        let high = head.seq.next();
        let oldest = self.first_kept(room).max(Seq::FIRST).min(high);
        let low = if head.time < time { high } else { oldest };
        let search = TimeSearch {
            room,
            time,
            low,
            high,
            reader,
        };
        self.seek_on(turn, edge, search);
    }

    /// Halves as far as memory reaches; then a reader thread is asked, or the place is found.
    fn seek_on(&mut self, turn: &mut Turn<'_>, edge: CoreId, mut search: TimeSearch) {
        while search.low < search.high {
            let mut seq = search.middle();
            let mut found = self.find_records(search.room, seq, seq.next(), 1);
            if let Found::Missing(Some(readable)) = found
                && readable < search.high
            {
                seq = readable;
                found = self.find_records(search.room, seq, seq.next(), 1);
            }
            match found {
                Found::Hot(hot) => search.take(seq, time_at(&hot.records)),
                Found::Missing(_) => search.take(seq, None),
                Found::Cold(sought) => {
                    let reading = Reading {
                        partition: self.number(),
                        purpose: Purpose::Time { edge, search },
                    };
                    turn.read_for_home(reading, sought);
                    return;
                }
            }
        }
        self.sought(turn, edge, search);
    }

    /// A reader thread has read a record of the search.
    pub(crate) fn time_read(
        &mut self,
        turn: &mut Turn<'_>,
        edge: CoreId,
        mut search: TimeSearch,
        seq: Seq,
        result: Result<ReadRecords, ReadFailure>,
    ) {
        let time = match result {
            Ok(read) => time_at(&read.records),
            Err(ReadFailure::Busy) => return self.seek_failed(turn, edge, &search.reader),
            Err(ReadFailure::Damaged | ReadFailure::Gone) => None,
        };
        search.take(seq, time);
        self.seek_on(turn, edge, search);
    }

    fn sought(&mut self, turn: &mut Turn<'_>, edge: CoreId, search: TimeSearch) {
        let TimeSearch {
            room, low, reader, ..
        } = search;
        match reader {
            TimeReader::Subscribe(subscribe) => {
                self.subscribe_at(turn, edge, subscribe, room, low);
            }
            TimeReader::Fetch(mut fetch) => {
                fetch.range = FetchRange::After(low.previous());
                self.fetch(turn, edge, *fetch);
            }
        }
    }

    fn seek_failed(&self, turn: &mut Turn<'_>, edge: CoreId, reader: &TimeReader) {
        let code = Code::UNAVAILABLE;
        match reader {
            TimeReader::Subscribe(subscribe) => refuse(turn, edge, subscribe, code, 0),
            TimeReader::Fetch(fetch) => self.refuse_fetch(turn, edge, fetch, code),
        }
    }
}
