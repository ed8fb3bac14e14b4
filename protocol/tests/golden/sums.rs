//! Vectors of hashes and packed numbers: slot, link, digest, crc, room id, producer.

use antiphon_protocol::{
    Link, Namespace, Producer, RecordKind, RoomId, RoomName, Seq, Slot, Timestamp, position_digest,
    publish_digest,
};
use serde_json::{Value, json};

use super::{cases, to_hex, word};

/// All of them.
pub(crate) fn all() -> Vec<Value> {
    let mut vectors: Vec<Value> = slots()
        .into_iter()
        .chain(room_ids())
        .chain(producers())
        .collect();
    vectors.extend(digests());
    vectors.extend(
        [(cases::room().0, 4), (7, 0), (u64::MAX, u64::MAX)].map(|(room, seq)| position(room, seq)),
    );
    vectors
}

fn slots() -> Vec<Value> {
    let longest = "ü".repeat(127) + "x";
    let names = [
        (0, "lobby"),
        (1, "lobby"),
        (u32::MAX, "lobby"),
        (0, "a"),
        (0, "世界"),
        (7, &*longest),
    ];
    names
        .into_iter()
        .map(|(namespace, name)| slot(namespace, name))
        .collect()
}

/// A slot vector.
pub(crate) fn slot(namespace: u32, name: &str) -> Value {
    let slot = Slot::of(Namespace(namespace), &RoomName::try_from(name).unwrap());
    json!({ "of": "slot", "namespace": namespace, "name": name, "slot": slot.0 })
}

fn room_ids() -> Vec<Value> {
    let lobby = cases::room();
    let numbers = [
        (lobby.slot().0, 1),
        (0, 1),
        (4_095, RoomId::COUNTER_MAX),
        (2_748, 0x000D_EF01_2345),
    ];
    numbers
        .into_iter()
        .map(|(slot, counter)| room_id(slot, counter))
        .collect()
}

/// A vector of a room id and the link before its first record.
pub(crate) fn room_id(slot: u16, counter: u64) -> Value {
    let id = RoomId::new(Slot(slot), counter).unwrap();
    json!({
        "of": "room_id",
        "slot": slot,
        "counter": word(counter),
        "room_id": word(id.0),
        "link_0": word(Link::start(id).0),
    })
}

fn producers() -> Vec<Value> {
    let births = [
        (cases::TIME.0, 0x2A_BCDE),
        (0, 1),
        ((1 << 42) - 1, (1 << 22) - 1),
    ];
    births
        .into_iter()
        .map(|(birth, random)| producer(birth, random))
        .collect()
}

/// A producer vector.
pub(crate) fn producer(birth: u64, random: u32) -> Value {
    let producer = Producer::new(Timestamp(birth), random);
    json!({ "of": "producer", "birth": word(birth), "random": random, "producer": word(producer.0) })
}

fn digests() -> Vec<Value> {
    let headers = cases::headers();
    let body = "Grüße, 世界".as_bytes();
    vec![
        digest(0, 0, b"", b""),
        digest(0, 0, b"", b"Hello!"),
        digest(0, 0, &headers, body),
        digest(64, 7, b"", &[0, 255, 1]),
        digest(0, 0, b"", b"123456789"),
    ]
}

/// What one room adds to the digest of a PONG.
pub(crate) fn position(room: u64, seq: u64) -> Value {
    let digest = position_digest(RoomId(room), Seq(seq));
    json!({ "of": "position", "room_id": word(room), "seq": word(seq), "digest": word(digest) })
}

/// A digest vector, and beside it the plain crc32c of the body.
pub(crate) fn digest(kind: u8, codec: u8, headers: &[u8], body: &[u8]) -> Value {
    let digest = publish_digest(RecordKind::from_wire(kind), codec, headers, body);
    json!({
        "of": "digest",
        "record_kind": kind,
        "codec": codec,
        "headers": to_hex(headers),
        "body": to_hex(body),
        "digest": digest,
        "crc32c_of_body": crc32c::crc32c(body),
    })
}
