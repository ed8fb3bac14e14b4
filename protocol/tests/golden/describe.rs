//! What a decoded frame says, as JSON with the field names of docs/protocol.md.

use antiphon_protocol::{
    ClientFrame, CursorEntries, FetchRange, Gap, PageItem, Record, RoomRef, ServerFrame, Slot,
    Start, Wants, Welcome,
};
use serde_json::{Value, json};

use super::{to_hex, word};

/// The fields of a frame from a client.
pub(crate) fn client(frame: &ClientFrame<'_>) -> Value {
    match frame {
        ClientFrame::Hello(hello) => json!({
            "version_min": hello.version_min,
            "version_max": hello.version_max,
            "features": word(hello.features.0),
            "producer": word(hello.producer.map_or(0, |producer| producer.0)),
            "namespace": hello.namespace.0,
            "device": hello.device.map_or(0, |device| device.0),
            "keepalive_ms": hello.keepalive_ms,
            "frame_bytes_max": hello.frame_bytes_max,
            "user": hello.user,
            "extension_2_client": hello.client,
        }),
        ClientFrame::Ping(ping) => json!({ "nonce": word(ping.nonce) }),
        ClientFrame::Pong(pong) => json!({ "nonce": word(pong.nonce) }),
        ClientFrame::Publish(publish) => json!({
            "room": room(publish.room),
            "producer": word(publish.producer.0),
            "producer_seq": word(publish.producer_seq.0),
            "record_kind": publish.kind.wire(),
            "codec": publish.codec,
            "ack": publish.ack as u8,
            "expect_seq": word(publish.expect_seq.0),
            "headers": to_hex(publish.headers),
            "body": to_hex(publish.body),
        }),
        ClientFrame::Subscribe(subscribe) => {
            let (start, position, link, cursor) = match subscribe.start {
                Start::Live => (0, 0, 0, None),
                Start::After { seq, link } => (1, seq.0, link.0, None),
                Start::Last(count) => (2, count, 0, None),
                Start::Time(time) => (3, time.0, 0, None),
                Start::Cursor(name) => (4, 0, 0, Some(name)),
            };
            let Wants { signals, cursors } = subscribe.wants;
            let wants = u32::from(signals) | u32::from(cursors) << 1;
            json!({
                "room": room(subscribe.room),
                "start": start,
                "position": word(position),
                "link": word(link),
                "extension_2_wants": (wants != 0).then_some(wants),
                "extension_4_cursor": cursor,
            })
        }
        ClientFrame::Unsubscribe(unsubscribe) => {
            json!({ "room": room(unsubscribe.room), "code": unsubscribe.code.wire() })
        }
        ClientFrame::Fetch(fetch) => {
            let (range, position) = match fetch.range {
                FetchRange::Latest => (0, 0),
                FetchRange::Before(seq) => (1, seq.0),
                FetchRange::After(seq) => (2, seq.0),
                FetchRange::Around(seq) => (3, seq.0),
                FetchRange::Time(time) => (4, time.0),
            };
            json!({
                "room": room(fetch.room),
                "range": range,
                "position": word(position),
                "limit": fetch.limit,
                "read": fetch.read as u8,
                "token": word(fetch.token),
            })
        }
        ClientFrame::Cursor(cursor) => json!({
            "room": room(cursor.room),
            "name": cursor.name,
            "seq": word(cursor.position.seq.0),
            "count": word(cursor.position.count.0),
            "scope": cursor.scope.wire(),
            "sync": cursor.is_sync,
        }),
        ClientFrame::Signal(signal) => json!({
            "room": room(signal.room),
            "name": signal.name,
            "key": to_hex(signal.key),
            "value": to_hex(signal.value),
        }),
        ClientFrame::Metadata(request) => json!({ "version": word(request.version) }),
        _ => panic!("a kind without a description"),
    }
}

