//! One connection to JetStream: requests over pub/sub, whose answers come to an inbox of the connection.
//!
//! Deliveries come under the subject of the message, and control under that of the consumer, which must be subscribed to by its full
//! name: a consumer does not see a reader behind a wildcard. The last part of the inbox tells what an answer is to:
//!
//! | part | of |
//! |---|---|
//! | a number | the ack of the publish with this request |
//! | `s` | a consumer that was created |
//! | `l` and a number | the newest message of a room, asked for by a history request |
//! | `h` and a number | a message of that history request |

use std::io::Write;

use super::jetstream::STREAM;
use super::text::{self, Message, Operation};
use crate::error::{Unsupported, WireError};
use crate::target::{Ack, Event, Room, Since, Wire};

/// The end of a batch.
const END_OF_BATCH: u32 = 204;
/// Flow control and heartbeats.
const CONTROL: u32 = 100;
/// A field that no answer has but an error.
const ERROR: &[u8] = b"\"error\":";

/// One connection.
#[derive(Clone, Debug)]
pub struct JetStreamWire {
    /// `_INBOX.NUMBER.`
    inbox: String,
    is_ready: bool,
    /// Its consumers have a subject that is subscribed to.
    is_consuming: bool,
    /// History requests whose newest message is not known yet: request, limit, subject.
    histories: Vec<(u64, u32, String)>,
}

impl JetStreamWire {
    pub(super) fn new(number: u32) -> Self {
        Self {
            inbox: format!("_INBOX.{number}."),
            is_ready: false,
            is_consuming: false,
            histories: Vec::new(),
        }
    }

    /// Publishes `payload` to `subject`; the answer comes to `part` of the inbox.
    #[inline]
    pub(super) fn ask(&self, subject: &[&[u8]], part: &str, payload: &[u8], out: &mut Vec<u8>) {
        let reply: [&[u8]; 2] = [self.inbox.as_bytes(), part.as_bytes()];
        text::publish(subject, &reply, payload, out);
    }

    fn on_message(
        &mut self,
        message: Message<'_>,
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let part = message.subject.strip_prefix(self.inbox.as_bytes());
        let part = part.and_then(|part| std::str::from_utf8(part).ok());
        match part {
            Some("s") if !is_error(message) => sink(Event::Subscribed),
            Some(part) => match part.parse() {
                Ok(request) if !is_error(message) => sink(Event::Acked { request }),
                Ok(_) => sink(Event::Refused),
                Err(_) => self.on_history(part, message, out, sink),
            },
            None => on_delivery(message, out, sink),
        }
    }

    fn on_history(
        &mut self,
        part: &str,
        message: Message<'_>,
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let (kind, digits) = part.split_at_checked(1).unwrap_or_default();
        let Ok(request) = digits.parse() else {
            return sink(Event::Refused);
        };
        match (kind, text::status(message.headers)) {
            ("l", 0) => self.on_newest(request, message, out, sink),
            ("h", 0) => sink(Event::HistoryItem {
                body: message.payload,
            }),
            ("h", END_OF_BATCH) => sink(Event::History { request }),
            _ => sink(Event::Refused),
        }
    }

    /// The newest message of a room says where the last ones begin, if the room has the stream for itself.
    fn on_newest(
        &mut self,
        request: u64,
        message: Message<'_>,
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) {
        let asked = self
            .histories
            .iter()
            .position(|(asked, ..)| *asked == request);
        let newest = text::header(message.headers, "Nats-Sequence");
        let newest = newest.and_then(|digits| digits.parse::<u64>().ok());
        let (Some(at), Some(newest)) = (asked, newest) else {
            return sink(Event::Refused);
        };
        let (_, limit, subject) = self.histories.swap_remove(at);
        let first = (newest + 1).saturating_sub(limit.into()).max(1);
        let payload =
            format!("{{\"seq\":{first},\"batch\":{limit},\"next_by_subj\":\"{subject}\"}}");
        self.direct_get(&format!("h{request}"), &payload, out);
    }

    fn direct_get(&self, part: &str, payload: &str, out: &mut Vec<u8>) {
        let subject: [&[u8]; 2] = [b"$JS.API.DIRECT.GET.", STREAM.as_bytes()];
        self.ask(&subject, part, payload.as_bytes(), out);
    }
}

