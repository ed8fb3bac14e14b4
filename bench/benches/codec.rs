//! Cost per message of the codec: what a publish and a delivery pass through without the log and the sockets.

use std::hint::black_box;

use antiphon_bench::message::{BODY_BYTES, fields, publishes, room_records};
use antiphon_protocol::{ClientFrame, Link, RoomId, append_record, limits, next_frame, records};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MESSAGES: u64 = 64;

fn decode(c: &mut Criterion) {
    let input = publishes(MESSAGES);
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("64 publishes", |b| {
        b.iter(|| {
            let mut rest = black_box(input.as_slice());
            let mut bytes = 0;
            while let Some(frame) = next_frame(rest, limits::FRAME_BYTES_MAX).expect("lawful") {
                rest = &rest[frame.whole.len()..];
                match ClientFrame::decode(frame) {
                    Ok(ClientFrame::Publish(publish)) => bytes += publish.body.len(),
                    other => panic!("not a publish: {other:?}"),
                }
            }
            bytes
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let body = [b'x'; BODY_BYTES];
    let mut out = Vec::with_capacity(64 * 1024);
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(MESSAGES));
    group.bench_function("append 64, linked and summed", |b| {
        b.iter(|| {
            out.clear();
            let mut link = Link::start(RoomId(1));
            for seq in 1..=MESSAGES {
                link = append_record(&mut out, black_box(&fields(seq, &body)), link);
            }
            link
        });
    });
    let input = room_records(MESSAGES);
    group.bench_function("parse 64, sums and links checked", |b| {
        b.iter(|| {
            let mut link = Link::start(RoomId(1));
            for record in records(black_box(&input)) {
                let record = record.expect("ours");
                assert!(record.verify_link(link));
                link = record.link();
            }
            link
        });
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
