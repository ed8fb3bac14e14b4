//! What the application wants.

use antiphon_protocol::{self as protocol, Ping, RequestId, RoomName, RoomRef, Unsubscribe};

use crate::error::ClientError;
use crate::limits::UNSENT_BYTES;
use crate::session::Session;
use crate::session::fetches::HistoryAsk;
use crate::session::input::{Command, Mono, Ticket};
use crate::session::output::Event;
use crate::session::readers::Want;
use crate::session::state::{Leave, Question, Request, State};
use crate::signal::Signal;

/// Set in the ids of signals and in no others, so that a refusal is known for one without keeping a note of each signal.
pub(super) const SIGNAL_ID: u64 = 1 << 63;

impl Session {
    /// Takes one command; after the end none has an effect.
    pub(super) fn on_command(&mut self, command: Command, now: Mono) {
        if matches!(self.state, State::Closed) {
            return;
        }
        let (outbox, readers, fetches, mut context) = self.split(now);
        match command {
            Command::Publish {
                ticket,
                room,
                outgoing,
            } => outbox.push(ticket, room, outgoing, &mut context),
            Command::GiveUp { ticket } => outbox.give_up(ticket, &mut context),
            Command::Subscribe {
                ticket,
                room,
                follow,
            } => {
                let want = readers.add(ticket, room, follow, &mut context);
                self.want(want);
            }
            Command::Heard { ticket, count } => readers.on_heard(ticket, count, &mut context),
            Command::Consumed {
                ticket,
                records,
                bytes,
            } => {
                let want = readers.on_consumed(ticket, records, bytes);
                self.want(want);
            }
            Command::Unsubscribe { ticket } => {
                let want = readers.remove(ticket);
                self.want(want);
            }
            Command::Fetch {
                ticket,
                room,
                range,
                limit,
            } => {
                fetches.add(ticket, HistoryAsk::new(room, range, limit));
                self.request(Request::Fetch(ticket));
            }
            Command::Ping { ticket } => match self.state {
                State::Open(_) => self.ping(Question::Ping(ticket)),
                _ => self.tell(Event::Done(ticket, Err(ClientError::Disconnected))),
            },
            Command::Check { ticket } => self.check(ticket),
            Command::Signal {
                ticket,
                room,
                signal,
            } => self.signal(ticket, &room, &signal),
            Command::Ask { ticket, ask } => {
                self.asks.add(ticket, ask);
                self.request(Request::Ask(ticket));
            }
            Command::Cancel { ticket } => {
                fetches.remove(ticket);
                let want = readers.remove(ticket);
                self.asks.remove(ticket);
                self.want(want);
                self.forget_check(ticket);
            }
            Command::ProducerSeq { ticket, room } => {
                let number = outbox.last_number(&room);
                context.tell(Event::ProducerSeq(ticket, number));
            }
            Command::Close => self.is_closing = true,
            Command::Abort => self.end(ClientError::Closed, now),
        }
    }

    /// Sends what a subscription needs sent; without a connection it will be seen to at the next greeting.
    pub(super) fn want(&mut self, want: Want) {
        match want {
            Want::Nothing => {}
            Want::Subscribe(ticket) => self.request(Request::Subscribe(ticket)),
            Want::UnsubscribeId(room_id) => {
                self.unsubscribe(RoomRef::Id(room_id), Leave::Room(room_id));
            }
            Want::UnsubscribeName(room, id) => {
                if let Some(line) = self.state.line()
                    && matches!(line.questions.get(&id), Some(Question::NoRoom(_)))
                {
                    line.questions.remove(&id);
                }
                self.unsubscribe(RoomRef::from(&room), Leave::Asked(id));
            }
        }
    }

    fn request(&mut self, request: Request) {
        if let Some(line) = self.state.line() {
            line.requests.push_back(request);
        }
    }

    fn unsubscribe(&mut self, room: RoomRef<'_>, leave: Leave) {
        let id = self.next_request();
        if let Some(line) = self.state.line() {
            Unsubscribe {
                room,
                code: antiphon_protocol::Code::NONE,
            }
            .encode(id, &mut self.unsent);
            line.questions.insert(id, Question::Unsubscribe(leave));
        }
    }

    /// Sends a signal, or says why not. Only a refusal is answered, so nothing is kept of it.
    fn signal(&mut self, ticket: Ticket, room: &RoomName, signal: &Signal) {
        let result = match self.state {
            State::Open(_) if self.unsent().len() < UNSENT_BYTES => {
                let id = RequestId(self.next_request().0 | SIGNAL_ID);
                let signal = protocol::Signal {
                    room: room.into(),
                    name: &signal.name,
                    key: &signal.key,
                    value: &signal.value,
                };
                signal.encode(id, &mut self.unsent);
                Ok(())
            }
            State::Open(_) => Err(ClientError::Backpressure),
            _ => Err(ClientError::Disconnected),
        };
        self.tell(Event::Done(ticket, result));
    }

    /// A check is asked again for as long as another one is under way, so what nobody waits for must go.
    fn forget_check(&mut self, ticket: Ticket) {
        if let Some(line) = self.state.line() {
            line.questions
                .retain(|_, question| *question != Question::Check(ticket));
        }
    }

    fn check(&mut self, ticket: Ticket) {
        match &self.state {
            State::Open(open) if open.tally.is_some() => self.ping(Question::Check(ticket)),
            State::Open(_) => self.tell(Event::Checked(ticket, Err(ClientError::NotServed))),
            _ => self.tell(Event::Checked(ticket, Err(ClientError::Disconnected))),
        }
    }

    /// Sends a PING whose answer is for `question`.
    pub(super) fn ping(&mut self, question: Question) {
        let id = self.next_request();
        if let State::Open(open) = &mut self.state {
            Ping { nonce: id.0 }.encode(id, &mut self.unsent);
            open.line.questions.insert(id, question);
        }
    }
}
