//! Frames between nodes: committed vectors, properties of any bytes, and the document.

#[path = "document/mod.rs"]
mod document;
#[path = "golden/mod.rs"]
mod golden;

use antiphon_protocol::peer::{
    Append, Entry, Group, Heartbeat, Index, Message, PeerKind, PeerRefusal, Session, Term,
    decode_raft,
};
use antiphon_protocol::{limits, next_frame};
use bytes::Bytes;
use golden::peer::{SESSION, accepted, messages, raft, read, refusals};
use golden::{committed, text, to_hex};
use proptest::prelude::*;

#[test]
fn every_vector_is_read_and_written_alike() {
    let vectors = committed("peer.json");
    let ours = accepted();
    assert_eq!(vectors.len(), ours.len());
    for (vector, (name, bytes)) in vectors.iter().zip(ours) {
        assert_eq!(text(vector, "name"), name);
        assert_eq!(text(vector, "hex"), to_hex(&bytes), "{name}");
        assert_eq!(
            read(&bytes).map(|bytes| to_hex(&bytes)),
            Ok(to_hex(&bytes)),
            "{name}"
        );
    }
}

#[test]
fn every_bent_vector_is_refused_for_its_reason() {
    let vectors = committed("refused-peer.json");
    let ours = refusals();
    assert_eq!(vectors.len(), ours.len());
    for (vector, (name, why, bytes)) in vectors.iter().zip(ours) {
        assert_eq!(text(vector, "name"), name);
        assert_eq!(text(vector, "why"), why);
        assert_eq!(text(vector, "hex"), to_hex(&bytes), "{name}");
        assert_eq!(read(&bytes), Err(why.to_owned()), "{name}");
    }
}

#[test]
fn messages_come_out_in_the_order_in_which_they_went_in() {
    let all: Vec<_> = messages()
        .into_iter()
        .map(|(_, message)| (Group(3), message))
        .collect();
    let bytes = raft(&all);
    let frame = next_frame(&bytes, limits::PEER_FRAME_BYTES_MAX)
        .unwrap()
        .unwrap();
    assert_eq!(decode_raft(frame, SESSION), Ok(all));
}

#[test]
fn a_turn_that_is_larger_than_a_frame_takes_several_and_loses_nothing() {
    let payload = Bytes::from(vec![7; 600_000]);
    let append = |index: u64| {
        Message::Append(Append {
            term: Term(1),
            previous: Index(index),
            previous_term: Term(1),
            commit: Index(0),
            entries: vec![Entry {
                index: Index(index + 1),
                term: Term(1),
                payload: payload.clone(),
            }],
        })
    };
    let all: Vec<_> = (1..=5)
        .map(|index| (Group(index), append(u64::from(index))))
        .collect();
    let bytes = raft(&all);
    let (mut rest, mut frames, mut seen) = (bytes.as_slice(), 0, Vec::new());
    while let Some(frame) = next_frame(rest, limits::PEER_FRAME_BYTES_MAX).unwrap() {
        seen.extend(decode_raft(frame, SESSION).unwrap());
        rest = &rest[frame.whole.len()..];
        frames += 1;
    }
    assert_eq!((frames, rest.len(), seen), (3, 0, all));
}

#[test]
fn a_frame_of_another_session_is_refused_whole() {
    let bytes = raft(&[(Group(1), Message::TimeoutNow { term: Term(1) })]);
    let frame = next_frame(&bytes, 1_024).unwrap().unwrap();
    assert!(decode_raft(frame, SESSION).is_ok());
    assert_eq!(
        decode_raft(frame, Session(SESSION.0 + 1)),
        Err(antiphon_protocol::DecodeError::Crc)
    );
}

fn any_heartbeat() -> impl Strategy<Value = Message> {
    (1_u64.., any::<u64>()).prop_map(|(term, commit)| {
        Message::Heartbeat(Heartbeat {
            term: Term(term),
            commit: Index(commit),
            context: None,
        })
    })
}

/// An APPEND as a leader makes them.
fn any_append() -> impl Strategy<Value = Message> {
    let payload = proptest::collection::vec(any::<u8>(), 0..40);
    let entries = proptest::collection::vec((0_u64..3, payload), 0..6);
    (0_u64..1 << 40, 1_u64..1 << 40, any::<u64>(), entries).prop_map(
        |(previous, first_term, commit, parts)| {
            let mut term = first_term;
            let mut entries = Vec::new();
            for ((rise, payload), index) in parts.into_iter().zip(previous + 1..) {
                term += rise;
                entries.push(Entry {
                    index: Index(index),
                    term: Term(term),
                    payload: Bytes::from(payload),
                });
            }
            Message::Append(Append {
                term: Term(term),
                previous: Index(previous),
                previous_term: Term(if previous == 0 { 0 } else { first_term }),
                commit: Index(commit),
                entries,
            })
        },
    )
}