/// A message, or a word about the flow, which wants to be answered so that more comes.
#[inline]
fn on_delivery(message: Message<'_>, out: &mut Vec<u8>, sink: &mut impl FnMut(Event<'_>)) {
    if message.headers.is_empty() || text::status(message.headers) != CONTROL {
        return sink(Event::Delivered {
            body: message.payload,
        });
    }
    let stalled = text::header(message.headers, "Nats-Consumer-Stalled");
    let answer = stalled.map_or(message.reply, str::as_bytes);
    if !answer.is_empty() {
        text::publish(&[answer], &[], b"", out);
    }
}

/// Answers are JSON, or have no payload and a status.
fn is_error(message: Message<'_>) -> bool {
    let mut windows = message.payload.windows(ERROR.len());
    text::status(message.headers) != 0 || windows.any(|window| window == ERROR)
}

impl Wire for JetStreamWire {
    fn open(&mut self, out: &mut Vec<u8>) {
        text::connect(true, out);
        write!(out, "SUB {}* 1\r\n", self.inbox).expect("a Vec takes all bytes");
    }

    /// An ordered consumer: pushed, without acks, with flow control.
    fn subscribe(
        &mut self,
        room: &Room,
        since: Since,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        let policy = match since {
            Since::Now => "new",
            Since::Beginning => "all",
        };
        let number = self.inbox.trim_start_matches("_INBOX.");
        let consumer = format!("_DELIVER.{number}d");
        if !self.is_consuming {
            self.is_consuming = true;
            write!(out, "SUB {consumer} 2\r\n").expect("a Vec takes all bytes");
        }
        let name = &room.name;
        let payload = format!(
            "{{\"stream_name\":\"{STREAM}\",\"config\":{{\"deliver_subject\":\"{consumer}\",\
             \"deliver_policy\":\"{policy}\",\"ack_policy\":\"none\",\"max_deliver\":1,\
             \"filter_subject\":\"room.{name}\",\"replay_policy\":\"instant\",\"flow_control\":true,\
             \"idle_heartbeat\":5000000000,\"mem_storage\":true,\"num_replicas\":1}}}}"
        );
        let subject: [&[u8]; 2] = [b"$JS.API.CONSUMER.CREATE.", STREAM.as_bytes()];
        self.ask(&subject, "s", payload.as_bytes(), out);
        Ok(())
    }

    fn publish(&mut self, room: &Room, request: u64, ack: Ack, body: &[u8], out: &mut Vec<u8>) {
        let subject: [&[u8]; 2] = [b"room.", room.name.as_bytes()];
        match ack {
            Ack::Wanted => self.ask(&subject, &request.to_string(), body, out),
            Ack::Unwanted => text::publish(&subject, &[], body, out),
        }
    }

    fn history(
        &mut self,
        room: &Room,
        limit: u32,
        request: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), Unsupported> {
        let subject = format!("room.{}", room.name);
        let payload = format!("{{\"last_by_subj\":\"{subject}\"}}");
        self.direct_get(&format!("l{request}"), &payload, out);
        self.histories.push((request, limit, subject));
        Ok(())
    }

