//! How a command ends: an exit code, what went wrong, and what to do next.
//!
//! Exit codes are stable; scripts rely on them. They are listed once, in [`Exit`], and shown by `antiphon --help`.

use std::fmt;
use std::io::{self, Write};

use serde_json::json;

use crate::output::escaped;

/// Why the process ends, as a number that never changes its meaning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exit {
    /// Done. Also: whoever read our output has seen enough and closed the pipe.
    Done = 0,
    /// The command could not do its work.
    Failed = 1,
    /// The command line or the configuration is wrong; nothing was done. Clap uses the same number.
    Usage = 2,
    /// No broker answered.
    Unreachable = 3,
    /// A broker answered and refused.
    Refused = 4,
    /// `log verify` or `export` found damage.
    Damage = 5,
    /// Ended by Ctrl-C: 128 + SIGINT, as shells count.
    Interrupted = 130,
}

impl Exit {
    /// The number that the operating system gets.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// A command's unhappy end.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    next: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, what: impl fmt::Display) -> Self {
        Self {
            exit,
            what: what.to_string(),
            next: None,
        }
    }

    pub(crate) fn failed(what: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, what)
    }

    pub(crate) fn usage(what: impl fmt::Display) -> Self {
        Self::new(Exit::Usage, what)
    }

    /// The user pressed Ctrl-C: nothing to explain.
    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "")
    }

    /// Nobody reads our output any more: end as if done, and say nothing.
    pub(crate) fn output_closed() -> Self {
        Self::new(Exit::Done, "")
    }

    /// Adds what the user can do about it.
    pub(crate) fn next(mut self, next: impl fmt::Display) -> Self {
        self.next = Some(next.to_string());
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Tells the user, on stderr. Silent ends (interrupted, closed pipe) say nothing.
    pub(crate) fn tell(&self, as_json: bool) {
        self.tell_as(self.exit.number(), as_json);
    }

    /// As [`Failure::tell`], of a process that ends with a number of its own.
    pub(crate) fn tell_as(&self, exit: u8, as_json: bool) {
        if self.what.is_empty() {
            return;
        }
        let mut stderr = io::stderr().lock();
        let told = if as_json {
            let line = json!({ "error": self.what, "next": self.next, "exit": exit });
            writeln!(stderr, "{line}")
        } else {
            writeln!(stderr, "{}", harmless(&self.to_string()))
        };
        // A closed stderr leaves nobody to tell.
        drop(told);
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(next) = &self.next {
            write!(f, "\n  next: {next}")?;
        }
        Ok(())
    }
}

/// Texts may hold what a broker or a file said: nothing of it may steer the terminal. Lines stay lines.
fn harmless(text: &str) -> String {
    text.split('\n')
        .map(|line| escaped(line.into()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_cannot_steer_the_terminal() {
        assert_eq!(
            harmless("line 1\n   ^ \u{1b}[2J"),
            "line 1\n   ^ \\u{1b}[2J"
        );
    }

    #[test]
    fn a_failure_says_what_happened_and_then_what_to_do() {
        let failure = Failure::new(Exit::Unreachable, "no broker at 127.0.0.1:7411")
            .next("start one: antiphon serve");
        assert_eq!(
            failure.to_string(),
            "error: no broker at 127.0.0.1:7411\n  next: start one: antiphon serve"
        );
        assert_eq!(failure.exit().number(), 3);
    }
}
