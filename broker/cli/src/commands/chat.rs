//! `antiphon chat ROOM --as NAME`: a conversation, line by line.
//!
//! One loop: what the room brings is printed, what stdin brings is published, receipts are looked at in between. Everything of others is
//! escaped, wherever stdout leads: a conversation is for people, and a message must not steer their terminal.
//!
//! A terminal gives lines, not keys, so `/typing` says that one is at it; what is said next, or `/quit`, says that it is over. The
//! cursor "read" goes along with what was printed, so that the next visit knows what is unread.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use antiphon_client::{
    Client, ClientError, Delivery, Follow, Message, Pending, Seq, Signal, SignalHeard, Start,
    Subscription,
};
use clap::Args;

use crate::commands::cursor::{Following, unread_on_entry};
use crate::commands::publish::lines_of_stdin;
use crate::connection::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::limits::{LAST_ACKS, PUBLISH_WINDOW};
use crate::output::{Output, escaped, note};
use crate::record_line::{label, print_gap, print_record, sent_at};

/// How long the room is waited for before stdin is looked at again: less than anybody notices.
const LOOK: Duration = Duration::from_millis(20);

/// The cursor that goes along.
const READ: &str = "read";

/// The signal of who is at it.
const TYPING: &str = "typing";

#[derive(Args, Debug)]
pub(crate) struct Chat {
    /// The room; its first message makes it.
    room: String,
    /// Who speaks.
    #[arg(long = "as", value_name = "USER", env = "ANTIPHON_USER")]
    user: String,
    /// Begin with the last N records.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u64,
}

/// What a typed line asks for.
#[derive(Debug, Eq, PartialEq)]
enum Said<'a> {
    Nothing,
    Quit,
    Typing,
    /// Take back what I said last.
    Undo,
    /// It should have been this.
    Edit(&'a [u8]),
    Unknown(&'a [u8]),
    Text(&'a [u8]),
}

impl Chat {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect(&self.user)?;
        let interrupt = Interrupt::install()?;
        let follow = Follow::from(Start::Last(self.last)).signals();
        let subscription = client.subscribe(&self.room, follow);
        let subscription = subscription.map_err(|error| target.failure(&error))?;
        let unread = unread_on_entry(&client, &subscription, &self.room, READ);
        let unread = unread.map_err(|error| target.failure(&error))?;
        if unread > 0 {
            note(format_args!("{unread} unread"));
        }
        if io::stdin().is_terminal() {
            note(
                "each line is said in the room; /undo takes back what you said last, /edit TEXT says it anew; /typing says that you are at it; /quit or Ctrl-D ends, //text says /text",
            );
        }
        let mut talk = Talk {
            room: &self.room,
            target,
            client,
            subscription,
            flying: VecDeque::new(),
            last_said: Seq(0),
            last_message: None,
            is_typing: false,
            read: Following::new(&self.room, READ),
        };
        talk.go_on(output, &lines_of_stdin(), &interrupt)?;
        talk.end(output)
    }
}

/// What was said and is not acked yet.
struct Flying {
    pending: Pending,
    /// It can be edited and taken back.
    is_message: bool,
}

/// A conversation under way.
struct Talk<'a> {
    room: &'a str,
    target: &'a Target,
    client: Client,
    subscription: Subscription,
    /// What was said and is not acked yet, in order. flying.len() <= PUBLISH_WINDOW
    flying: VecDeque<Flying>,
    /// The newest of my records that is acked.
    last_said: Seq,
    /// The newest of my messages that is acked and not taken back.
    last_message: Option<Seq>,
    /// The others were told that something is being typed.
    is_typing: bool,
    read: Following<'a>,
}

