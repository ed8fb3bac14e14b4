//! Frames: a stream of bytes from a peer, as the decoder of either side sees it.
//!
//! Input: `cuts u8 | limit u8 | repair u8 | the stream`. Promised of any stream, cut anywhere:
//! - it is cut into the same frames whether it comes whole or in pieces, up to the same end, and no more is held than came or one frame may have;
//! - a frame that decodes is said again in bytes that decode to the same, and saying is stable;
//! - a frame that does not decode has an answer with a code that has a name.

use antiphon_protocol::{
    Assembler, BrokenStream, ClientFrame, Code, DecodeError, FRAME_HEADER_BYTES, Headers, Kind,
    Link, PageItem, RawFrame, Record, ServerFrame, Slot, append_erased, append_record, next_frame,
};

use crate::script::{Script, pieces};

// The way back is that of the protocol's own tests.
#[path = "../../../../protocol/tests/reencode/mod.rs"]
mod reencode;

/// Limits of the length of a frame, as an input chooses them.
const LIMITS: [u32; 4] = [8_192, 64, 1024 * 1024, u32::MAX];
/// Where the sum of a record stands.
const CRC_AT: usize = 16;
/// Where what it sums begins.
const CRC_FROM: usize = 20;

/// How a stream ends.
#[derive(Debug, Eq, PartialEq)]
enum End {
    /// In the middle of a frame, or right behind one.
    Open,
    Broken(BrokenStream),
}

pub(super) fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let cuts = script.byte();
    let len_max = LIMITS[script.below(LIMITS.len())];
    let is_repaired = script.byte() & 1 == 1;
    let stream = script.rest();
    let (frames, end) = whole(stream, len_max);
    assert_eq!(
        in_pieces(stream, len_max, cuts),
        (frames.clone(), end),
        "cut differently, read differently"
    );
    for bytes in frames {
        let bytes = if is_repaired { repaired(bytes) } else { bytes };
        let frame = next_frame(&bytes, len_max)
            .expect("it was whole before")
            .expect("it was whole before");
        from_client(frame);
        from_server(frame);
    }
}

fn whole(stream: &[u8], len_max: u32) -> (Vec<Vec<u8>>, End) {
    let mut frames = Vec::new();
    let mut rest = stream;
    loop {
        match next_frame(rest, len_max) {
            Ok(Some(frame)) => {
                assert_eq!(
                    frame.whole.len(),
                    FRAME_HEADER_BYTES + frame.header.len as usize
                );
                frames.push(frame.whole.to_vec());
                rest = &rest[frame.whole.len()..];
            }
            Ok(None) => return (frames, End::Open),
            Err(broken) => return (frames, End::Broken(broken)),
        }
    }
}

fn in_pieces(stream: &[u8], len_max: u32, cuts: u8) -> (Vec<Vec<u8>>, End) {
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut assembler = Assembler::new();
    let (mut came, mut taken) = (0, 0);
    for mut piece in pieces(stream, cuts) {
        came += piece.len();
        loop {
            match assembler.next(&mut piece, len_max) {
                Ok(Some(frame)) => {
                    taken += frame.whole.len();
                    frames.push(frame.whole.to_vec());
                }
                Ok(None) => break,
                Err(broken) => return (frames, End::Broken(broken)),
            }
        }
        assert_eq!(
            assembler.held_bytes(),
            came - taken,
            "what came is held until it is handed out"
        );
        assert!(
            assembler.held_bytes() as u64 <= FRAME_HEADER_BYTES as u64 + u64::from(len_max),
            "no more is held than a frame may have"
        );
    }
    (frames, End::Open)
}

/// A record with the sum that it should have: what lies behind the check of the sum is looked at too.
fn repaired(mut bytes: Vec<u8>) -> Vec<u8> {
    let Some(frame) = next_frame(&bytes, u32::MAX).ok().flatten() else {
        return bytes;
    };
    if frame.header.kind != Kind::Record.wire() {
        return bytes;
    }
    if let Ok(record) = Record::parse_unchecked_crc(&bytes) {
        let end = record.whole().len() - padding(&record);
        let crc = crc32c::crc32c(&bytes[CRC_FROM..end]);
        bytes[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_le_bytes());
        assert!(
            Record::parse(&bytes).is_ok(),
            "nothing but the sum was wrong"
        );
    }
    bytes
}

fn padding(record: &Record<'_>) -> usize {
    let content = antiphon_protocol::RECORD_HEADER_BYTES
        + record.sender().len()
        + record.headers().len()
        + record.body().len();
    record.whole().len() - content
}

