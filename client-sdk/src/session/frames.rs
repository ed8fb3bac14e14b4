//! What the broker says.

use std::time::Duration;

use antiphon_protocol::{
    Assembler, DecodeError, ErrorFrame, Kind, Ok_, Page, Ping, Pong, RawFrame, Record, RequestId,
    RoomId, RoomRef, ServerFrame, Subscribed, limits::HANDSHAKE_BYTES_MAX,
};

use crate::check::Check;
use crate::error::{ClientError, Rejection, Violation};
use crate::limits::UNSENT_BYTES;
use crate::session::Session;
use crate::session::commands::SIGNAL_ID;
use crate::session::input::Mono;
use crate::session::output::Event;
use crate::session::state::{Leave, Question, State};
use crate::session::tally::Tally;

impl Session {
    /// Bytes came: takes every frame that is whole now.
    pub(super) fn on_received(&mut self, bytes: &[u8], now: Mono) {
        let mut assembler = match &mut self.state {
            State::AwaitWelcome { assembler, .. } => std::mem::take(assembler),
            State::Open(open) => {
                open.on_received(now);
                std::mem::take(&mut open.assembler)
            }
            State::New | State::Connecting | State::Backoff { .. } | State::Closed => return,
        };
        let mut rest = bytes;
        while let Some(len_max) = self.frame_bytes_max() {
            let outcome = match assembler.next(&mut rest, len_max) {
                Ok(None) => break,
                Ok(Some(frame)) => self.on_frame(frame, now),
                Err(_) => Err(ClientError::Protocol(Violation::BrokenStream)),
            };
            if let Err(error) = outcome {
                self.lose(error, 0, now);
            }
        }
        self.put_back(assembler);
    }

    /// The longest frame in this state; `None`: there is no connection (any more).
    fn frame_bytes_max(&self) -> Option<u32> {
        match &self.state {
            State::AwaitWelcome { .. } => Some(HANDSHAKE_BYTES_MAX),
            State::Open(open) => Some(open.frame_bytes_max),
            State::New | State::Connecting | State::Backoff { .. } | State::Closed => None,
        }
    }

    fn put_back(&mut self, assembler: Assembler) {
        match &mut self.state {
            State::AwaitWelcome {
                assembler: place, ..
            } => *place = assembler,
            State::Open(open) => open.assembler = assembler,
            State::New | State::Connecting | State::Backoff { .. } | State::Closed => {}
        }
    }

    fn on_frame(&mut self, raw: RawFrame<'_>, now: Mono) -> Result<(), ClientError> {
        let frame = match ServerFrame::decode(raw) {
            Ok(frame) => frame,
            // A newer broker may say more than we know.
            Err(DecodeError::UnknownKind(_) | DecodeError::KindNotServed(_)) => return Ok(()),
            Err(_) => return self.on_undecodable(raw, now),
        };
        let is_open = matches!(self.state, State::Open(_));
        match frame {
            ServerFrame::Goaway(goaway) => {
                self.on_goaway(&goaway, now);
                Ok(())
            }
            ServerFrame::Welcome(welcome) if !is_open => self.on_welcome(&welcome, now),
            _ if !is_open => Err(unexpected(raw.header.kind)),
            ServerFrame::Puback(puback) => {
                let (outbox, _, _, mut context) = self.split(now);
                puback
                    .entries()
                    .try_for_each(|entry| outbox.on_ack(&entry, &mut context))
                    .map_err(ClientError::Protocol)
            }
            ServerFrame::Record(record) => {
                self.count(|tally| tally.on_seq(record.room_id(), record.seq()));
                let (_, readers, _, mut context) = self.split(now);
                let want = readers.on_record(&record, &mut context);
                self.want(want);
                Ok(())
            }
            ServerFrame::Gap(gap) => {
                self.count(|tally| tally.on_seq(gap.room_id, gap.to));
                let (_, readers, _, mut context) = self.split(now);
                let want = readers.on_gap(&gap, &mut context);
                self.want(want);
                Ok(())
            }
            ServerFrame::Unsubscribe(unsubscribe) => {
                if let RoomRef::Id(room_id) = unsubscribe.room {
                    self.count(|tally| tally.on_ended(room_id));
                }
                let (_, readers, _, mut context) = self.split(now);
                let want = readers.on_ended(unsubscribe.room, unsubscribe.code, &mut context);
                self.want(want);
                Ok(())
            }
            ServerFrame::Error(error) => self.on_error(raw.header.id, &error, now),
            ServerFrame::Subscribed(subscribed) => {
                self.on_subscribed(raw.header.id, &subscribed, now);
                Ok(())
            }
            ServerFrame::Page(page) => {
                self.on_page(raw.header.id, &page, now);
                Ok(())
            }
            ServerFrame::Pong(pong) => self.on_pong(raw.header.id, pong),
            ServerFrame::Ok(ok) => self.on_ok(raw.header.id, ok, now),
            ServerFrame::Signal(push) => {
                let (_, readers, _, mut context) = self.split(now);
                readers.on_signal(&push, &mut context);
                Ok(())
            }
            ServerFrame::Cursor(moved) => {
                let (_, readers, _, mut context) = self.split(now);
                readers.on_cursor(&moved, &mut context);
                Ok(())
            }
            ServerFrame::Metadata(metadata) => {
                if let Some(Question::Ask(ticket)) = self.answered(raw.header.id) {
                    let (asks, mut context) = self.split_asks(now);
                    asks.on_metadata(ticket, &metadata, &mut context);
                }
                Ok(())
            }
            ServerFrame::Ping(ping) => {
                self.on_ping(raw.header.id, ping);
                Ok(())
            }
            _ => Err(unexpected(raw.header.kind)),
        }
    }

