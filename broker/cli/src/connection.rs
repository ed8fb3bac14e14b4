//! Which broker to talk to, and what its refusals mean for a command.

use std::io;

use antiphon_client::{
    Client, ClientError, ClientOptions, Code, PublishError, Rejection, SubscribeError, Violation,
};

use crate::failure::{Exit, Failure};
use crate::limits::ANSWER_DEADLINE;

const CLIENT_NAME: &str = concat!("antiphon-cli/", env!("CARGO_PKG_VERSION"));

/// What to try when the broker refused and no better advice is known.
const REFUSED_NEXT: &str = "the broker is alive and means it; its log may say more";

/// What to try when a word of the command line cannot be used.
const MISUSE_NEXT: &str = "see `antiphon help COMMAND` for what may be said";

/// What to do about a room whose log is damaged.
pub(crate) const DAMAGED_NEXT: &str = "the room's log is damaged on the broker's disk: it is served up to the damage and takes no messages; \
     stop the broker and look with `antiphon log verify DIR`";

pub(crate) const DIVERGED_NEXT: &str =
    "this is another history than the one you read before: begin again without --after";

const ADDRESS_NEXT: &str = "name the broker as HOST:PORT, such as --addr 127.0.0.1:7411";

/// The broker named by `--addr`.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    addr: String,
}

impl Target {
    pub(crate) fn new(addr: String) -> Self {
        Self { addr }
    }

    /// Options for a client that acts as `user`.
    pub(crate) fn options(&self, user: &str) -> ClientOptions {
        ClientOptions::new(self.addr.clone())
            .user(user)
            .client_name(CLIENT_NAME)
            .request_deadline(ANSWER_DEADLINE)
    }

    /// Connects once; a broker that is not there is told at once.
    pub(crate) fn connect(&self, user: &str) -> Result<Client, Failure> {
        Client::connect(self.options(user)).map_err(|error| self.failure(&error))
    }

    /// What a failed operation means for the command.
    pub(crate) fn failure(&self, error: &ClientError) -> Failure {
        let addr = &self.addr;
        match error {
            ClientError::Misuse(misuse) => Failure::usage(misuse).next(MISUSE_NEXT),
            ClientError::Connect { kind, .. } if *kind == io::ErrorKind::InvalidInput => {
                Failure::usage(format_args!("`{addr}` is no address")).next(ADDRESS_NEXT)
            }
            // A name that does not resolve has no kind of its own.
            ClientError::Connect { kind, .. } if !has_a_name(*kind) => Failure::new(
                Exit::Unreachable,
                format_args!("no broker answers at {addr}: is the host's name right?"),
            )
            .next(ADDRESS_NEXT),
            ClientError::Connect { kind, .. } => Failure::new(
                Exit::Unreachable,
                format_args!("no broker answers at {addr}: {kind}"),
            )
            .next("start one with `antiphon serve`, or name another with --addr HOST:PORT"),
            ClientError::Timeout | ClientError::Disconnected | ClientError::Closed => Failure::new(
                Exit::Unreachable,
                format_args!("the broker at {addr} does not answer any more: {error}"),
            )
            .next("see whether it still runs with `antiphon ping`"),
            // A broker that is stopped or drowned still has a listening socket.
            ClientError::Protocol(Violation::NoWelcome) => Failure::new(
                Exit::Unreachable,
                format_args!("what listens at {addr} did not greet in time"),
            )
            .next("see whether the broker hangs or is stopped, and whether it is the broker that has this port: `ss -ltnp`"),
            ClientError::Protocol(
                 Violation::BrokenStream | Violation::BadFrame(_),
            ) => Failure::new(
                Exit::Unreachable,
                format_args!("what answers at {addr} is no Antiphon broker: {error}"),
            )
            .next("check the port: a broker listens on 7411 unless told otherwise"),
            ClientError::Diverged { .. } => Failure::new(Exit::Refused, error).next(DIVERGED_NEXT),
            ClientError::Rejected(rejection) => rejected(rejection),
            ClientError::Goaway { code, text, .. } => Failure::new(
                Exit::Refused,
                format_args!("the broker ended the connection: {}", told(*code, text)),
            )
            .next(REFUSED_NEXT),
            ClientError::ProducerRefused | ClientError::Ended(_) => {
                Failure::new(Exit::Refused, error).next(REFUSED_NEXT)
            }
            ClientError::HistoryTooLarge { .. } => {
                Failure::failed(error).next("ask for fewer records")
            }
            _ => Failure::failed(error).next(REFUSED_NEXT),
        }
    }

    /// What a failed publish means for the command.
    pub(crate) fn publish_failure(&self, error: &PublishError) -> Failure {
        match error {
            PublishError::Misuse(misuse) => Failure::usage(misuse).next(MISUSE_NEXT),
            PublishError::TooLarge { .. } => {
                Failure::new(Exit::Refused, error).next("send it in smaller pieces")
            }
            PublishError::Closed(reason) => self.failure(reason),
            PublishError::Backpressure | PublishError::Timeout => {
                Failure::new(Exit::Unreachable, format_args!("not published: {error}")).next(
                    "see whether the broker still runs with `antiphon ping`, then publish again",
                )
            }
            PublishError::Unknown(_) => Failure::new(Exit::Unreachable, error).next(
                "look with `antiphon history ROOM` whether it arrived before you publish it again",
            ),
            PublishError::Rejected(rejection) => rejected(rejection),
            _ => Failure::new(Exit::Refused, error).next(REFUSED_NEXT),
        }
    }

    /// What the end of a subscription means for the command.
    pub(crate) fn subscribe_failure(&self, error: &SubscribeError) -> Failure {
        match error {
            SubscribeError::Closed(reason) => self.failure(reason),
            SubscribeError::Diverged { .. } => {
                Failure::new(Exit::Refused, error).next(DIVERGED_NEXT)
            }
            SubscribeError::Protocol(_) => Failure::failed(error).next(
                "this command and the broker disagree: see whether they are of one version, `antiphon --version`",
            ),
            SubscribeError::Rejected(rejection) => rejected(rejection),
            SubscribeError::Ended(Code::DAMAGED) => {
                Failure::new(Exit::Damage, error).next(DAMAGED_NEXT)
            }
            _ => Failure::new(Exit::Refused, error).next(REFUSED_NEXT),
        }
    }
}

/// What a refused request means.
fn rejected(rejection: &Rejection) -> Failure {
    let told = told(rejection.code, &rejection.text);
    let refused = |exit| Failure::new(exit, format_args!("the broker refused: {told}"));
    match rejection.code {
        Code::NOT_FOUND => Failure::new(Exit::Refused, "the broker knows no such room")
            .next("a room comes into being with its first message: antiphon pub ROOM TEXT"),
        Code::DAMAGED => refused(Exit::Damage).next(DAMAGED_NEXT),
        Code::LIMIT => refused(Exit::Refused).next(format_args!(
            "the broker takes at most {}: make do with what is there, or ask for less",
            rejection.hint
        )),
        _ => refused(Exit::Refused).next(REFUSED_NEXT),
    }
}

/// Whether the kind says what happened; the one for all the rest is called "uncategorized error", which helps nobody.
fn has_a_name(kind: io::ErrorKind) -> bool {
    kind != io::ErrorKind::Other && kind.to_string() != "uncategorized error"
}

/// A code, and the text that came with it, if any did.
fn told(code: Code, text: &str) -> String {
    if text.is_empty() {
        code.to_string()
    } else {
        format!("{code}, {text}")
    }
}