fn from_client(raw: RawFrame<'_>) {
    match ClientFrame::decode(raw) {
        Err(error) => answerable(&error),
        Ok(frame) => {
            if let ClientFrame::Publish(publish) = &frame {
                headers(publish.headers);
            }
            let again = reencode::client(&frame, raw);
            let raw_again = one_frame(&again);
            assert_eq!(
                ClientFrame::decode(raw_again),
                Ok(frame),
                "said again, it means the same"
            );
            assert_eq!(
                reencode::client(&frame, raw_again),
                again,
                "saying is stable"
            );
        }
    }
}

fn from_server(raw: RawFrame<'_>) {
    match ServerFrame::decode(raw) {
        Err(error) => answerable(&error),
        Ok(ServerFrame::Record(record)) => rebuilt(&record),
        // Means nothing and harms nobody; we never say it.
        Ok(ServerFrame::Puback(puback)) if puback.entries().next().is_none() => {}
        Ok(frame) => {
            if let ServerFrame::Page(page) = &frame {
                for item in page.items() {
                    match item {
                        Ok(PageItem::Record(record)) => rebuilt(&record),
                        Ok(PageItem::Gap(gap)) => {
                            assert!(gap.from <= gap.to, "a gap has a start and an end")
                        }
                        Err(error) => answerable(&error),
                    }
                }
            }
            listed(&frame);
            let again = reencode::server(&frame, raw);
            let raw_again = one_frame(&again);
            let decoded = ServerFrame::decode(raw_again).expect("what we say can be read");
            assert_eq!(
                reencode::server(&decoded, raw_again),
                again,
                "saying is stable"
            );
        }
    }
}

/// A record is built again from its fields: only the link depends on what was before, and the sum on the link.
fn rebuilt(record: &Record<'_>) {
    for header in record.header_list() {
        let _ = header.property();
    }
    let mut again = Vec::new();
    let link = append_record(&mut again, &reencode::record_fields(record), Link(0));
    assert_eq!(again.len(), record.whole().len());
    let parsed = Record::parse(&again).expect("what we build can be read");
    assert_eq!(
        reencode::record_fields(&parsed),
        reencode::record_fields(record),
        "built again, it says the same"
    );
    assert!(parsed.verify_link(Link(0)) && parsed.link() == link);
    assert_eq!(parsed.digest(), record.digest());
    erased(record);
}

/// What a redaction leaves can be read, keeps its place and its link, and is left alone by the next one.
fn erased(record: &Record<'_>) {
    let mut once = Vec::new();
    append_erased(&mut once, record);
    let left = Record::parse(&once).expect("what a redaction leaves can be read");
    assert!(left.is_erased() && left.body().is_empty() && left.headers().is_empty());
    assert_eq!(
        (left.room_id(), left.seq(), left.link(), left.sender()),
        (
            record.room_id(),
            record.seq(),
            record.link(),
            record.sender()
        )
    );
    let mut twice = Vec::new();
    append_erased(&mut twice, &left);
    assert_eq!(twice, once, "erasing again is a copy");
}

/// The lists in a frame are as long as it says.
fn listed(frame: &ServerFrame<'_>) {
    match frame {
        ServerFrame::Subscribed(subscribed) => {
            let mut again = Vec::new();
            subscribed
                .cursors
                .for_each(|entry| entry.append(&mut again));
            assert_eq!(again, subscribed.cursors.bytes());
        }
        ServerFrame::Metadata(metadata) => {
            assert_eq!(metadata.leaders().count(), usize::from(metadata.partitions));
            for slot in (0..u16::MAX).step_by(97) {
                let partition = metadata.partition_of(Slot(slot));
                assert!(partition.is_none_or(|at| at < metadata.partitions));
            }
        }
        _ => {}
    }
}

/// Headers that a server lets in are a list that ends where it should.
fn headers(bytes: &[u8]) {
    Headers::check(bytes).expect("a decoded PUBLISH has lawful headers");
    let held: usize = Headers::new(bytes)
        .map(|header| 4 + header.value.len())
        .sum();
    assert_eq!(held, bytes.len(), "lawful headers are read to their end");
}

fn answerable(error: &DecodeError) {
    assert_ne!(
        error.code(),
        Code::NONE,
        "a refused frame is answered by a code"
    );
    assert!(!error.to_string().is_empty());
    let _ = error.hint();
}

fn one_frame(bytes: &[u8]) -> RawFrame<'_> {
    let frame = next_frame(bytes, u32::MAX)
        .expect("we keep our own header")
        .expect("we say whole frames");
    assert_eq!(frame.whole.len(), bytes.len(), "and one of them");
    frame
}
