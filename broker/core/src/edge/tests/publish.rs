use alloc::vec::Vec;

use antiphon_protocol::{Code, Link, ProducerSeq, RequestId, RoomId, RoomRef, Seq, Timestamp};

use super::{Bench, conn, drained, name};
use crate::core::{ConnId, CoreId, Flow, Output};
use crate::lane::{Ack, Refused, Reject, RoomKey, ToEdge, ToHome};
use crate::limits::{
    BATCH_BYTES_MAX, CHANNEL_IDLE_MS, CHANNEL_PLACES, CHANNEL_WAIT_MS, UNSENT_BYTES_MAX,
};

const R: RoomRef<'static> = RoomRef::Name("r");

pub(super) fn ack(conn: ConnId, request: u64, seq: u64) -> Ack {
    Ack {
        conn,
        request: RequestId(request),
        room: RoomId(9),
        producer_seq: ProducerSeq(seq),
        seq: Seq(seq),
        link: Link(1),
        time: Timestamp(2),
        duplicate: false,
        quiet: false,
    }
}

fn rejected(conn: ConnId, request: u64, code: Code, hint: u64) -> ToEdge {
    let request = RequestId(request);
    ToEdge::Reject(Reject {
        conn,
        request,
        of: Refused::Publish,
        code,
        class: None,
        hint,
        retry_after_ms: 0,
    })
}

#[test]
fn the_publishes_of_a_turn_become_one_batch_with_one_payload() {
    let mut bench = Bench::new();
    let (ann, bob) = (bench.open(0, "ann"), bench.open(1, "bob"));
    let mut bytes = bench.publish_frame(ann, 1, R, 1, b"one");
    bytes.extend(bench.publish_frame(ann, 2, R, 2, b""));
    bytes.extend(bench.publish_frame(ann, 3, R, 3, b"three"));
    let _ = bench.feed(ann, &bytes);
    let frame = bench.publish_frame(bob, 1, R, 1, b"bob's");
    let _ = bench.feed(bob, &frame);
    let asked = bench.asked();
    assert_eq!(asked.len(), 1, "one channel for both");
    assert!(
        matches!(&asked[0], ToHome::OpenChannel { room: RoomKey::Name(room), .. } if *room == name("r"))
    );
    let channel = bench.open_channel("r");
    let batches = drained(&channel);
    assert_eq!(batches.len(), 2);
    let told: Vec<_> = batches[0]
        .publishes
        .iter()
        .map(|publish| (publish.request.0, batches[0].body(publish)))
        .collect();
    assert_eq!(told, [(1, &b"one"[..]), (2, b""), (3, b"three")]);
    assert_eq!(batches[0].sender.as_str(), "ann");
    assert_eq!((batches[0].conn, batches[1].conn), (ann, bob));
    assert_eq!(&batches[1].payload[..], b"bob's");
}

#[test]
fn an_open_channel_takes_batches_at_once_and_wakes_its_home_once() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let frame = bench.publish_frame(ann, 1, R, 1, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let channel = bench.open_channel("r");
    for seq in 2..=4 {
        let frame = bench.publish_frame(ann, seq, R, seq, b"x");
        let _ = bench.feed(ann, &frame);
        bench.turn();
    }
    assert_eq!(drained(&channel).len(), 4);
    let wakes = bench
        .outputs
        .iter()
        .filter(|output| matches!(output, Output::Wake(CoreId(1))))
        .count();
    assert_eq!(wakes, 1, "the ready flag was set already");
    assert!(bench.exchange.next_ready(CoreId(1)).is_some());
}

#[test]
fn a_batch_ends_at_its_byte_limit() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let half = std::vec![7; BATCH_BYTES_MAX as usize / 2];
    let mut bytes = Vec::new();
    for seq in 1..=3 {
        bytes.extend(bench.publish_frame(ann, seq, R, seq, &half));
    }
    bytes.extend(bench.publish_frame(ann, 4, R, 4, &std::vec![8; BATCH_BYTES_MAX as usize * 2]));
    let _ = bench.feed(ann, &bytes);
    bench.turn();
    let channel = bench.open_channel("r");
    let sizes: Vec<_> = drained(&channel)
        .iter()
        .map(|batch| batch.publishes.len())
        .collect();
    assert_eq!(sizes, [2, 1, 1]);
}

#[test]
fn acks_of_a_turn_share_one_frame() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let mut bytes = Vec::new();
    for seq in 1..=4 {
        bytes.extend(bench.publish_frame(ann, 10 + seq, R, seq, b"x"));
    }
    let _ = bench.feed(ann, &bytes);
    bench.turn();
    bench.handle(ToEdge::Acks(
        [ack(ann, 11, 1), ack(conn(9), 5, 1), ack(ann, 12, 2)].to_vec(),
    ));
    bench.handle(ToEdge::Acks(
        [Ack {
            quiet: true,
            ..ack(ann, 13, 3)
        }]
        .to_vec(),
    ));
    bench.handle(rejected(ann, 14, Code::OUT_OF_ORDER, 3));
    assert_eq!(
        bench.said(ann),
        ["PUBACK 11@1 12@2", "ERROR 14 OUT_OF_ORDER hint 3"]
    );
    assert_eq!(bench.edge.conns.open(ann).unwrap().in_flight, 0);
}

