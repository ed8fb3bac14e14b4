//! Properties of any bytes and any frame: round trip, any split, no panic. `PROPTEST_CASES=20000` looks longer.

#[path = "reencode/mod.rs"]
mod reencode;

#[path = "arbitrary/mod.rs"]
mod arbitrary;

use antiphon_protocol::{
    Assembler, ClientFrame, DecodeError, Extensions, Headers, Link, RawFrame, Record, RoomName,
    ServerFrame, UserName, needed, next_frame, records,
};
use proptest::prelude::*;

const LEN_MAX: u32 = 1024 * 1024;

fn whole(bytes: &[u8]) -> RawFrame<'_> {
    next_frame(bytes, LEN_MAX).unwrap().unwrap()
}

/// Everything that a reader may do with one frame, from either side.
fn read_all(raw: RawFrame<'_>) {
    if let Ok(frame) = ClientFrame::decode(raw)
        && let ClientFrame::Publish(publish) = frame
    {
        let _ = publish.digest();
        read_headers(publish.headers);
    }
    match ServerFrame::decode(raw) {
        Ok(ServerFrame::Record(record)) => read_record(&record),
        Ok(ServerFrame::Page(page)) => {
            for item in page.items() {
                if let Ok(antiphon_protocol::PageItem::Record(record)) = item {
                    read_record(&record);
                }
            }
            records(page.records)
                .flatten()
                .for_each(|record| read_record(&record));
        }
        Ok(ServerFrame::Puback(puback)) => {
            assert_eq!(puback.entries().len(), puback.entries().count())
        }
        Ok(_) | Err(_) => {}
    }
    if let Ok(record) = Record::parse_unchecked_crc(raw.whole) {
        read_record(&record);
    }
    Extensions::new(raw.body()).for_each(drop);
    read_headers(raw.body());
}

fn read_headers(bytes: &[u8]) {
    let headers = Headers::new(bytes);
    let _ = (
        headers.origin_time(),
        headers.reference(),
        headers.key(),
        headers.content_type(),
    );
    headers.for_each(|header| assert!(header.property().is_none_or(|(name, _)| !name.is_empty())));
    let _ = Headers::check(bytes);
}

fn read_record(record: &Record<'_>) {
    let _ = (record.verify_link(Link(1)), record.digest());
    let parts = record.sender().len() + record.headers().len() + record.body().len();
    assert_eq!(
        record.whole().len(),
        antiphon_protocol::record_bytes(0, 0, parts)
    );
    read_headers(record.headers());
}

/// The frames of a stream that arrives in these pieces, and whether it broke.
fn assemble<'a>(pieces: impl Iterator<Item = &'a [u8]>, len_max: u32) -> (Vec<Vec<u8>>, bool) {
    let mut assembler = Assembler::new();
    let mut frames = Vec::new();
    for piece in pieces {
        let mut read = piece;
        loop {
            match assembler.next(&mut read, len_max) {
                Ok(Some(frame)) => {
                    assert_eq!(frame.whole.len(), 16 + frame.header.len as usize);
                    frames.push(frame.whole.to_vec());
                }
                Ok(None) => break,
                Err(_) => return (frames, true),
            }
        }
        assert!(read.is_empty(), "on None all of the input is taken");
    }
    (frames, false)
}

/// The frames of a stream that is all there, and whether it broke.
fn cut(mut stream: &[u8], len_max: u32) -> (Vec<Vec<u8>>, bool) {
    let mut frames = Vec::new();
    loop {
        match next_frame(stream, len_max) {
            Ok(Some(frame)) => {
                frames.push(frame.whole.to_vec());
                stream = &stream[frame.whole.len()..];
            }
            Ok(None) => return (frames, false),
            Err(_) => return (frames, true),
        }
    }
}

fn any_frame() -> arbitrary::Frames {
    prop_oneof![arbitrary::client_frame(), arbitrary::server_frame()].boxed()
}

/// Bytes that look like a frame of some kind, and whose length is right.
fn frame_of_noise() -> impl Strategy<Value = Vec<u8>> {
    let body = proptest::collection::vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 0..300);
    (0..=42_u8, any::<u8>(), any::<u64>(), body).prop_map(|(kind, flags, id, body)| {
        let mut frame = (body.len() as u32).to_le_bytes().to_vec();
        frame.extend_from_slice(&[kind, flags, 0, 0]);
        frame.extend_from_slice(&id.to_le_bytes());
        frame.extend_from_slice(&body);
        frame
    })
}