fn any_message() -> impl Strategy<Value = Message> {
    let fixed: Vec<_> = messages().into_iter().map(|(_, message)| message).collect();
    prop_oneof![
        any_heartbeat(),
        any_append(),
        proptest::sample::select(fixed)
    ]
}

proptest! {
    #[test]
    fn what_is_packed_is_unpacked(list in proptest::collection::vec((any::<u32>(), any_message()), 1..20)) {
        let list: Vec<_> = list.into_iter().map(|(group, message)| (Group(group), message)).collect();
        let bytes = raft(&list);
        let frame = next_frame(&bytes, limits::PEER_FRAME_BYTES_MAX).unwrap().unwrap();
        prop_assert_eq!(decode_raft(frame, SESSION), Ok(list));
    }

    #[test]
    fn any_bytes_are_answered(noise in proptest::collection::vec(any::<u8>(), 0..200), kind in 128_u8..=136) {
        let mut bytes = vec![0; 16];
        bytes[..4].copy_from_slice(&u32::try_from(noise.len()).unwrap().to_le_bytes());
        bytes[4] = kind;
        bytes.extend_from_slice(&noise);
        let _ = read(&bytes);
    }

    /// The sum is mended, so that what is behind it is reached; what is then taken for lawful encodes to itself.
    #[test]
    fn a_bent_frame_is_refused_or_means_what_it_says(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let vectors = accepted();
        let (_, mut bytes) = vectors[which.index(vectors.len())].clone();
        for (at, value) in changes {
            let at = 16 + at.index(bytes.len() - 16);
            bytes[at] = value;
        }
        let is_summed = matches!(bytes[4], 131..=133);
        if is_summed {
            let start = crc32c::crc32c(&SESSION.0.to_le_bytes());
            let sum = crc32c::crc32c_append(start, &bytes[20..]);
            bytes[16..20].copy_from_slice(&sum.to_le_bytes());
        }
        if let Ok(again) = read(&bytes) {
            prop_assert_eq!(to_hex(&again), to_hex(&bytes));
        }
    }

    #[test]
    fn a_frame_that_was_bent_on_its_way_is_never_taken(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let all: Vec<_> = messages().into_iter().map(|(_, message)| (Group(3), message)).collect();
        let mut bytes = raft(&all);
        let at = 16 + at.index(bytes.len() - 16);
        bytes[at] ^= 1 << bit;
        let frame = next_frame(&bytes, limits::PEER_FRAME_BYTES_MAX).unwrap().unwrap();
        prop_assert_eq!(decode_raft(frame, SESSION), Err(antiphon_protocol::DecodeError::Crc));
    }
}

fn table(heading: &str) -> Vec<Vec<String>> {
    document::table(&document::text("peer-protocol.md"), heading)
}

#[test]
fn the_document_numbers_kinds_and_refusals_as_the_crate_does() {
    let kinds: Vec<_> = table("## 2. Frames")
        .iter()
        .map(|row| row[0].clone())
        .collect();
    let ours: Vec<_> = PeerKind::ALL
        .iter()
        .map(|kind| kind.wire().to_string())
        .collect();
    assert_eq!(kinds, ours);
    let refusals: Vec<_> = table("### Refusals")
        .iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let ours: Vec<_> = PeerRefusal::NAMED
        .iter()
        .map(|(code, name)| (code.0.to_string(), (*name).to_owned()))
        .collect();
    assert_eq!(refusals, ours);
}

#[test]
fn the_document_tells_the_limits_that_the_crate_keeps() {
    let rows = table("## 6. Limits");
    let told = |name: &str| {
        let row = rows
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("no {name}"));
        row[1].replace(',', "").parse::<u64>().unwrap()
    };
    assert_eq!(
        told("frame before PEER_WELCOME"),
        u64::from(limits::HANDSHAKE_BYTES_MAX)
    );
    assert_eq!(told("frame"), u64::from(limits::PEER_FRAME_BYTES_MAX));
    assert_eq!(
        told("a RAFT frame is closed at"),
        u64::from(limits::PEER_FRAME_BYTES_FULL)
    );
    assert_eq!(
        told("payload of an entry"),
        u64::from(limits::PEER_ENTRY_BYTES_MAX)
    );
    assert_eq!(
        told("entries of an APPEND"),
        u64::from(limits::PEER_ENTRIES_MAX)
    );
    assert_eq!(
        told("payloads of an APPEND of several entries"),
        u64::from(limits::PEER_APPEND_BYTES_MAX)
    );
    assert_eq!(
        told("silence of a peering, ms"),
        limits::PEER_SILENCE_MS_MAX
    );
    assert_eq!(told("ping of an idle peering, ms"), limits::PEER_PING_MS);
}
