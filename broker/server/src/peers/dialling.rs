//! The peering that this node dials to one other node: what the cores say to it goes this way.
//!
//! ```text
//!  Resting ──time──▶ Greeting: PEER_HELLO ──PEER_WELCOME──▶ Up
//!     ▲──────────── refused, lost, silent ───────┴───────────┘
//! ```

use std::net::SocketAddr;

use antiphon_core::Now;
use antiphon_log::GroupId;
use antiphon_protocol::limits::{
    HANDSHAKE_BYTES_MAX, PEER_FRAME_BYTES_MAX, PEER_PING_MS, PEER_SILENCE_MS_MAX, PEER_VERSION_MAX,
    PEER_VERSION_MIN,
};
use antiphon_protocol::peer::{
    Group, Message, PeerHello, PeerKind, PeerPing, PeerPong, PeerRefusal, PeerRefused, PeerWelcome,
    RaftFrames, Session,
};
use antiphon_protocol::{NodeId, RawFrame};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

use crate::limits::{
    PEER_BACKOFF_MS_MAX, PEER_BACKOFF_MS_MIN, PEER_LEVEL, PEER_OUTPUT_BYTES_MAX,
    PEER_READS_TURN_MAX,
};
use crate::peers::Common;
use crate::peers::stream::{Ended, Stream};

/// See the module.
#[derive(Debug)]
pub(super) struct Dialling {
    pub(super) node: NodeId,
    address: SocketAddr,
    token: usize,
    stage: Stage,
    /// Of the newest connection.
    session: u64,
    backoff_ms: u64,
    /// What the operator was told last, so that a refusal is told once.
    told: Option<PeerRefusal>,
}

#[derive(Debug)]
enum Stage {
    Resting { until_ms: u64 },
    Greeting(Line),
    Up(Line),
}

/// A connection, and when what happened on it.
#[derive(Debug)]
struct Line {
    stream: Stream,
    heard_ms: u64,
    pinged_ms: u64,
}

impl Dialling {
    pub(super) fn new(node: NodeId, address: SocketAddr, token: usize) -> Dialling {
        Dialling {
            node,
            address,
            token,
            stage: Stage::Resting { until_ms: 0 },
            session: 0,
            backoff_ms: PEER_BACKOFF_MS_MIN,
            told: None,
        }
    }

    /// Takes messages for the next flush; false: nobody is there, or too much waits already.
    pub(super) fn push(&mut self, messages: &[(GroupId, Message)]) -> bool {
        let Stage::Up(line) = &mut self.stage else {
            return false;
        };
        if line.stream.waiting_bytes() > PEER_OUTPUT_BYTES_MAX {
            return false;
        }
        let mut frames = RaftFrames::new(Session(self.session), line.stream.output());
        for (group, message) in messages {
            frames.push(Group(group.0), message);
        }
        frames.finish();
        true
    }

    /// The socket may have something. True: there may be more.
    pub(super) fn read(&mut self, common: &mut Common, now: Now) -> bool {
        for _ in 0..PEER_READS_TURN_MAX {
            let (Stage::Greeting(line) | Stage::Up(line)) = &mut self.stage else {
                return false;
            };
            match line.stream.fill() {
                Ok(0) => return false,
                Ok(_) => line.heard_ms = now.mono_ms,
                Err(_) => {
                    self.rest(common, now);
                    return false;
                }
            }
            if self.take_frames(common).is_err() {
                self.rest(common, now);
                return false;
            }
        }
        true
    }

    fn take_frames(&mut self, common: &mut Common) -> Result<(), Ended> {
        let (node, session) = (self.node, Session(self.session));
        let (is_up, line) = match &mut self.stage {
            Stage::Resting { .. } => return Ok(()),
            Stage::Greeting(line) => (false, line),
            Stage::Up(line) => (true, line),
        };
        let (mut is_welcome, mut refused) = (is_up, None);
        let taken = line.stream.frames(
            |frame, _| match answer(frame, is_welcome)? {
                Answer::Welcome(welcome) => {
                    let is_same = welcome.session == session;
                    is_welcome = is_same && common.is_met(node, welcome.directory);
                    is_welcome.then_some(None).ok_or(Ended::Broken)
                }
                Answer::Refused(why) => {
                    refused = Some(why);
                    Err(Ended::Lost)
                }
                Answer::Pong => Ok(None),
            },
            HANDSHAKE_BYTES_MAX,
        );
        if let Some(why) = refused {
            self.refused(why);
        }
        taken?;
        if is_welcome && !is_up {
            tracing::info!(peer = %node, session = session.0, "peer_up");
            (self.backoff_ms, self.told) = (PEER_BACKOFF_MS_MIN, None);
            let resting = Stage::Resting { until_ms: 0 };
            if let Stage::Greeting(line) = std::mem::replace(&mut self.stage, resting) {
                self.stage = Stage::Up(line);
            }
        }
        Ok(())
    }

