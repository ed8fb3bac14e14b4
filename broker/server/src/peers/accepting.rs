//! The peerings that other nodes dial to this one: what they say comes this way.
//!
//! Who connects is a stranger until PEER_HELLO names a member of this cluster, on the disk it was first met on. Until then it costs one small frame. A
//! node has one peering here: a lawful PEER_HELLO ends the one before, with whatever was read of it and not handled.

use std::collections::BTreeMap;

use antiphon_core::Now;
use antiphon_log::GroupId;
use antiphon_protocol::limits::{
    HANDSHAKE_BYTES_MAX, PEER_FRAME_BYTES_MAX, PEER_SILENCE_MS_MAX, PEER_VERSION_MAX,
};
use antiphon_protocol::peer::{
    Life, PeerHello, PeerKind, PeerPing, PeerPong, PeerRefusal, PeerRefused, PeerWelcome, Session,
    decode_raft,
};
use antiphon_protocol::{DecodeError, NodeId, RawFrame};
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use crate::limits::{PEER_ACCEPTED_MAX, PEER_LEVEL, PEER_READS_TURN_MAX};
use crate::peers::stream::{Ended, Stream};
use crate::peers::{Common, PEERINGS, PeerNews};

/// See the module.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) listener: TcpListener,
    places: Vec<Option<Accepted>>,
    /// The newest session of each node.
    newest: BTreeMap<NodeId, (Life, Session)>,
}

#[derive(Debug)]
struct Accepted {
    stream: Stream,
    heard_ms: u64,
    /// Since its PEER_WELCOME.
    peer: Option<(NodeId, Session)>,
}

impl Accepting {
    pub(super) fn new(listener: TcpListener) -> Accepting {
        Accepting {
            listener,
            places: (0..PEER_ACCEPTED_MAX).map(|_| None).collect(),
            newest: BTreeMap::new(),
        }
    }

    /// Takes all that the kernel has. Without a place for it, a connection is closed: its node dials again.
    pub(super) fn accept(&mut self, registry: &Registry, now: Now) {
        while let Ok((mut socket, _)) = self.listener.accept() {
            let Some(place) = self.places.iter().position(Option::is_none) else {
                continue;
            };
            let token = Token(2 * PEERINGS + place);
            let interest = Interest::READABLE | Interest::WRITABLE;
            if registry.register(&mut socket, token, interest).is_ok() {
                self.places[place] = Some(Accepted {
                    stream: Stream::new(socket),
                    heard_ms: now.mono_ms,
                    peer: None,
                });
            }
        }
    }

    /// The socket may have something. True: there may be more.
    pub(super) fn read(&mut self, place: usize, common: &mut Common, now: Now) -> bool {
        for _ in 0..PEER_READS_TURN_MAX {
            let Some(Some(accepted)) = self.places.get_mut(place) else {
                return false;
            };
            let was = accepted.peer;
            let result = accepted.stream.fill().and_then(|count| {
                if count > 0 && accepted.peer.is_some() {
                    accepted.heard_ms = now.mono_ms;
                }
                let newest = &mut self.newest;
                accepted.take_frames(common, newest, now).map(|()| count)
            });
            let flushed = accepted.stream.flush();
            let is_new = accepted.peer != was;
            match (result, flushed) {
                (Ok(0), Ok(())) => return false,
                (Ok(_), Ok(())) if is_new => self.end_before(place),
                (Ok(_), Ok(())) => {}
                _ => {
                    self.places[place] = None;
                    return false;
                }
            }
        }
        true
    }

    /// The node that was welcomed at `place` has no other peering here.
    fn end_before(&mut self, place: usize) {
        let node = |accepted: &Option<Accepted>| Some(accepted.as_ref()?.peer?.0);
        let welcomed = node(&self.places[place]);
        for (other, accepted) in self.places.iter_mut().enumerate() {
            if other != place && node(accepted) == welcomed {
                *accepted = None;
            }
        }
    }

    /// Ends what is silent.
    pub(super) fn pass_time(&mut self, now: Now) {
        for place in &mut self.places {
            let is_silent =
                |accepted: &Accepted| now.mono_ms >= accepted.heard_ms + PEER_SILENCE_MS_MAX;
            if place.as_ref().is_some_and(is_silent) {
                *place = None;
            }
        }
    }
}

