//! History requests, checked page by page.

use antiphon_protocol::{Fetch, FetchRange, Page, PageItem, ReadLevel, RequestId, RoomName, Seq};

use crate::error::{ClientError, Rejection, Violation};
use crate::history::{History, HistoryRange};
use crate::limits::HISTORY_BYTES;
use crate::record::{Delivery, Position};
use crate::session::chain::Chain;
use crate::session::context::Context;
use crate::session::input::Ticket;
use crate::session::output::Event;
use crate::session::unanswered::Unanswered;

/// Every history request that has no answer yet.
pub(crate) type Fetches = Unanswered<HistoryAsk>;

/// A stretch of a room's history that is asked for.
#[derive(Debug)]
pub(crate) struct HistoryAsk {
    room: RoomName,
    range: HistoryRange,
    limit: u32,
    answer: Option<Answer>,
}

/// The pages so far; an answer begins anew with each FETCH.
#[derive(Debug)]
struct Answer {
    chain: Chain,
    history: History,
    bytes: u64,
}

impl Unanswered<HistoryAsk> {
    /// Appends the FETCH of a request that still wants one; true: it did.
    pub(crate) fn encode(
        &mut self,
        ticket: Ticket,
        id: RequestId,
        records_max: u32,
        out: &mut Vec<u8>,
    ) -> bool {
        let Some(ask) = self.of(ticket) else {
            return false;
        };
        let range = match ask.range {
            HistoryRange::Latest => FetchRange::Latest,
            HistoryRange::Before(seq) => FetchRange::Before(seq),
            HistoryRange::After(seq) => FetchRange::After(seq),
            HistoryRange::Around(seq) => FetchRange::Around(seq),
            HistoryRange::Time(time) => FetchRange::Time(time),
        };
        let limit = ask.limit.min(records_max).max(1);
        let fetch = Fetch {
            room: (&ask.room).into(),
            range,
            limit,
            read: ReadLevel::Any,
            token: 0,
        };
        fetch.encode(id, out);
        ask.answer = None;
        true
    }

    /// A page came; true: it was the last one of its answer, or the request is over for another reason.
    pub(crate) fn on_page(
        &mut self,
        ticket: Ticket,
        page: &Page<'_>,
        context: &mut Context<'_>,
    ) -> bool {
        let Some(ask) = self.of(ticket) else {
            return page.last;
        };
        if let Err(error) = ask.take(page) {
            self.finish(ticket, Err(error), context);
            return page.last;
        }
        if page.last {
            let history = ask
                .answer
                .take()
                .map_or_else(|| empty(page), |answer| answer.history);
            self.finish(ticket, Ok(history), context);
        }
        page.last
    }

    /// The broker refused a FETCH.
    pub(crate) fn on_refused(
        &mut self,
        ticket: Ticket,
        rejection: Rejection,
        context: &mut Context<'_>,
    ) {
        if self.refused(ticket, &rejection, context).is_some() {
            let rejected = Err(ClientError::Rejected(rejection));
            context.tell(Event::Fetched(ticket, rejected));
        }
    }

    /// The session is over.
    pub(crate) fn end(&mut self, error: &ClientError, context: &mut Context<'_>) {
        for (ticket, _) in self.drain() {
            context.tell(Event::Fetched(ticket, Err(error.clone())));
        }
    }

    fn finish(
        &mut self,
        ticket: Ticket,
        result: Result<History, ClientError>,
        context: &mut Context<'_>,
    ) {
        self.answered(ticket);
        context.tell(Event::Fetched(ticket, result));
    }
}

impl HistoryAsk {
    pub(crate) fn new(room: RoomName, range: HistoryRange, limit: u32) -> HistoryAsk {
        HistoryAsk {
            room,
            range,
            limit,
            answer: None,
        }
    }

    /// Checks one page and keeps what is in it.
    fn take(&mut self, page: &Page<'_>) -> Result<(), ClientError> {
        let range = self.range;
        for item in page.items() {
            let item = item.map_err(|_| {
                violation(Violation::BadFrame(antiphon_protocol::Kind::Page.wire()))
            })?;
            let from = match item {
                PageItem::Record(record) => record.seq(),
                PageItem::Gap(gap) => gap.from,
            };
            let answer = match &mut self.answer {
                Some(answer) => answer,
                None => self.answer.insert(Answer::begin(page, range, from)?),
            };
            answer.take(&item)?;
        }
        Ok(())
    }
}

impl Answer {
    /// The first page says where the answer starts; what was asked may say so, too.
    fn begin(page: &Page<'_>, range: HistoryRange, from: Seq) -> Result<Answer, ClientError> {
        if let Some(expected) = start(range).filter(|expected| *expected != from) {
            return Err(violation(Violation::Order {
                expected,
                got: from,
            }));
        }
        let position = Position {
            seq: from.previous(),
            link: page.head.link,
        };
        Ok(Answer {
            chain: Chain::new(page.head.room_id, position, page.head.link).map_err(violation)?,
            history: empty(page),
            bytes: 0,
        })
    }

    fn take(&mut self, item: &PageItem<'_>) -> Result<(), ClientError> {
        let delivery = match item {
            PageItem::Record(record) => self.chain.record(record).map(Delivery::Record),
            PageItem::Gap(gap) => self.chain.gap(gap).map(Delivery::Gap),
        };
        let delivery = delivery.map_err(violation)?;
        self.bytes += delivery.held_bytes();
        if self.bytes > HISTORY_BYTES {
            return Err(ClientError::HistoryTooLarge {
                bytes_max: HISTORY_BYTES,
            });
        }
        match delivery {
            Delivery::Record(record) => self.history.records.push(record),
            Delivery::Gap(gap) => self.history.gaps.push(gap),
            // Nothing else stands in a page.
            _ => {}
        }
        Ok(())
    }
}

/// An answer without records, as far as a page tells.
fn empty(page: &Page<'_>) -> History {
    History {
        room_id: page.head.room_id,
        head_seq: page.head.head_seq,
        first_seq: page.head.first_seq,
        records: Vec::new(),
        gaps: Vec::new(),
    }
}

/// The first seq of the answer, if the range alone says it.
fn start(range: HistoryRange) -> Option<Seq> {
    match range {
        HistoryRange::After(seq) => Some(seq.next()),
        HistoryRange::Latest
        | HistoryRange::Before(_)
        | HistoryRange::Around(_)
        | HistoryRange::Time(_) => None,
    }
}

fn violation(violation: Violation) -> ClientError {
    ClientError::Protocol(violation)
}
