//! Back from what was decoded to bytes; the fuzz target of frames uses it too.

use antiphon_protocol::{ClientFrame, PubackBuilder, RawFrame, Record, RecordFields, ServerFrame};

/// Encodes what was decoded.
pub(crate) fn client(frame: &ClientFrame<'_>, raw: RawFrame<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let id = raw.header.id;
    match frame {
        ClientFrame::Hello(frame) => frame.encode(id, &mut out),
        ClientFrame::Ping(frame) => frame.encode(id, &mut out),
        ClientFrame::Pong(frame) => frame.encode(id, &mut out),
        ClientFrame::Publish(frame) => frame.encode(id, &mut out),
        ClientFrame::Subscribe(frame) => frame.encode(id, &mut out),
        ClientFrame::Unsubscribe(frame) => frame.encode(id, &mut out),
        ClientFrame::Fetch(frame) => frame.encode(id, &mut out),
        ClientFrame::Cursor(frame) => frame.encode(id, &mut out),
        ClientFrame::Signal(frame) => frame.encode(id, &mut out),
        ClientFrame::Metadata(frame) => frame.encode(id, &mut out),
        _ => panic!("a kind without a way back"),
    }
    out.split_off(6)
}

/// Encodes what was decoded.
pub(crate) fn server(frame: &ServerFrame<'_>, raw: RawFrame<'_>) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let id = raw.header.id;
    match frame {
        ServerFrame::Welcome(frame) => frame.encode(id, &mut out),
        ServerFrame::Ping(frame) => frame.encode(id, &mut out),
        ServerFrame::Pong(frame) => frame.encode(id, &mut out),
        ServerFrame::Goaway(frame) => frame.encode(id, &mut out),
        ServerFrame::Ok(frame) => frame.encode(id, &mut out),
        ServerFrame::Error(frame) => frame.encode(id, &mut out),
        ServerFrame::Subscribed(frame) => frame.encode(id, &mut out),
        ServerFrame::Unsubscribe(frame) => frame.encode(id, &mut out),
        ServerFrame::Gap(frame) => frame.encode(id, &mut out),
        ServerFrame::Page(frame) => frame.encode(id, &mut out),
        ServerFrame::Cursor(frame) => frame.encode(&mut out),
        ServerFrame::Signal(frame) => frame.encode(&mut out),
        ServerFrame::Metadata(frame) => frame.encode_again(id, &mut out),
        ServerFrame::Puback(frame) => {
            let mut builder = PubackBuilder::default();
            frame
                .entries()
                .for_each(|entry| builder.push(&entry, &mut out));
            builder.finish(&mut out);
        }
        ServerFrame::Record(_) => panic!("records are re-encoded with the link before them"),
        _ => panic!("a kind without a way back"),
    }
    out.split_off(6)
}

/// The fields that a record was built from.
pub(crate) fn record_fields<'a>(record: &Record<'a>) -> RecordFields<'a> {
    RecordFields {
        room_id: record.room_id(),
        seq: record.seq(),
        count: record.count(),
        time: record.time(),
        producer: record.producer(),
        producer_seq: record.producer_seq(),
        back: record.back(),
        device: record.device(),
        kind: record.kind(),
        codec: record.codec(),
        record_flags: record.record_flags(),
        sender: record.sender().as_bytes(),
        headers: record.headers(),
        body: record.body(),
    }
}
