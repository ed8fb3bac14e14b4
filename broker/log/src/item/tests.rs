//! Items as bytes, and that any bytes are answered.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use antiphon_protocol::{
    Count, Device, Link, Namespace, Producer, ProducerSeq, Record, RecordFields, RecordKind,
    RoomId, Seq, Timestamp, records,
};
use proptest::prelude::*;

use crate::item::{Item, ItemError, ItemWriter, Items, RecordsWritten};

/// A record of `room` with this body; everything else is fixed.
pub(crate) fn fields(room: RoomId, seq: u64, body: &[u8]) -> RecordFields<'_> {
    RecordFields {
        room_id: room,
        seq: Seq(seq),
        count: Count(seq),
        time: Timestamp(1_700_000_000_000 + seq),
        producer: Producer(9),
        producer_seq: ProducerSeq(seq),
        back: 0,
        device: Device(1),
        kind: RecordKind::from_wire(0),
        codec: 0,
        record_flags: 0,
        sender: b"ann",
        headers: b"",
        body,
    }
}

/// Writes one RECORDS item with these bodies.
pub(crate) fn write(
    writer: &mut ItemWriter,
    room: RoomId,
    first: u64,
    before: Link,
    bodies: &[Vec<u8>],
) -> RecordsWritten {
    writer.begin_records(room, Seq(first), Count(first - 1), before);
    for (seq, body) in (first..).zip(bodies) {
        writer.record(&fields(room, seq, body));
    }
    writer.end_records()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect()
}

/// ROOM and EXPIRE by hand; of RECORDS the head and the fixed fields (records are `protocol`'s).
#[test]
fn items_have_these_bytes() {
    let room = RoomId(0x0123_4567_89ab_cdef);
    let mut writer = ItemWriter::new(vec![1, 2, 3]);
    writer.room(room, Namespace(5), b"tea");
    writer.expire(
        room,
        [(Producer(6), b"ann".as_slice()), (Producer(7), b"b")].into_iter(),
    );
    let written = write(&mut writer, room, 2, Link(8), &[b"hi".to_vec()]);
    let payload = writer.finish();

    let room_item = "1000000001000000efcdab89674523010500000003746561";
    assert_eq!(hex(&payload[..24]), room_item);
    let expire_item = concat!(
        "2600000003000000efcdab8967452301",
        "0200000000000000",
        "060000000000000003616e6e",
        "07000000000000000162",
        "00"
    );
    assert_eq!(hex(&payload[24..72]), alloc::format!("{expire_item}00"));
    let records_head = concat!(
        "9800000002000000efcdab8967452301",
        "02000000000000000100000000000000",
        "0800000000000000",
        "7000000000000000"
    );
    assert_eq!(hex(&payload[72..120]), records_head);
    assert_eq!(written.records, (120, payload.len()));
    let record = Record::parse(&payload[120..]).expect("the record is whole");
    assert_eq!(
        (record.seq(), record.body(), record.link()),
        (Seq(2), b"hi".as_slice(), written.link)
    );
    assert!(record.verify_link(Link(8)));
}

#[test]
fn an_expire_of_nobody_writes_nothing() {
    let mut writer = ItemWriter::default();
    writer.expire(RoomId(1), core::iter::empty());
    assert!(writer.is_empty());
}

#[test]
#[should_panic(expected = "INV-ITEM-3")]
fn a_record_out_of_order_is_a_bug() {
    let mut writer = ItemWriter::default();
    writer.begin_records(RoomId(1), Seq(1), Count(0), Link(0));
    writer.record(&fields(RoomId(1), 2, b""));
}

#[test]
#[should_panic(expected = "INV-ITEM-4")]
fn an_item_left_open_is_a_bug() {
    let mut writer = ItemWriter::default();
    writer.begin_records(RoomId(1), Seq(1), Count(0), Link(0));
    let _ = writer.finish();
}