proptest! {
    #[test]
    fn a_client_frame_decodes_and_encodes_to_the_same_bytes(bytes in arbitrary::client_frame()) {
        let raw = whole(&bytes);
        prop_assert_eq!(raw.whole.len(), bytes.len());
        let frame = ClientFrame::decode(raw).unwrap();
        prop_assert_eq!(reencode::client(&frame, raw), bytes);
    }

    #[test]
    fn a_server_frame_decodes_and_encodes_to_the_same_bytes(bytes in arbitrary::server_frame()) {
        let raw = whole(&bytes);
        prop_assert_eq!(raw.whole.len(), bytes.len());
        let frame = ServerFrame::decode(raw).unwrap();
        if let ServerFrame::Record(record) = frame {
            prop_assert_eq!(record.whole(), &bytes[..]);
        } else {
            prop_assert_eq!(reencode::server(&frame, raw), bytes);
        }
    }

    #[test]
    fn a_frame_may_be_split_at_every_byte(bytes in any_frame()) {
        for at in 0..bytes.len() {
            let (first, second) = bytes.split_at(at);
            prop_assert_eq!(next_frame(first, LEN_MAX), Ok(None));
            prop_assert_eq!(needed(first), if at < 16 { 16 } else { bytes.len() });
            let (frames, broken) = assemble([first, second].into_iter(), LEN_MAX);
            prop_assert!(!broken);
            prop_assert_eq!(&frames[..], std::slice::from_ref(&bytes));
        }
    }

    #[test]
    fn a_stream_in_any_pieces_is_the_same_frames(
        frames in proptest::collection::vec(any_frame(), 0..8),
        piece in 1..400_usize,
    ) {
        let stream = frames.concat();
        prop_assert_eq!(cut(&stream, LEN_MAX), (frames.clone(), false));
        prop_assert_eq!(assemble(stream.chunks(piece), LEN_MAX), (frames.clone(), false));
        prop_assert_eq!(assemble(stream.chunks(1), LEN_MAX), (frames, false));
    }

    #[test]
    fn noise_in_pieces_is_read_as_noise_at_once(
        noise in proptest::collection::vec(prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], 0..600),
        piece in 1..40_usize,
    ) {
        prop_assert_eq!(assemble(noise.chunks(piece), 8_192), cut(&noise, 8_192));
    }

    #[test]
    fn noise_in_a_lawful_frame_gives_a_frame_or_a_typed_error(bytes in frame_of_noise()) {
        read_all(whole(&bytes));
    }

    #[test]
    fn a_damaged_frame_gives_a_frame_or_a_typed_error(
        bytes in any_frame(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let mut bytes = bytes;
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.truncate(16 + cut.index(bytes.len() - 15));
        }
        // The header stays lawful, so that the damage reaches the fields.
        let length = (bytes.len() - 16) as u32;
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[6..8].fill(0);
        read_all(whole(&bytes));
    }

    #[test]
    fn a_record_with_any_bit_flipped_is_refused(
        bytes in arbitrary::record(),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
    ) {
        let mut bytes = bytes;
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Record::parse(&bytes).is_err());
    }

    #[test]
    fn a_record_follows_only_the_link_it_was_built_after(bytes in arbitrary::record(), other in any::<u64>()) {
        let record = Record::parse(&bytes).unwrap();
        let fields = reencode::record_fields(&record);
        let mut again = b"before".to_vec();
        let link = antiphon_protocol::append_record(&mut again, &fields, Link(other));
        let again = Record::parse(&again[6..]).unwrap();
        prop_assert_eq!(again.link(), link);
        prop_assert!(again.verify_link(Link(other)));
        prop_assert!(!again.verify_link(Link(other ^ 1)));
        prop_assert_eq!(reencode::record_fields(&again), fields);
    }

    #[test]
    fn records_back_to_back_come_out_in_order(list in proptest::collection::vec(arbitrary::record(), 0..6)) {
        let bytes = list.concat();
        let read: Vec<&[u8]> = records(&bytes).map(|record| record.unwrap().whole()).collect();
        prop_assert_eq!(read, list.iter().map(Vec::as_slice).collect::<Vec<_>>());
        if let Some(last) = list.last() {
            let torn = &bytes[..bytes.len() - 1];
            let read: Vec<_> = records(torn).collect();
            prop_assert_eq!(read.len(), list.len());
            prop_assert_eq!(read[list.len() - 1], Err(DecodeError::Truncated));
            prop_assert!(!last.is_empty());
        }
    }

    #[test]
    fn a_name_is_taken_exactly_if_the_specification_allows_it(
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..300),
            ".{0,80}".prop_map(String::into_bytes),
            "[ -~]{50,70}[ -\u{a0}]?".prop_map(String::into_bytes),
        ],
    ) {
        let allowed = |limit: usize| {
            !bytes.is_empty() && bytes.len() <= limit && std::str::from_utf8(&bytes).is_ok_and(|text| {
                text.chars().all(|c| !matches!(c, '\0'..='\u{1F}' | '\u{7F}'..='\u{9F}'))
            })
        };
        prop_assert_eq!(RoomName::try_from(&bytes[..]).is_ok(), allowed(255));
        prop_assert_eq!(UserName::try_from(&bytes[..]).is_ok(), allowed(64));
    }
}
