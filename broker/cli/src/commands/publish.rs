//! `antiphon pub ROOM [TEXT...]`: one message, or each line of stdin as one; prints each one's seq, in order.

use std::collections::VecDeque;
use std::io::{self, BufRead, IsTerminal, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use antiphon_client::{Client, Message, Pending, Receipt};
use clap::Args;
use serde::Serialize;

use crate::connection::Target;
use crate::failure::Failure;
use crate::interrupt::{Interrupt, NOTICE};
use crate::limits::{LAST_ACKS, LINE_BYTES_MAX, PUBLISH_DEADLINE, PUBLISH_WINDOW, STDIN_LINES};
use crate::output::{Output, note};

#[derive(Args, Debug)]
pub(crate) struct Publish {
    /// The room; its first message makes it.
    room: String,
    /// One message, words joined by spaces; none: each line of stdin is a message.
    text: Vec<String>,
    /// Who says it.
    #[arg(
        long = "as",
        value_name = "USER",
        env = "ANTIPHON_USER",
        default_value = "anonymous"
    )]
    user: String,
}

#[derive(Serialize)]
struct Published<'a> {
    room: &'a str,
    seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    duplicate: bool,
}

impl Publish {
    pub(crate) fn run(self, target: &Target, output: &mut Output) -> Result<(), Failure> {
        let client = target.connect(&self.user)?;
        let interrupt = Interrupt::install()?;
        let mut run = Run {
            room: &self.room,
            target,
            client,
            interrupt,
            flying: VecDeque::new(),
        };
        if !self.text.is_empty() {
            run.send(Message::from(self.text.join(" ")))?;
            return run.settle_all(output);
        }
        if io::stdin().is_terminal() {
            note("each line becomes a message; Ctrl-D ends");
        }
        let sent = run.send_lines(output);
        // However the input ended: what was sent is waited for.
        run.settle_all(output).and(sent)
    }
}

/// Messages on their way.
struct Run<'a> {
    room: &'a str,
    target: &'a Target,
    client: Client,
    interrupt: Interrupt,
    /// In the order of their publishing. flying.len() <= PUBLISH_WINDOW
    flying: VecDeque<Pending>,
}

impl Run<'_> {
    /// Publishes lines of stdin until it ends, or until Ctrl-C.
    fn send_lines(&mut self, output: &mut Output) -> Result<(), Failure> {
        let lines = lines_of_stdin();
        while !self.interrupt.is_raised() {
            // While something flies, a short lull in the input is the moment to print what has become of it.
            let patience = if self.flying.is_empty() {
                NOTICE
            } else {
                NOTICE / 100
            };
            match lines.recv_timeout(patience) {
                Ok(line) => {
                    self.send(Message::from(line?))?;
                    if self.flying.len() >= PUBLISH_WINDOW {
                        self.settle_one(output)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.settle_all(output)?;
                    output.flush()?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
        Ok(())
    }

    fn send(&mut self, message: Message) -> Result<(), Failure> {
        let pending = self.client.publish_pipelined(self.room, message);
        self.flying
            .push_back(pending.map_err(|error| self.target.publish_failure(&error))?);
        Ok(())
    }

    fn settle_all(&mut self, output: &mut Output) -> Result<(), Failure> {
        while !self.flying.is_empty() {
            self.settle_one(output)?;
        }
        output.flush()?;
        self.interrupt.check()
    }

    /// Waits for the oldest receipt and prints it. After Ctrl-C only a little longer.
    fn settle_one(&mut self, output: &mut Output) -> Result<(), Failure> {
        let Some(mut pending) = self.flying.pop_front() else {
            return Ok(());
        };
        let began = Instant::now();
        let receipt = loop {
            // As long as it takes, but looking for Ctrl-C now and then.
            if let Some(receipt) = pending.wait_timeout(NOTICE) {
                break receipt;
            }
            if self.interrupt.is_raised() && began.elapsed() > LAST_ACKS {
                let unacked = self.flying.len() + 1;
                note(format_args!(
                    "{unacked} messages are unacked: look with `antiphon history` whether they arrived"
                ));
                return Err(Failure::interrupted());
            }
            if began.elapsed() > PUBLISH_DEADLINE {
                break pending.wait();
            }
        };
        let receipt = receipt.map_err(|error| self.target.publish_failure(&error))?;
        print(output, self.room, &receipt)
    }
}

fn print(output: &mut Output, room: &str, receipt: &Receipt) -> Result<(), Failure> {
    if output.is_json() {
        let position = receipt.position().map(|position| position.to_string());
        return output.object(&Published {
            room,
            seq: receipt.seq.0,
            position,
            duplicate: receipt.duplicate,
        });
    }
    output.line(receipt.seq)
}

/// Reads stdin on a thread of its own, because a read cannot be ended by Ctrl-C; the thread goes with the process.
pub(crate) fn lines_of_stdin() -> Receiver<Result<Vec<u8>, Failure>> {
    let (tell, lines) = mpsc::sync_channel(STDIN_LINES);
    thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        while let Some(line) = next_line(&mut stdin).transpose() {
            let is_last = line.is_err();
            if tell.send(line).is_err() || is_last {
                break;
            }
        }
    });
    lines
}

fn next_line(stdin: &mut impl BufRead) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = stdin
        .by_ref()
        .take(LINE_BYTES_MAX as u64)
        .read_until(b'\n', &mut line);
    let read = read.map_err(|error| {
        Failure::failed(format_args!("cannot read stdin: {error}"))
            .next("the lines before it are published; look with `antiphon history ROOM`")
    })?;
    if read == 0 {
        return Ok(None);
    }
    if read == LINE_BYTES_MAX && !line.ends_with(b"\n") {
        // Not a wrong usage, of which "nothing was done" would be true: the lines before it are published.
        return Err(Failure::failed(format_args!(
            "a line of stdin is longer than {LINE_BYTES_MAX} bytes; the lines before it are published"
        ))
        .next("send it in smaller pieces"));
    }
    if line.ends_with(b"\n") {
        line.pop();
    }
    if line.ends_with(b"\r") {
        line.pop();
    }
    Ok(Some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_lose_their_ends_and_nothing_else() {
        let mut input = &b"one\r\n\n two \r\xff\nlast"[..];
        let mut lines = Vec::new();
        while let Some(line) = next_line(&mut input).unwrap() {
            lines.push(line);
        }
        assert_eq!(lines, [&b"one"[..], b"", b" two \r\xff", b"last"]);
    }
}