#[test]
fn a_publish_that_cannot_be_taken_is_refused_and_the_connection_lives() {
    let mut bench = Bench::with(|config| config.limits.body_bytes_max = 10);
    let ann = bench.open(0, "ann");
    let big = bench.publish_frame(ann, 1, R, 1, b"12345678901");
    let _ = bench.feed(ann, &big);
    let mut strange = bench.publish_frame(ann, 2, R, 1, b"x");
    strange[24] ^= 1;
    let _ = bench.feed(ann, &strange);
    let mut edit = bench.publish_frame(ann, 4, R, 1, b"x");
    edit[47] = 1;
    let _ = bench.feed(ann, &edit);
    assert_eq!(
        bench.said(ann),
        [
            "ERROR 1 TOO_LARGE hint 10",
            "ERROR 2 BAD_STATE hint 0",
            "ERROR 4 BAD_FRAME hint 0",
        ]
    );
    assert!(bench.asked().is_empty());
}

#[test]
fn a_connection_with_too_many_publishes_in_flight_is_not_read_until_some_are_answered() {
    let mut bench = Bench::with(|config| config.limits.in_flight_max = 3);
    let ann = bench.open(0, "ann");
    for seq in 1..=3 {
        let frame = bench.publish_frame(ann, seq, R, seq, b"x");
        let flow = bench.feed(ann, &frame);
        assert_eq!(flow, if seq < 3 { Flow::Continue } else { Flow::Pause });
    }
    bench.turn();
    assert!(bench.resumes().is_empty());
    bench.handle(ToEdge::Acks([ack(ann, 1, 1), ack(ann, 2, 2)].to_vec()));
    bench.turn();
    assert_eq!(bench.resumes(), [ann], "once");
}

#[test]
fn a_connection_with_too_many_unsent_bytes_is_not_read() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let frame = bench.publish_frame(ann, 1, R, 1, &std::vec![1; UNSENT_BYTES_MAX as usize]);
    assert_eq!(bench.feed(ann, &frame), Flow::Pause);
    bench.turn();
    let _channel = bench.open_channel("r");
    bench.turn();
    assert_eq!(bench.resumes(), [ann]);
}