    /// A damaged record ends the subscription that it was for; anything else that cannot be read ends the connection.
    fn on_undecodable(&mut self, raw: RawFrame<'_>, now: Mono) -> Result<(), ClientError> {
        let violation = ClientError::Protocol(Violation::BadFrame(raw.header.kind));
        if raw.header.kind != Kind::Record.wire() {
            return Err(violation);
        }
        let Ok(record) = Record::parse_unchecked_crc(raw.whole) else {
            return Err(violation);
        };
        self.count(|tally| tally.on_seq(record.room_id(), record.seq()));
        let (_, readers, _, mut context) = self.split(now);
        let want = readers
            .on_damaged(record.room_id(), &mut context)
            .ok_or(violation)?;
        self.want(want);
        Ok(())
    }

    fn on_error(
        &mut self,
        id: RequestId,
        error: &ErrorFrame<'_>,
        now: Mono,
    ) -> Result<(), ClientError> {
        let rejection = Rejection {
            code: error.code,
            class: error.class,
            retry_after: Duration::from_millis(error.retry_after_ms.into()),
            hint: error.hint,
            text: error.text.to_owned(),
        };
        let question = self.answered(id);
        let (outbox, readers, fetches, mut context) = self.split(now);
        match question {
            None if id.0 & SIGNAL_ID != 0 => context.tell(Event::SignalRefused(rejection)),
            None => outbox.on_refused(id, rejection, &mut context),
            Some(Question::Subscribe(ticket) | Question::NoRoom(ticket)) => {
                let want = readers.on_refused(ticket, rejection, &mut context);
                self.want(want);
            }
            Some(Question::Fetch(ticket)) => fetches.on_refused(ticket, rejection, &mut context),
            Some(Question::Ping(ticket)) => {
                context.tell(Event::Done(ticket, Err(ClientError::Rejected(rejection))));
            }
            Some(Question::Check(ticket)) => {
                context.tell(Event::Checked(ticket, Err(rejection.into())));
            }
            Some(Question::Ask(ticket)) => {
                let (asks, mut context) = self.split_asks(now);
                asks.on_refused(ticket, rejection, &mut context);
            }
            Some(Question::Unsubscribe(_) | Question::Keepalive) => {}
        }
        Ok(())
    }

    fn on_subscribed(&mut self, id: RequestId, subscribed: &Subscribed<'_>, now: Mono) {
        let asker = match self.answered(id) {
            Some(Question::Subscribe(ticket) | Question::NoRoom(ticket)) => Some(ticket),
            _ => None,
        };
        // What nobody has asked for counts nothing: the count must not grow by what a broker makes up.
        if subscribed.room_id != RoomId(0) && (asker.is_some() || self.is_leaving(id)) {
            self.count(|tally| {
                tally.on_subscribed(id, subscribed.room_id, subscribed.next_seq);
            });
        }
        // Whoever asked may have left meanwhile: then nobody misses the answer, nor the second one.
        let Some(ticket) = asker else {
            return;
        };
        let (_, readers, _, mut context) = self.split(now);
        let want = readers.on_subscribed(ticket, id, subscribed, &mut context);
        if readers.awaits_room(ticket, id)
            && let Some(line) = self.state.line()
        {
            line.questions.insert(id, Question::NoRoom(ticket));
        }
        self.want(want);
    }

