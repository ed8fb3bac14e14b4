//! Data for stdout, notes for stderr.
//!
//! stdout carries nothing but what was asked for, so that it can be piped. When it is a terminal, control characters in names and
//! bodies are shown as escapes: a chat message must not move the cursor or retitle the window. A pipe gets the bytes as they are.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use crate::failure::Failure;

/// The standard output of one command.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    /// `--json`: one JSON object a line instead of text for people.
    as_json: bool,
    /// stdout is a terminal: escape what could steer it.
    is_terminal: bool,
}

impl Output {
    pub(crate) fn new(as_json: bool) -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self {
            out: BufWriter::new(stdout),
            as_json,
            is_terminal,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.as_json
    }

    /// Writes one line of text for people.
    pub(crate) fn line(&mut self, line: impl fmt::Display) -> Result<(), Failure> {
        writeln!(self.out, "{line}").map_err(written)
    }

    /// Writes one JSON object and a newline.
    pub(crate) fn object(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        if self.is_terminal {
            let line = serde_json::to_string(object).map_err(|error| written(error.into()))?;
            self.out
                .write_all(escaped_in_json(&line).as_bytes())
                .map_err(written)?;
        } else {
            serde_json::to_writer(&mut self.out, object).map_err(|error| written(error.into()))?;
        }
        self.out.write_all(b"\n").map_err(written)
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes).map_err(written)
    }

    /// Bytes from a name or a body, fit for where stdout leads.
    pub(crate) fn shown<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let text = String::from_utf8_lossy(bytes);
        if self.is_terminal {
            escaped(text)
        } else {
            text
        }
    }

    /// Hands everything written so far to the reader.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(written)
    }

    /// Ends the command if the reader of stdout has gone: who waits for something to print would not notice before it comes.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let stdout = io::stdout();
        // No event is asked for: that the other end is closed is told in any case.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let is_told = poll(&mut watched, Some(&Timespec::default())).is_ok();
        let gone = PollFlags::ERR | PollFlags::HUP;
        if is_told && watched[0].revents().intersects(gone) {
            return Err(Failure::output_closed());
        }
        Ok(())
    }
}

/// A reader that went away (`antiphon sub room | head -1`) is a quiet end; any other trouble is a failure.
fn written(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::output_closed();
    }
    Failure::failed(format_args!("cannot write to stdout: {error}"))
        .next("see where it leads: is that disk full (`df`)?")
}

/// Writes a line for people to stderr; a closed stderr is nobody's problem.
pub(crate) fn note(line: impl fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Replaces each control character by an escape that a terminal shows and does not obey.
pub(crate) fn escaped(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.chars().any(steers_a_terminal) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if steers_a_terminal(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// JSON escapes C0 only. What else steers a terminal can stand nowhere but in a string, and all of it has four hex digits.
fn escaped_in_json(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        if steers_a_terminal(c) {
            // Writing to a String cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// C0, DEL, C1, and the characters that reorder text, which make a line read as something that it is not.
fn steers_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_cannot_steer_it_and_means_the_same() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{1b}b\n";
        let line = escaped_in_json(&serde_json::to_string(text).unwrap());
        assert!(line.chars().all(|c| c.is_ascii_graphic()), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(
            escaped("red \u{1b}[31m\u{7}\r\n".into()),
            "red \\u{1b}[31m\\u{7}\\r\\n"
        );
        assert_eq!(
            escaped("\u{9b}2J \u{202e}gpj".into()),
            "\\u{9b}2J \\u{202e}gpj"
        );
    }

    #[test]
    fn plain_text_of_any_script_is_left_alone() {
        assert!(matches!(
            escaped("grüezi, 你好 \u{1f600}".into()),
            Cow::Borrowed("grüezi, 你好 \u{1f600}")
        ));
    }
}