    fn keepalive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"PING\r\n");
    }

    #[inline]
    fn parse(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        sink: &mut impl FnMut(Event<'_>),
    ) -> Result<usize, WireError> {
        let mut used = 0;
        while let Some((operation, length)) = text::next(&input[used..])? {
            used += length;
            match operation {
                Operation::Message(message) => self.on_message(message, out, sink),
                Operation::Ping => out.extend_from_slice(b"PONG\r\n"),
                Operation::Pong if !self.is_ready => {
                    self.is_ready = true;
                    sink(Event::Ready);
                }
                Operation::Pong | Operation::Told => {}
                Operation::Error(text) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Err(WireError::Closed(text));
                }
            }
        }
        Ok(used)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::transcript::{heard, said};
    use super::*;

    fn room() -> Room {
        Room {
            number: 3,
            name: "r0-3".to_owned(),
        }
    }

    #[test]
    fn a_publish_names_where_its_ack_goes() {
        let mut wire = JetStreamWire::new(5);
        let words = said(|out| wire.publish(&room(), 12, Ack::Wanted, b"hi", out));
        assert_eq!(words, "PUB room.r0-3 _INBOX.5.12 2\r\nhi\r\n");
        let words = said(|out| wire.publish(&room(), 13, Ack::Unwanted, b"hi", out));
        assert_eq!(words, "PUB room.r0-3 2\r\nhi\r\n");
        let opened = said(|out| wire.open(out));
        assert!(opened.ends_with("PING\r\nSUB _INBOX.5.* 1\r\n"), "{opened}");
    }

    /// A message as the server sends it; with headers it is an HMSG.
    fn message(part: &str, reply: &str, headers: &str, payload: &str) -> String {
        // What has a dot is a whole subject.
        let subject = if part.contains('.') {
            part.to_owned()
        } else {
            format!("_INBOX.5.{part}")
        };
        let all = headers.len() + payload.len();
        let reply = if reply.is_empty() {
            String::new()
        } else {
            format!("{reply} ")
        };
        if headers.is_empty() {
            return format!("MSG {subject} 1 {reply}{all}\r\n{payload}\r\n");
        }
        let length = headers.len();
        format!("HMSG {subject} 1 {reply}{length} {all}\r\n{headers}{payload}\r\n")
    }

    #[test]
    fn acks_are_told_by_the_inbox_and_errors_by_their_field() {
        let transcript = [
            "INFO {}\r\nPONG\r\n",
            &message("12", "", "", "{\"stream\":\"ROOMS\",\"seq\":1}"),
            &message("13", "", "", "{\"error\":{\"code\":503}}"),
            "PONG\r\n",
            &message("14", "", "NATS/1.0 503\r\n\r\n", ""),
        ];
        let expected = ["Ready", "Acked 12", "Refused", "Refused"];
        let told = heard(|| JetStreamWire::new(5), transcript.concat().as_bytes());
        assert_eq!(told, expected);
    }

    #[test]
    fn a_consumer_is_created_delivers_and_has_its_flow_control_answered() -> Result<(), WireError> {
        let control = "NATS/1.0 100 FlowControl Request\r\n\r\n";
        let stalled = "NATS/1.0 100 Idle Heartbeat\r\nNats-Consumer-Stalled: $JS.FC.2\r\n\r\n";
        let transcript = [
            message("s", "", "", "{\"name\":\"x\"}"),
            message("room.r0-3", "$JS.ACK.1", "", "hi"),
            message("_DELIVER.5.d", "$JS.FC.1", control, ""),
            message("_DELIVER.5.d", "", stalled, ""),
        ];
        let transcript = transcript.concat();
        let told = heard(|| JetStreamWire::new(5), transcript.as_bytes());
        assert_eq!(told, ["Subscribed", "Delivered hi"]);
        let mut out = Vec::new();
        JetStreamWire::new(5).parse(transcript.as_bytes(), &mut out, &mut |_| {})?;
        let answers = "PUB $JS.FC.1 0\r\n\r\nPUB $JS.FC.2 0\r\n\r\n";
        assert_eq!(String::from_utf8_lossy(&out), answers);
        Ok(())
    }

    #[test]
    fn history_asks_for_the_newest_and_then_for_the_batch_before_it() -> Result<(), WireError> {
        let mut wire = JetStreamWire::new(5);
        let words = said(|out| assert_eq!(wire.history(&room(), 10, 7, out), Ok(())));
        let asked = "{\"last_by_subj\":\"room.r0-3\"}";
        let get = |part: &str, asked: &str| {
            let length = asked.len();
            format!("PUB $JS.API.DIRECT.GET.ROOMS _INBOX.5.{part} {length}\r\n{asked}\r\n")
        };
        assert_eq!(words, get("l7", asked));
        let mut out = Vec::new();
        let headers = "NATS/1.0\r\nNats-Sequence: 100\r\n\r\n";
        let newest = message("l7", "", headers, "hi");
        wire.parse(newest.as_bytes(), &mut out, &mut |_| {})?;
        let batch = "{\"seq\":91,\"batch\":10,\"next_by_subj\":\"room.r0-3\"}";
        assert_eq!(String::from_utf8_lossy(&out), get("h7", batch));
        let transcript = [
            message("h7", "", headers, "hi"),
            message("h7", "", "NATS/1.0 204 EOB\r\n\r\n", ""),
        ];
        let told = heard(|| JetStreamWire::new(5), transcript.concat().as_bytes());
        assert_eq!(told, ["HistoryItem hi", "History 7"]);
        Ok(())
    }
}