    /// Whether the room that was asked for with this SUBSCRIBE is being left before the broker has told its number.
    fn is_leaving(&mut self, subscribe: RequestId) -> bool {
        let leave = Question::Unsubscribe(Leave::Asked(subscribe));
        let questions = self.state.line().map(|line| &line.questions);
        questions.is_some_and(|questions| questions.values().any(|question| *question == leave))
    }

    fn on_page(&mut self, id: RequestId, page: &Page<'_>, now: Mono) {
        let Some(line) = self.state.line() else {
            return;
        };
        let Some(Question::Fetch(ticket)) = line.questions.get(&id).copied() else {
            return;
        };
        let (_, _, fetches, mut context) = self.split(now);
        if fetches.on_page(ticket, page, &mut context) {
            self.answered(id);
        }
    }

    /// A broker that asks faster than it reads gets no more answers than may wait.
    fn on_ping(&mut self, id: RequestId, ping: Ping) {
        if self.unsent().len() < UNSENT_BYTES {
            let pong = Pong {
                nonce: ping.nonce,
                digest: None,
            };
            pong.encode(id, &mut self.unsent);
        }
    }

    fn on_pong(&mut self, id: RequestId, pong: Pong) -> Result<(), ClientError> {
        if pong.nonce != id.0 {
            return Err(unexpected(Kind::Pong.wire()));
        }
        let question = self.answered(id);
        if let Some(told) = &pong.digest {
            let mut agrees = true;
            self.count(|tally| agrees = tally.agrees(told));
            if !agrees {
                let error = ClientError::Protocol(Violation::Digest);
                if let Some(Question::Check(ticket)) = question {
                    self.tell(Event::Checked(ticket, Err(error.clone())));
                }
                return Err(error);
            }
        }
        match (question, pong.digest) {
            (Some(Question::Ping(ticket)), _) => self.tell(Event::Done(ticket, Ok(()))),
            (Some(Question::Check(ticket)), Some(told)) => {
                let check = Check {
                    rooms: told.rooms,
                    behind: told.behind,
                    as_of: Duration::from_millis(told.as_of_ms.into()),
                };
                self.tell(Event::Checked(ticket, Ok(check)));
            }
            // Another one was under way, and is over by now or soon.
            (Some(Question::Check(ticket)), None) => self.ping(Question::Check(ticket)),
            _ => {}
        }
        Ok(())
    }

    fn on_ok(&mut self, id: RequestId, ok: Ok_, now: Mono) -> Result<(), ClientError> {
        match (self.answered(id), ok.cursor) {
            (Some(Question::Ask(ticket)), Some(answer)) => {
                let (asks, mut context) = self.split_asks(now);
                asks.on_cursor(ticket, answer, &mut context);
            }
            (Some(Question::Ask(_)), None) => return Err(unexpected(Kind::Ok.wire())),
            (Some(Question::Unsubscribe(Leave::Room(room_id))), _) => {
                self.count(|tally| tally.on_left(room_id, id));
            }
            (Some(Question::Unsubscribe(Leave::Asked(subscribe))), _) => {
                self.count(|tally| tally.on_left_early(subscribe));
            }
            _ => {}
        }
        Ok(())
    }

    /// Counts along, if the broker counts.
    fn count(&mut self, count: impl FnOnce(&mut Tally)) {
        if let State::Open(open) = &mut self.state
            && let Some(tally) = &mut open.tally
        {
            count(tally);
        }
    }

    /// Takes the question that an answer is for; a place for another request may be free then.
    fn answered(&mut self, id: RequestId) -> Option<Question> {
        let line = self.state.line()?;
        let question = line.questions.remove(&id)?;
        if matches!(
            question,
            Question::Subscribe(_) | Question::Fetch(_) | Question::Ask(_)
        ) {
            assert!(
                line.unanswered > 0,
                "INV-SDK-10: more answers than requests"
            );
            line.unanswered -= 1;
        }
        Some(question)
    }
}

fn unexpected(kind: u8) -> ClientError {
    ClientError::Protocol(Violation::Unexpected(kind))
}