impl Talk<'_> {
    /// Listens and speaks until stdin or the user ends it.
    fn go_on(
        &mut self,
        output: &mut Output,
        lines: &Receiver<Result<Vec<u8>, Failure>>,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        while !interrupt.is_raised() {
            self.listen(output)?;
            self.settle(Duration::ZERO)?;
            if self.flying.len() >= PUBLISH_WINDOW {
                continue;
            }
            let line = match lines.try_recv() {
                Ok(line) => line?,
                Err(TryRecvError::Empty) => continue,
                Err(TryRecvError::Disconnected) => return Ok(()),
            };
            match said(&line) {
                Said::Nothing => {}
                Said::Quit => return Ok(()),
                Said::Typing => self.tell_typing(true),
                Said::Undo => self.mend(|target| Message::redact(target, ""), true)?,
                Said::Edit(text) => self.mend(|target| Message::edit(target, text), false)?,
                Said::Unknown(word) => note(format_args!(
                    "no such command: {}; /undo takes back what you said last, /edit TEXT says it anew, /typing says that you are at it, /quit ends, //text says /text",
                    escaped(String::from_utf8_lossy(word))
                )),
                Said::Text(text) => self.say(text)?,
            }
        }
        Ok(())
    }

    /// Prints what the room has brought.
    fn listen(&mut self, output: &mut Output) -> Result<(), Failure> {
        let mut patience = LOOK;
        loop {
            let delivery = self.subscription.next_timeout(patience);
            match delivery.map_err(|error| self.target.subscribe_failure(&error))? {
                Some(Delivery::Record(record)) if output.is_json() => {
                    print_record(output, self.room, &record)?;
                    self.read.on_printed(&record);
                }
                Some(Delivery::Record(record)) => {
                    self.read.on_printed(&record);
                    let at = sent_at(&record).to_rfc3339().unwrap_or_else(|| "?".into());
                    let (sender, text) = (record.sender_text(), record.text());
                    let (sender, text) = (escaped(sender), escaped(text));
                    let label = label(&record);
                    output.line(format_args!("{at}  {sender}{label}: {text}"))?;
                }
                Some(Delivery::Gap(gap)) => print_gap(output, self.room, &gap)?,
                Some(Delivery::Signal(heard)) => self.show_typing(&heard),
                Some(_) => {}
                None => {
                    output.flush()?;
                    output.check()?;
                    let told = self.read.tell(&self.client);
                    return told.or_else(|error| self.no_cursor(&error));
                }
            }
            patience = Duration::ZERO;
        }
    }

    /// Others at their keys are news for the eye, not data.
    fn show_typing(&self, heard: &SignalHeard) {
        let is_own = heard.sender == self.client.user() && heard.device == self.client.device();
        if heard.name == TYPING && !heard.value.is_empty() && !is_own {
            let sender = escaped(heard.sender.as_str().into());
            note(format_args!("-- {sender} is typing --"));
        }
    }

    /// Tells the room whether one is at it. It matters now or never, so a signal that cannot be sent is no failure.
    fn tell_typing(&mut self, is_typing: bool) {
        if std::mem::replace(&mut self.is_typing, is_typing) != is_typing {
            let value = if is_typing { "open" } else { "" };
            let signal = Signal::new(TYPING).key("chat").value(value);
            let _ = self.client.signal(self.room, signal);
        }
    }

    /// A conversation with a broker that keeps no (more) cursors is one all the same.
    fn no_cursor(&self, error: &ClientError) -> Result<(), Failure> {
        match error {
            ClientError::Rejected(_) => Ok(()),
            error => Err(self.target.failure(error)),
        }
    }

    fn say(&mut self, text: &[u8]) -> Result<(), Failure> {
        self.tell_typing(false);
        let pending = self
            .client
            .publish_pipelined(self.room, Message::new(text))
            .map_err(|error| self.target.publish_failure(&error))?;
        self.flying.push_back(Flying {
            pending,
            is_message: true,
        });
        Ok(())
    }

    /// Says something about what I said last: it has to have a seq, so its receipt is waited for.
    fn mend(
        &mut self,
        about: impl FnOnce(Seq) -> Message,
        takes_back: bool,
    ) -> Result<(), Failure> {
        let began = Instant::now();
        while !self.flying.is_empty() && began.elapsed() < LAST_ACKS {
            self.settle(LOOK)?;
        }
        let Some(target) = self.last_message.filter(|_| self.flying.is_empty()) else {
            note("there is nothing of yours here to take back or to edit");
            return Ok(());
        };
        if takes_back {
            self.last_message = None;
        }
        let pending = self
            .client
            .publish_pipelined(self.room, about(target))
            .map_err(|error| self.target.publish_failure(&error))?;
        self.flying.push_back(Flying {
            pending,
            is_message: false,
        });
        Ok(())
    }

    /// Takes receipts, in order, waiting at most so long for each.
    fn settle(&mut self, patience: Duration) -> Result<(), Failure> {
        while let Some(flying) = self.flying.front_mut() {
            let Some(receipt) = flying.pending.wait_timeout(patience) else {
                return Ok(());
            };
            let is_message = flying.is_message;
            self.flying.pop_front();
            let receipt = receipt.map_err(|error| self.target.publish_failure(&error))?;
            self.last_said = self.last_said.max(receipt.seq);
            if is_message {
                self.last_message = Some(receipt.seq);
            }
        }
        Ok(())
    }

    /// Nobody leaves before what he said is durable, and shown.
    fn end(&mut self, output: &mut Output) -> Result<(), Failure> {
        self.tell_typing(false);
        let began = Instant::now();
        while began.elapsed() < LAST_ACKS {
            self.settle(LOOK)?;
            self.listen(output)?;
            if self.flying.is_empty() && self.subscription.position().seq >= self.last_said {
                let settled = self.read.settle(&self.client);
                return settled.or_else(|error| self.no_cursor(&error));
            }
        }
        if !self.flying.is_empty() {
            let unacked = self.flying.len();
            note(format_args!(
                "{unacked} messages are unacked: look with `antiphon history` whether they arrived"
            ));
            return Err(Failure::interrupted());
        }
        Ok(())
    }
}

fn said(line: &[u8]) -> Said<'_> {
    match line {
        [] => Said::Nothing,
        b"/quit" => Said::Quit,
        b"/typing" => Said::Typing,
        b"/undo" => Said::Undo,
        [b'/', b'e', b'd', b'i', b't', b' ', text @ ..] => Said::Edit(text),
        [b'/', b'/', ..] => Said::Text(&line[1..]),
        [b'/', ..] => Said::Unknown(line),
        _ => Said::Text(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_begins_a_command_and_two_say_one() {
        assert_eq!(said(b""), Said::Nothing);
        assert_eq!(said(b"/quit"), Said::Quit);
        assert_eq!(said(b"/typing"), Said::Typing);
        assert_eq!(said(b"/undo"), Said::Undo);
        assert_eq!(said(b"/edit so it was"), Said::Edit(b"so it was"));
        assert_eq!(said(b"/edit"), Said::Unknown(b"/edit"));
        assert_eq!(said(b"/quit now"), Said::Unknown(b"/quit now"));
        assert_eq!(said(b"//quit"), Said::Text(b"/quit"));
        assert_eq!(said(b"a/b"), Said::Text(b"a/b"));
    }
}