    /// Says once why the other node does not want us; dialled again slowly, for that may change.
    fn refused(&mut self, why: PeerRefused) {
        self.backoff_ms = PEER_BACKOFF_MS_MAX;
        if self.told.replace(why.code) == Some(why.code) {
            return;
        }
        let named = PeerRefusal::NAMED
            .iter()
            .find(|(code, _)| *code == why.code);
        let name = named.map_or("unknown", |(_, name)| *name);
        tracing::warn!(peer = %self.node, address = %self.address, why = name, hint = why.hint, "peer_refused");
    }

    /// Dials, pings, flushes, and ends what is silent.
    pub(super) fn pass_time(&mut self, common: &mut Common, registry: &Registry, now: Now) {
        let is_up = matches!(self.stage, Stage::Up(_));
        match &mut self.stage {
            Stage::Resting { until_ms } if *until_ms <= now.mono_ms => {
                self.dial(common, registry, now);
            }
            Stage::Resting { .. } => {}
            Stage::Greeting(line) | Stage::Up(line) => {
                let now_ms = now.mono_ms;
                if is_up && now_ms >= line.pinged_ms + PEER_PING_MS {
                    line.pinged_ms = now_ms;
                    let ping = PeerPing {
                        nonce: now_ms,
                        time: now.wall,
                    };
                    ping.encode(line.stream.output());
                }
                let is_silent = now_ms >= line.heard_ms + PEER_SILENCE_MS_MAX;
                if line.stream.flush().is_err() || is_silent {
                    self.rest(common, now);
                }
            }
        }
    }

    fn dial(&mut self, common: &mut Common, registry: &Registry, now: Now) {
        self.session += 1;
        let Ok(mut socket) = TcpStream::connect(self.address) else {
            return self.rest(common, now);
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        if registry
            .register(&mut socket, Token(self.token), interest)
            .is_err()
        {
            return self.rest(common, now);
        }
        let mut stream = Stream::new(socket);
        let me = &common.me;
        let hello = PeerHello {
            version_min: PEER_VERSION_MIN,
            version_max: PEER_VERSION_MAX,
            partitions: me.partitions,
            from: me.node,
            to: self.node,
            level: PEER_LEVEL,
            cluster: me.cluster,
            directory: me.directory,
            life: me.life,
            session: Session(self.session),
            voters_digest: me.voters_digest,
            frame_bytes_max: PEER_FRAME_BYTES_MAX,
        };
        hello.encode(stream.output());
        self.stage = Stage::Greeting(Line {
            stream,
            heard_ms: now.mono_ms,
            pinged_ms: now.mono_ms,
        });
    }

    /// The connection is over; the next one comes after a while, which grows, with jitter so that nodes do not dial in step.
    fn rest(&mut self, common: &mut Common, now: Now) {
        if matches!(self.stage, Stage::Up(_)) {
            tracing::info!(peer = %self.node, session = self.session, "peer_down");
            common.tell_lost(self.node);
        }
        let jitter = getrandom::u64().unwrap_or(0) % (self.backoff_ms / 2 + 1);
        let until_ms = now.mono_ms + self.backoff_ms / 2 + jitter;
        self.backoff_ms = (2 * self.backoff_ms).min(PEER_BACKOFF_MS_MAX);
        self.stage = Stage::Resting { until_ms };
    }
}

/// What an acceptor may say.
enum Answer {
    Welcome(PeerWelcome),
    Refused(PeerRefused),
    Pong,
}

fn answer(frame: RawFrame<'_>, is_up: bool) -> Result<Answer, Ended> {
    let kind = PeerKind::from_wire(frame.header.kind).map_err(|_| Ended::Broken)?;
    let read = match kind {
        PeerKind::Welcome if !is_up => PeerWelcome::decode(frame).map(Answer::Welcome),
        PeerKind::Refused => PeerRefused::decode(frame).map(Answer::Refused),
        PeerKind::Pong if is_up => PeerPong::decode(frame).map(|_| Answer::Pong),
        _ => return Err(Ended::Broken),
    };
    read.map_err(|_| Ended::Broken)
}