/// The fields of a frame from a server.
pub(crate) fn server(frame: &ServerFrame<'_>) -> Value {
    match frame {
        ServerFrame::Welcome(frame) => welcome(frame),
        ServerFrame::Ping(ping) => json!({ "nonce": word(ping.nonce) }),
        ServerFrame::Pong(pong) => json!({
            "nonce": word(pong.nonce),
            "digest": pong.digest.map(|digest| word(digest.digest)),
            "rooms": pong.digest.map(|digest| digest.rooms),
            "behind": pong.digest.map(|digest| digest.behind),
            "as_of_ms": pong.digest.map(|digest| digest.as_of_ms),
        }),
        ServerFrame::Goaway(goaway) => json!({
            "code": goaway.code.wire(),
            "class": goaway.class.wire(),
            "retry_after_ms": goaway.retry_after_ms,
            "text": goaway.text,
            "extension_2_endpoints": goaway.endpoints,
        }),
        ServerFrame::Ok(ok) => json!({
            "extension_2_cursor": ok.cursor.map(|cursor| json!({
                "seq": word(cursor.position.seq.0),
                "count": word(cursor.position.count.0),
                "head_seq": word(cursor.head.seq.0),
                "head_count": word(cursor.head.count.0),
                "unread": cursor.unread(),
            })),
        }),
        ServerFrame::Error(error) => json!({
            "code": error.code.wire(),
            "class": error.class.wire(),
            "retry_after_ms": error.retry_after_ms,
            "hint": word(error.hint),
            "text": error.text,
        }),
        ServerFrame::Puback(puback) => json!({
            "entries": puback.entries().map(|entry| json!({
                "request": word(entry.request.0),
                "room_id": word(entry.room_id.0),
                "producer_seq": word(entry.producer_seq.0),
                "seq": word(entry.seq.0),
                "link": word(entry.link.0),
                "time": word(entry.time.0),
                "duplicate": entry.duplicate,
            })).collect::<Vec<_>>(),
        }),
        ServerFrame::Subscribed(subscribed) => json!({
            "room_id": word(subscribed.room_id.0),
            "head_seq": word(subscribed.head_seq.0),
            "head_count": word(subscribed.head_count.0),
            "head_link": word(subscribed.head_link.0),
            "head_time": word(subscribed.head_time.0),
            "first_seq": word(subscribed.first_seq.0),
            "next_seq": word(subscribed.next_seq.0),
            "link": word(subscribed.link.0),
            "producer_seq": word(subscribed.producer_seq.0),
            "role": subscribed.role,
            "extension_2_cursors": cursors(subscribed.cursors),
        }),
        ServerFrame::Unsubscribe(unsubscribe) => {
            json!({ "room": room(unsubscribe.room), "code": unsubscribe.code.wire() })
        }
        ServerFrame::Record(frame) => record(frame),
        ServerFrame::Gap(frame) => gap(frame),
        ServerFrame::Page(page) => json!({
            "room_id": word(page.head.room_id.0),
            "link": word(page.head.link.0),
            "head_seq": word(page.head.head_seq.0),
            "token": word(page.head.token),
            "first_seq": word(page.head.first_seq.0),
            "count": page.count,
            "last": page.last,
            "records": page.items().map(|item| match item.unwrap() {
                PageItem::Record(frame) => json!({ "record": record(&frame) }),
                PageItem::Gap(frame) => json!({ "gap": gap(&frame) }),
            }).collect::<Vec<_>>(),
        }),
        ServerFrame::Cursor(moved) => json!({
            "room_id": word(moved.room_id.0),
            "user": moved.user,
            "name": moved.name,
            "seq": word(moved.position.seq.0),
            "count": word(moved.position.count.0),
            "scope": moved.scope.wire(),
        }),
        ServerFrame::Signal(push) => json!({
            "room_id": word(push.room_id.0),
            "dropped": push.dropped,
            "name": push.signal.map_or("", |signal| signal.name),
            "key": push.signal.map(|signal| to_hex(signal.key)),
            "sender": push.signal.map(|signal| signal.sender),
            "device": push.signal.map(|signal| signal.device.0),
            "value": push.signal.map(|signal| to_hex(signal.value)),
        }),
        ServerFrame::Metadata(metadata) => json!({
            "version": word(metadata.version),
            "node": metadata.node.0,
            "partitions": metadata.partitions,
            "nodes": metadata.nodes().map(|node| json!({
                "node": node.node.0,
                "address": node.address,
            })).collect::<Vec<_>>(),
            "leaders": metadata.leaders().map(|leader| leader.map_or(0, |node| node.0)).collect::<Vec<_>>(),
            "partition_of_slot_1201": metadata.partition_of(Slot(1_201)),
        }),
        _ => panic!("a kind without a description"),
    }
}

/// The list of cursors in a SUBSCRIBED; `null` if there is none.
fn cursors(entries: CursorEntries<'_>) -> Value {
    let list: Vec<Value> = entries
        .map(|entry| {
            json!({
                "name": entry.name,
                "seq": word(entry.position.seq.0),
                "count": word(entry.position.count.0),
                "scope": entry.scope.wire(),
            })
        })
        .collect();
    if list.is_empty() {
        Value::Null
    } else {
        Value::Array(list)
    }
}

/// The fields of a record.
pub(crate) fn record(record: &Record<'_>) -> Value {
    json!({
        "crc": record.crc(),
        "erased": record.is_erased(),
        "link": word(record.link().0),
        "room_id": word(record.room_id().0),
        "seq": word(record.seq().0),
        "count": word(record.count().0),
        "time": word(record.time().0),
        "producer": word(record.producer().0),
        "producer_seq": word(record.producer_seq().0),
        "back": record.back(),
        "device": record.device().0,
        "record_kind": record.kind().wire(),
        "codec": record.codec(),
        "record_flags": record.record_flags(),
        "sender": record.sender(),
        "headers": to_hex(record.headers()),
        "body": to_hex(record.body()),
    })
}

fn welcome(welcome: &Welcome<'_>) -> Value {
    json!({
        "features": word(welcome.features.0),
        "producer": word(welcome.producer.0),
        "server_time": word(welcome.server_time.0),
        "node": welcome.node.0,
        "device": welcome.device.0,
        "keepalive_ms": welcome.keepalive_ms,
        "frame_bytes_max": welcome.frame_bytes_max,
        "body_bytes_max": welcome.body_bytes_max,
        "headers_bytes_max": welcome.headers_bytes_max,
        "in_flight_max": welcome.in_flight_max,
        "subscriptions_max": welcome.subscriptions_max,
        "requests_max": welcome.requests_max,
        "fetch_records_max": welcome.fetch_records_max,
        "version": welcome.version,
        "room_bytes_max": welcome.room_bytes_max,
        "user": welcome.user,
    })
}

fn gap(gap: &Gap) -> Value {
    json!({
        "room_id": word(gap.room_id.0),
        "from": word(gap.from.0),
        "to": word(gap.to.0),
        "link": word(gap.link.0),
        "reason": gap.reason.wire(),
    })
}

fn room(room: RoomRef<'_>) -> Value {
    match room {
        RoomRef::Id(id) => json!({ "id": word(id.0) }),
        RoomRef::Name(name) => json!({ "name": name }),
    }
}
