//! METADATA of one node.

use antiphon_protocol::{Features, Metadata, MetadataRequest, Slot};

use super::*;

fn ask(bench: &mut Bench, conn: ConnId, version: u64) -> Vec<u8> {
    let mut out = Vec::new();
    MetadataRequest { version }.encode(RequestId(15), &mut out);
    let _ = bench.feed(conn, &out);
    bench.take(conn)
}

fn read(bytes: &[u8]) -> Metadata<'_> {
    let frame = next_frame(bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(frame.header.id, RequestId(15));
    assert_eq!(frame.whole.len(), bytes.len(), "one frame");
    Metadata::decode(frame).unwrap()
}

#[test]
fn one_node_leads_all_but_what_stopped_and_tells_only_what_changed() {
    let mut bench = Bench::new();
    let ann = bench.open(1, "ann");
    let answer = ask(&mut bench, ann, 0);
    let first = read(&answer);
    assert_eq!(
        (first.version, first.node, first.partitions),
        (1, NodeId(7), 16)
    );
    assert_eq!(first.nodes().count(), 1);
    assert!(first.leaders().all(|leader| leader == Some(NodeId(7))));
    assert_eq!(first.partition_of(Slot(17)), Some(1));
    let answer = ask(&mut bench, ann, 1);
    assert_eq!(
        (read(&answer).partitions, read(&answer).nodes().count()),
        (0, 0)
    );
    bench.exchange.leading().stopped(3);
    let answer = ask(&mut bench, ann, 1);
    assert_eq!(read(&answer).version, 2);
    assert_eq!(read(&answer).leaders().nth(3), Some(None));
    assert_eq!(read(&answer).leaders().nth(4), Some(Some(NodeId(7))));
}

#[test]
fn an_answer_that_the_client_cannot_take_is_refused_with_its_length() {
    let mut bench = Bench::with(|config| config.map = SlotMap::even(4_096, 2));
    let ann = bench.connect(1);
    let hello = Hello {
        frame_bytes_max: 8 * 1024,
        ..Hello::new("ann")
    };
    bench.hello(ann, &hello);
    let _ = bench.take(ann);
    let answer = ask(&mut bench, ann, 0);
    let frame = next_frame(&answer, u32::MAX).unwrap().unwrap();
    let Ok(ServerFrame::Error(error)) = ServerFrame::decode(frame) else {
        panic!("an error")
    };
    assert_eq!(
        (error.code, error.hint),
        (Code::TOO_LARGE, 32 + 8 + 4 * 4_096)
    );
}

#[test]
fn only_features_that_were_named_and_are_served_are_granted() {
    let mut bench = Bench::new();
    let ann = bench.connect(1);
    let named = Features::METADATA | Features(1 << 40);
    let hello = Hello {
        features: named,
        ..Hello::new("ann")
    };
    bench.hello(ann, &hello);
    let said = bench.take(ann);
    let frame = next_frame(&said, u32::MAX).unwrap().unwrap();
    let Ok(ServerFrame::Welcome(welcome)) = ServerFrame::decode(frame) else {
        panic!("a welcome")
    };
    assert_eq!(welcome.features, Features::METADATA);
}
