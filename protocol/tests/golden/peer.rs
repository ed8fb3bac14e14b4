//! Frames between nodes: what the vectors of peer.json and refused-peer.json are of.

use antiphon_protocol::peer::{
    Append, AppendAnswer, ClusterId, DirectoryId, Entry, Forward, Forwarded, Group, Heartbeat,
    Index, Life, Message, PeerHello, PeerPing, PeerPong, PeerRefusal, PeerRefused, PeerWelcome,
    RaftFrames, ReadContext, Refused, Session, Term, Vote, VoteAnswer,
};
use antiphon_protocol::{
    Code, Device, ErrorFrame, Namespace, NodeId, RequestId, Timestamp, next_frame,
};
use bytes::Bytes;

use super::{committed, from_hex, text};

/// The session of all vectors.
pub(crate) const SESSION: Session = Session(0x0102_0304);

/// A name and a frame.
pub(crate) type Vector = (&'static str, Vec<u8>);

pub(crate) fn hello() -> PeerHello {
    PeerHello {
        version_min: 1,
        version_max: 1,
        partitions: 64,
        from: NodeId(1),
        to: NodeId(3),
        level: 1,
        cluster: ClusterId(0x0F0E_0D0C_0B0A_0908_0706_0504_0302_0100),
        directory: DirectoryId(0x1F1E_1D1C_1B1A_1918_1716_1514_1312_1110),
        life: Life(0x2726_2524_2322_2120),
        session: SESSION,
        voters_digest: 0x2F2E_2D2C_2B2A_2928,
        frame_bytes_max: 4 * 1024 * 1024,
    }
}

pub(crate) fn welcome() -> PeerWelcome {
    PeerWelcome {
        version: 1,
        level: 1,
        session: SESSION,
        life: Life(5),
        directory: DirectoryId(6),
        frame_bytes_max: 4 * 1024 * 1024,
    }
}

pub(crate) fn refused() -> PeerRefused {
    PeerRefused {
        code: PeerRefusal::OTHER_NODE,
        retry_after_ms: 1_000,
        hint: 2,
    }
}

pub(crate) const PING: PeerPing = PeerPing {
    nonce: 7,
    time: Timestamp(1_767_323_045_678),
};

pub(crate) const PONG: PeerPong = PeerPong {
    nonce: 7,
    time: Timestamp(1_767_323_045_700),
};

fn entry(index: u64, term: u64, payload: &'static [u8]) -> Entry {
    Entry {
        index: Index(index),
        term: Term(term),
        payload: Bytes::from_static(payload),
    }
}

const CONTEXT: ReadContext = ReadContext {
    node: NodeId(2),
    number: 77,
};

/// One message of each form.
pub(crate) fn messages() -> Vec<(&'static str, Message)> {
    let beat = |context| Heartbeat {
        term: Term(5),
        commit: Index(9),
        context,
    };
    let append = |entries| Append {
        term: Term(5),
        previous: Index(9),
        previous_term: Term(4),
        commit: Index(8),
        entries,
    };
    let answer = |refused| AppendAnswer {
        term: Term(5),
        index: Index(11),
        commit: Index(9),
        refused,
    };
    let vote = |is_pre, is_transfer| Vote {
        term: Term(6),
        last: Index(11),
        last_term: Term(5),
        commit: Index(9),
        commit_term: Term(4),
        is_pre,
        is_transfer,
    };
    let voted = |is_pre, refused| VoteAnswer {
        term: Term(6),
        is_pre,
        refused,
    };
    let no = Refused {
        hint: Index(3),
        hint_term: Term(2),
    };
    vec![
        ("heartbeat", Message::Heartbeat(beat(None))),
        ("heartbeat_context", Message::Heartbeat(beat(Some(CONTEXT)))),
        ("heartbeat_answer", Message::HeartbeatAnswer(beat(None))),
        (
            "heartbeat_answer_context",
            Message::HeartbeatAnswer(beat(Some(CONTEXT))),
        ),
        ("append_empty", Message::Append(append(Vec::new()))),
        (
            "append",
            Message::Append(append(vec![
                entry(10, 4, b"thirteen byte"),
                entry(11, 5, b""),
            ])),
        ),
        ("append_answer", Message::AppendAnswer(answer(None))),
        (
            "append_answer_refused",
            Message::AppendAnswer(answer(Some(no))),
        ),
        ("vote", Message::Vote(vote(false, false))),
        ("vote_pre", Message::Vote(vote(true, false))),
        ("vote_transfer", Message::Vote(vote(false, true))),
        ("vote_answer", Message::VoteAnswer(voted(false, None))),
        ("vote_answer_pre", Message::VoteAnswer(voted(true, None))),
        (
            "vote_answer_refused",
            Message::VoteAnswer(voted(false, Some((Index(12), Term(5))))),
        ),
        ("timeout_now", Message::TimeoutNow { term: Term(5) }),
        ("read", Message::Read { context: CONTEXT }),
        (
            "read_answer",
            Message::ReadAnswer {
                term: Term(5),
                index: Index(9),
                context: CONTEXT,
            },
        ),
    ]
}

/// RAFT frames of these messages.
pub(crate) fn raft(messages: &[(Group, Message)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut frames = RaftFrames::new(SESSION, &mut bytes);
    for (group, message) in messages {
        frames.push(*group, message);
    }
    frames.finish();
    bytes
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(&mut bytes);
    bytes
}

/// The PUBLISH frame of the vectors of clients.
fn publish() -> Vec<u8> {
    let vectors = committed("client.json");
    let publish = vectors.iter().find(|vector| vector["kind"] == 10).unwrap();
    from_hex(text(publish, "hex"))
}

/// All frames that are read and written.
pub(crate) fn accepted() -> Vec<Vector> {
    let mut vectors = vec![
        ("hello", encoded(|out| hello().encode(out))),
        ("welcome", encoded(|out| welcome().encode(out))),
        ("refused", encoded(|out| refused().encode(out))),
        ("ping", encoded(|out| PING.encode(out))),
        ("pong", encoded(|out| PONG.encode(out))),
        (
            "forward",
            encoded(|out| {
                Forward {
                    namespace: Namespace(7),
                    device: Device(9),
                    user: "ann",
                    publishes: &publish(),
                }
                .encode(SESSION, out);
            }),
        ),
        (
            "forwarded",
            encoded(|out| {
                let answers =
                    encoded(|out| ErrorFrame::new(Code::UNAVAILABLE).encode(RequestId(4), out));
                Forwarded { answers: &answers }.encode(SESSION, out);
            }),
        ),
    ];
    for (name, message) in messages() {
        vectors.push((name, raft(&[(Group(3), message)])));
    }
    let all: Vec<_> = messages()
        .into_iter()
        .zip(1..)
        .map(|((_, message), group)| (Group(group), message))
        .collect();
    vectors.push(("raft_of_many_groups", raft(&all)));
    vectors
}

/// A frame with some bytes of its body replaced and, unless it is about the sum, a sum that fits.
fn bent(mut frame: Vec<u8>, at: usize, bytes: &[u8], is_summed: bool) -> Vec<u8> {
    frame[16 + at..16 + at + bytes.len()].copy_from_slice(bytes);
    if is_summed {
        let start = crc32c::crc32c(&SESSION.0.to_le_bytes());
        let sum = crc32c::crc32c_append(start, &frame[20..]);
        frame[16..20].copy_from_slice(&sum.to_le_bytes());
    }
    frame
}

/// Frames that are refused, and the text of the refusal.
pub(crate) fn refusals() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let hello = || encoded(|out| hello().encode(out));
    let message = |name: &str| {
        let (_, message) = messages()
            .into_iter()
            .find(|(known, _)| *known == name)
            .unwrap();
        raft(&[(Group(3), message)])
    };
    // Body of a RAFT frame: 8 bytes head, 16 of the message, APPEND's fields, then entries of 24 bytes and payload.
    let (first, second) = (8 + 16 + 24, 8 + 16 + 24 + 24 + 16);
    vec![
        (
            "hello_magic",
            "unlawful value of magic",
            bent(hello(), 0, b"ANTP", false),
        ),
        (
            "hello_future",
            "no common protocol version",
            bent(hello(), 4, &[2, 9], false),
        ),
        (
            "hello_to_itself",
            "unlawful value of to",
            bent(hello(), 12, &[1], false),
        ),
        (
            "hello_without_cluster",
            "unlawful value of cluster",
            bent(hello(), 24, &[0; 16], false),
        ),
        (
            "raft_sum",
            "record checksum mismatch",
            bent(message("append"), 24, &[8], false),
        ),
        (
            "raft_count",
            "the frame is cut short",
            bent(message("vote"), 4, &[2], true),
        ),
        (
            "raft_empty",
            "unlawful value of messages",
            bent(message("vote"), 4, &[0], true),
        ),
        (
            "message_type",
            "unlawful value of message type",
            bent(message("timeout_now"), 12, &[10], true),
        ),
        (
            "message_flags",
            "unlawful value of message flags",
            bent(message("vote"), 13, &[1], true),
        ),
        (
            "message_term",
            "unlawful value of term",
            bent(message("vote"), 16, &[0], true),
        ),
        (
            "append_jumps",
            "unlawful value of entry index",
            bent(message("append"), first, &[11], true),
        ),
        (
            "append_skips",
            "unlawful value of entry index",
            bent(message("append"), second, &[12], true),
        ),
        (
            "append_term_falls",
            "unlawful value of entry term",
            bent(message("append"), second + 8, &[3], true),
        ),
        (
            "append_term_of_the_future",
            "unlawful value of entry term",
            bent(message("append"), second + 8, &[6], true),
        ),
        (
            "append_voters",
            "unlawful value of entry kind",
            bent(message("append"), first + 20, &[1], true),
        ),
        (
            "append_large",
            "1310721 bytes are more than 1310720",
            bent(
                message("append"),
                first + 16,
                &1_310_721_u32.to_le_bytes(),
                true,
            ),
        ),
        (
            "append_padding",
            "a reserved field is not 0",
            bent(message("append"), first + 24 + 15, &[1], true),
        ),
        (
            "vote_commits_beyond_its_log",
            "unlawful value of vote",
            bent(message("vote"), 8 + 16 + 16, &[12], true),
        ),
    ]
}

/// Reads a frame of any kind; gives the bytes that it encodes to.
///
/// # Errors
/// Why it is refused, as text.
pub(crate) fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
    use antiphon_protocol::peer::{PeerKind, decode_raft};
    let frame = next_frame(bytes, u32::MAX).unwrap().unwrap();
    let told = |error: antiphon_protocol::DecodeError| error.to_string();
    let kind = PeerKind::from_wire(frame.header.kind).map_err(told)?;
    let mut out = Vec::new();
    match kind {
        PeerKind::Hello => PeerHello::decode(frame).map_err(told)?.encode(&mut out),
        PeerKind::Welcome => PeerWelcome::decode(frame).map_err(told)?.encode(&mut out),
        PeerKind::Refused => PeerRefused::decode(frame).map_err(told)?.encode(&mut out),
        PeerKind::Raft => out = raft(&decode_raft(frame, SESSION).map_err(told)?),
        PeerKind::Forward => {
            let forward = Forward::decode(frame, SESSION).map_err(told)?;
            assert!(forward.frames().count() > 0);
            forward.encode(SESSION, &mut out);
        }
        PeerKind::Forwarded => {
            let forwarded = Forwarded::decode(frame, SESSION).map_err(told)?;
            assert!(forwarded.frames().count() > 0);
            forwarded.encode(SESSION, &mut out);
        }
        PeerKind::Ping => PeerPing::decode(frame).map_err(told)?.encode(&mut out),
        PeerKind::Pong => PeerPong::decode(frame).map_err(told)?.encode(&mut out),
        PeerKind::Bulk => return Err("numbered".to_owned()),
    }
    Ok(out)
}