/// Fills the channel of room r with batches of connection 0.
fn full(bench: &mut Bench) -> (ConnId, alloc::sync::Arc<crate::channel::RoomChannel>) {
    let ann = bench.open(0, "ann");
    let frame = bench.publish_frame(ann, 1, R, 1, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let channel = bench.open_channel("r");
    for seq in 2..=CHANNEL_PLACES as u64 {
        let frame = bench.publish_frame(ann, seq, R, seq, b"x");
        assert_eq!(bench.feed(ann, &frame), Flow::Continue);
        bench.turn();
    }
    (ann, channel)
}

#[test]
fn a_full_channel_stops_its_publisher_until_a_place_is_free() {
    let mut bench = Bench::new();
    let (ann, channel) = full(&mut bench);
    let frame = bench.publish_frame(ann, 65, R, 65, b"late");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let frame = bench.publish_frame(ann, 66, R, 66, b"later");
    assert_eq!(bench.feed(ann, &frame), Flow::Pause);
    bench.turn();
    assert_eq!(channel.take().unwrap().publishes[0].request, RequestId(1));
    bench.sleep(10);
    assert!(bench.resumes().is_empty(), "the second one is still parked");
    assert_eq!(channel.take().unwrap().publishes[0].request, RequestId(2));
    bench.sleep(10);
    assert_eq!(bench.resumes(), [ann]);
    let order: Vec<_> = drained(&channel)
        .iter()
        .map(|batch| batch.publishes[0].request.0)
        .collect();
    assert_eq!(order, (3..=66).collect::<Vec<_>>());
}

#[test]
fn a_channel_that_stays_full_is_answered_with_limit() {
    let mut bench = Bench::new();
    let (ann, _channel) = full(&mut bench);
    let mut bytes = bench.publish_frame(ann, 65, R, 65, b"x");
    bytes.extend(bench.publish_frame(ann, 66, R, 66, b"x"));
    let _ = bench.feed(ann, &bytes);
    bench.turn();
    bench.sleep(CHANNEL_WAIT_MS - 1);
    assert_eq!(bench.said(ann), [""; 0]);
    bench.sleep(CHANNEL_WAIT_MS);
    assert_eq!(
        bench.said(ann),
        ["ERROR 65 LIMIT hint 64", "ERROR 66 LIMIT hint 64"]
    );
    assert_eq!(
        bench.edge.conns.open(ann).unwrap().in_flight,
        CHANNEL_PLACES as u32
    );
    assert_eq!(bench.edge.conns.open(ann).unwrap().unsent_bytes, 0);
    assert!(bench.edge.publishing.parked.is_empty());
}

#[test]
fn a_full_channel_stops_nobody_elses_publisher() {
    let mut bench = Bench::new();
    let (ann, _channel) = full(&mut bench);
    let frame = bench.publish_frame(ann, 65, R, 65, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let bob = bench.open(1, "bob");
    let frame = bench.publish_frame(bob, 1, RoomRef::Name("quiet"), 1, b"x");
    assert_eq!(bench.feed(bob, &frame), Flow::Continue);
    bench.turn();
    let quiet = bench.open_channel("quiet");
    assert_eq!(drained(&quiet).len(), 1);
}

#[test]
fn a_room_that_is_not_there_refuses_its_publishes_and_is_asked_for_again() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let room = RoomId(1 << 52 | 7);
    for id in [1, 2] {
        let frame = bench.publish_frame(ann, id, RoomRef::Id(room), 1, b"x");
        let _ = bench.feed(ann, &frame);
        assert!(
            matches!(bench.asked()[..], [ToHome::OpenChannel { room: RoomKey::Id(asked), .. }] if asked == room)
        );
        // A publish that is gathered while the answer is under way is refused too.
        let frame = bench.publish_frame(ann, 10 + id, RoomRef::Id(room), 2, b"x");
        let _ = bench.feed(ann, &frame);
        bench.handle(ToEdge::ChannelRefused {
            namespace: antiphon_protocol::Namespace(0),
            room: RoomKey::Id(room),
            code: Code::NOT_FOUND,
            hint: 7,
        });
        let said = bench.said(ann);
        assert_eq!(
            said,
            [
                std::format!("ERROR {id} NOT_FOUND hint 7"),
                std::format!("ERROR {} NOT_FOUND hint 7", 10 + id)
            ]
        );
    }
    assert_eq!(bench.edge.stats().channels, 0);
}

#[test]
fn an_idle_channel_is_let_go() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let frame = bench.publish_frame(ann, 1, R, 1, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let channel = bench.open_channel("r");
    assert_eq!(
        alloc::sync::Arc::strong_count(&channel),
        3,
        "test, edge, ready queue"
    );
    for _ in 0..(2 * CHANNEL_IDLE_MS / 1_000) {
        bench.sleep(1_000);
        let frame = ping();
        let _ = bench.feed(ann, &frame);
        let _ = bench.take(ann);
    }
    assert_eq!(alloc::sync::Arc::strong_count(&channel), 2);
    assert_eq!(bench.edge.stats().channels, 0);
}

fn ping() -> Vec<u8> {
    let mut out = Vec::new();
    antiphon_protocol::Ping { nonce: 0 }.encode(RequestId(1), &mut out);
    out
}

#[test]
fn answers_to_a_connection_that_is_gone_go_nowhere() {
    let mut bench = Bench::new();
    let ann = bench.open(0, "ann");
    let frame = bench.publish_frame(ann, 1, R, 1, b"x");
    let _ = bench.feed(ann, &frame);
    bench.edge.disconnected(ann);
    bench.outputs.clear();
    bench.turn();
    let channel = bench.open_channel("r");
    assert_eq!(drained(&channel).len(), 1, "what was taken takes effect");
    bench.handle(ToEdge::Acks([ack(ann, 1, 1)].to_vec()));
    bench.handle(rejected(ann, 1, Code::INTERNAL, 0));
    bench.turn();
    assert!(
        !bench
            .outputs
            .iter()
            .any(|output| matches!(output, Output::Flush(conn) if *conn == ann))
    );
}

#[test]
fn nobody_overtakes_a_parked_batch_by_naming_the_room_otherwise() {
    let mut bench = Bench::new();
    let (ann, channel) = full(&mut bench);
    let frame = bench.publish_frame(ann, 65, R, 65, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let room = RoomKey::Id(RoomId(9));
    let frame = bench.publish_frame(ann, 66, RoomRef::Id(RoomId(9)), 66, b"x");
    let _ = bench.feed(ann, &frame);
    bench.turn();
    let _ = channel.take();
    let namespace = antiphon_protocol::Namespace(0);
    let opened = crate::lane::ChannelOpened {
        namespace,
        room,
        channel: alloc::sync::Arc::clone(&channel),
    };
    bench.handle(ToEdge::ChannelOpened(opened));
    let order = |bench: &mut Bench| {
        bench.sleep(5);
        drained(&channel)
            .iter()
            .map(|batch| batch.publishes[0].request.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(order(&mut bench), (2..=65).collect::<Vec<_>>());
    assert_eq!(order(&mut bench), [66]);
}

#[test]
fn a_batch_has_a_limited_number_of_publishes() {
    let mut bench = Bench::with(|config| config.limits.in_flight_max = 10_000);
    let ann = bench.open(0, "ann");
    let count = crate::limits::BATCH_PUBLISHES_MAX as u64 + 1;
    for seq in 1..=count {
        let frame = bench.publish_frame(ann, seq, R, seq, b"");
        let _ = bench.feed(ann, &frame);
    }
    bench.turn();
    let channel = bench.open_channel("r");
    let sizes: Vec<_> = drained(&channel)
        .iter()
        .map(|batch| batch.publishes.len())
        .collect();
    assert_eq!(sizes, [crate::limits::BATCH_PUBLISHES_MAX, 1]);
}