/// What each damaged payload is answered with.
#[test]
fn unlawful_items_are_refused_and_end_the_list() {
    let mut writer = ItemWriter::default();
    writer.room(RoomId(1), Namespace(0), b"r");
    let room = writer.finish();
    let with = |at: usize, byte: u8| {
        let mut broken = room.clone();
        broken[at] = byte;
        broken
    };
    let malformed = ItemError::Malformed { at: 0, kind: 1 };
    let table = [
        (
            "unknown kind",
            with(4, 77),
            ItemError::UnknownKind { at: 0, kind: 77 },
        ),
        (
            "numbered, not served",
            with(4, 4),
            ItemError::UnknownKind { at: 0, kind: 4 },
        ),
        ("reserved", with(5, 1), malformed),
        ("padding", with(23, 1), malformed),
        ("no name", with(20, 0), malformed),
        ("name longer than the item", with(20, 2), malformed),
        (
            "length beyond the payload",
            with(1, 1),
            ItemError::Cut { at: 0 },
        ),
        (
            "padding missing",
            room[..23].to_vec(),
            ItemError::Cut { at: 0 },
        ),
        ("head cut", room[..7].to_vec(), ItemError::Cut { at: 0 }),
    ];
    for (name, bytes, expected) in table {
        let mut items = Items::new(&bytes);
        assert_eq!(items.next(), Some(Err(expected)), "{name}");
        assert_eq!(items.next(), None, "{name}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Room(u64, Vec<u8>),
    Records(u64, u64, Vec<Vec<u8>>),
    Expire(u64, Vec<(u64, Vec<u8>)>),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = |range| prop::collection::vec(any::<u8>(), range);
    prop_oneof![
        (any::<u64>(), bytes(1..256)).prop_map(|(room, name)| Step::Room(room, name)),
        (
            any::<u64>(),
            1_u64..1 << 40,
            prop::collection::vec(bytes(0..50), 1..5)
        )
            .prop_map(|(room, first, bodies)| Step::Records(room, first, bodies)),
        (
            any::<u64>(),
            prop::collection::vec((any::<u64>(), bytes(1..65)), 1..5)
        )
            .prop_map(|(room, list)| Step::Expire(room, list)),
    ]
}

fn build(steps: &[Step]) -> Vec<u8> {
    let mut writer = ItemWriter::default();
    for step in steps {
        match step {
            Step::Room(room, name) => writer.room(RoomId(*room), Namespace(1), name),
            Step::Records(room, first, bodies) => {
                write(&mut writer, RoomId(*room), *first, Link(3), bodies);
            }
            Step::Expire(room, list) => {
                let list = list
                    .iter()
                    .map(|(producer, sender)| (Producer(*producer), &sender[..]));
                writer.expire(RoomId(*room), list);
            }
        }
    }
    writer.finish()
}

fn check(step: &Step, item: &Item<'_>) {
    match (step, item) {
        (Step::Room(room, name), Item::Room(item)) => {
            assert_eq!(
                (item.room, item.namespace, item.name),
                (RoomId(*room), Namespace(1), &name[..])
            );
        }
        (Step::Records(room, first, bodies), Item::Records(item)) => {
            assert_eq!((item.room, item.first), (RoomId(*room), Seq(*first)));
            assert_eq!(
                (item.count_before, item.link_before),
                (Count(first - 1), Link(3))
            );
            let read: Vec<Vec<u8>> = records(item.records)
                .map(|record| record.expect("records are whole").body().to_vec())
                .collect();
            assert_eq!(&read, bodies);
        }
        (Step::Expire(room, list), Item::Expire(item)) => {
            assert_eq!(item.room, RoomId(*room));
            let read: Vec<(u64, Vec<u8>)> = item
                .expired()
                .map(|(producer, sender)| (producer.0, sender.to_vec()))
                .collect();
            assert_eq!(&read, list);
        }
        other => panic!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn items_are_read_as_they_were_written(steps in prop::collection::vec(step(), 0..12)) {
        let payload = build(&steps);
        let items: Result<Vec<Item<'_>>, ItemError> = Items::new(&payload).collect();
        let items = items.expect("what was written is lawful");
        prop_assert_eq!(items.len(), steps.len());
        for (step, item) in steps.iter().zip(&items) {
            check(step, item);
        }
    }

    #[test]
    fn a_cut_payload_gives_the_whole_items_before_the_cut(
        steps in prop::collection::vec(step(), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let payload = build(&steps);
        let mut ends = Vec::from([0]);
        let mut items = Items::new(&payload);
        while items.next().is_some() {
            ends.push(items.offset());
        }
        let cut = cut.index(payload.len());
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let read: Vec<_> = Items::new(&payload[..cut]).collect();
        prop_assert!(read[..whole].iter().all(Result::is_ok));
        let rest = if ends.contains(&cut) { None } else { Some(Err(ItemError::Cut { at: ends[whole] })) };
        prop_assert_eq!(read.get(whole).cloned(), rest);
    }

    #[test]
    fn broken_bytes_are_answered(
        steps in prop::collection::vec(step(), 1..4),
        breaks in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        noise in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let mut payload = build(&steps);
        for (place, byte) in breaks {
            let place = place.index(payload.len());
            payload[place] = byte;
        }
        for bytes in [payload, noise] {
            let mut items = Items::new(&bytes);
            let failures = items.by_ref().filter(Result::is_err).count();
            prop_assert!(failures <= 1);
            prop_assert_eq!(items.offset(), bytes.len());
        }
    }
}
