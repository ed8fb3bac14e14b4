//! One chat message in the forms it takes on its way, for the benches of single functions.

use antiphon_protocol::{
    Ack, Count, Device, Link, Producer, ProducerSeq, Publish, RecordFields, RecordKind, RequestId,
    RoomId, RoomRef, Seq, Timestamp, append_record,
};

/// The body size that all of the project's figures are quoted for, in bytes.
pub const BODY_BYTES: usize = 128;

/// `count` PUBLISH frames to a numbered room, back to back as a socket hands them over.
pub fn publishes(count: u64) -> Vec<u8> {
    let body = [b'x'; BODY_BYTES];
    let mut out = Vec::new();
    for number in 1..=count {
        let publish = Publish {
            room: RoomRef::Id(RoomId(1)),
            producer: Producer(7),
            producer_seq: ProducerSeq(number),
            kind: RecordKind::MESSAGE,
            codec: 0,
            ack: Ack::Committed,
            expect_seq: antiphon_protocol::Seq(0),
            headers: &[],
            body: &body,
        };
        publish.encode(RequestId(number), &mut out);
    }
    out
}

/// The fields of the message `seq` with this body.
pub fn fields(seq: u64, body: &[u8]) -> RecordFields<'_> {
    RecordFields {
        room_id: RoomId(1),
        seq: Seq(seq),
        count: Count(seq),
        time: Timestamp(1_700_000_000_000),
        producer: Producer(7),
        producer_seq: ProducerSeq(seq),
        back: 1,
        device: Device(1),
        kind: RecordKind::MESSAGE,
        codec: 0,
        record_flags: 0,
        sender: b"sixteen-byte-use",
        headers: &[],
        body,
    }
}

/// `count` records of one room, linked from its start.
pub fn room_records(count: u64) -> Vec<u8> {
    let body = [b'x'; BODY_BYTES];
    let mut out = Vec::new();
    let mut link = Link::start(RoomId(1));
    for seq in 1..=count {
        link = append_record(&mut out, &fields(seq, &body), link);
    }
    out
}