impl Accepted {
    fn take_frames(
        &mut self,
        common: &mut Common,
        newest: &mut BTreeMap<NodeId, (Life, Session)>,
        now: Now,
    ) -> Result<(), Ended> {
        let peer = &mut self.peer;
        let len_max = match peer {
            None => HANDSHAKE_BYTES_MAX,
            Some(_) => PEER_FRAME_BYTES_MAX,
        };
        let taken = self.stream.frames(
            |frame, out| match *peer {
                None => match greet(frame, common, newest) {
                    Ok(hello) => {
                        *peer = Some((hello.from, hello.session));
                        welcome(&hello, common, out);
                        Ok(Some(PEER_FRAME_BYTES_MAX))
                    }
                    Err(refused) => {
                        refused.encode(out);
                        Err(Ended::Lost)
                    }
                },
                Some((from, session)) => {
                    hear(frame, from, session, common, out, now).map(|()| None)
                }
            },
            len_max,
        );
        if let Err(Ended::Broken) = taken {
            refusal(PeerRefusal::BAD_FRAME, 0).encode(self.stream.output());
        }
        taken
    }
}

/// Whether who says PEER_HELLO may speak.
fn greet(
    frame: RawFrame<'_>,
    common: &mut Common,
    newest: &mut BTreeMap<NodeId, (Life, Session)>,
) -> Result<PeerHello, PeerRefused> {
    let hello = PeerHello::decode(frame).map_err(|error| match error {
        DecodeError::Version => refusal(PeerRefusal::VERSION, u64::from(PEER_VERSION_MAX)),
        _ => refusal(PeerRefusal::BAD_FRAME, 0),
    })?;
    let me = &common.me;
    let is_known = me.others.iter().any(|(node, _)| *node == hello.from);
    let is_old = newest
        .get(&hello.from)
        .is_some_and(|(life, session)| *life == hello.life && hello.session <= *session);
    let has_other_voters =
        hello.voters_digest != me.voters_digest || hello.partitions != me.partitions;
    let me_node = u64::from(me.node.0);
    let wrong = [
        (hello.cluster != me.cluster, PeerRefusal::OTHER_CLUSTER, 0),
        (hello.to != me.node, PeerRefusal::OTHER_NODE, me_node),
        (!is_known, PeerRefusal::UNKNOWN_NODE, 0),
        (has_other_voters, PeerRefusal::OTHER_VOTERS, 0),
        (is_old, PeerRefusal::OLD_SESSION, 0),
    ];
    if let Some((_, code, hint)) = wrong.into_iter().find(|(is_wrong, ..)| *is_wrong) {
        return Err(refusal(code, hint));
    }
    if !common.is_met(hello.from, hello.directory) {
        return Err(refusal(PeerRefusal::OTHER_DIRECTORY, 0));
    }
    newest.insert(hello.from, (hello.life, hello.session));
    Ok(hello)
}

fn refusal(code: PeerRefusal, hint: u64) -> PeerRefused {
    PeerRefused {
        code,
        retry_after_ms: 0,
        hint,
    }
}

fn welcome(hello: &PeerHello, common: &Common, out: &mut Vec<u8>) {
    let welcome = PeerWelcome {
        version: PEER_VERSION_MAX,
        level: PEER_LEVEL,
        session: hello.session,
        life: common.me.life,
        directory: common.me.directory,
        frame_bytes_max: PEER_FRAME_BYTES_MAX,
    };
    welcome.encode(out);
}

/// A frame of a welcome peer: all of it is acted on, or nothing.
fn hear(
    frame: RawFrame<'_>,
    from: NodeId,
    session: Session,
    common: &mut Common,
    out: &mut Vec<u8>,
    now: Now,
) -> Result<(), Ended> {
    match PeerKind::from_wire(frame.header.kind) {
        Ok(PeerKind::Raft) => {
            let messages = decode_raft(frame, session).map_err(|_| Ended::Broken)?;
            let mut by_core: Vec<Vec<_>> = common.doors.iter().map(|_| Vec::new()).collect();
            for (group, message) in messages {
                let group = GroupId(group.0);
                if let Some(home) = common.map.home_of_group(group) {
                    by_core[usize::from(home.0)].push((group, message));
                }
            }
            for (door, messages) in common.doors.iter_mut().zip(by_core) {
                if !messages.is_empty() {
                    door.put(PeerNews::Said { from, messages });
                }
            }
            Ok(())
        }
        Ok(PeerKind::Ping) => {
            let ping = PeerPing::decode(frame).map_err(|_| Ended::Broken)?;
            let pong = PeerPong {
                nonce: ping.nonce,
                time: now.wall,
            };
            pong.encode(out);
            Ok(())
        }
        _ => Err(Ended::Broken),
    }
}
