//! What the paths of `gates` take in time: admit, append, fan-out, index. `cargo bench -p antiphon-gates`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use antiphon_disk::{DataDirectory, NewDirectory};
use antiphon_gates::case::Case;
use antiphon_gates::limits::{BATCH_MESSAGES, BODY_BYTES, WARM_UP_ROUNDS};
use antiphon_log::{
    Append, Entry, EntryKind, GroupId, HardState, Index, Log, LogPosition, LogSettings, RoomIndex,
    SegmentId, Term,
};
use antiphon_protocol::{NodeId, RoomId, Seq};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Rounds that a scene has before another one is made.
const SCENE_ROUNDS: u64 = 1_000;
/// Room of the index, and batches of each.
const INDEX_ROOMS: u64 = 1_000;
const INDEX_BATCHES: u64 = 100;

/// Whole paths: what is admitted is also appended, applied and sent, since none of that can be left out.
fn cases(c: &mut Criterion) {
    for (group, case) in [
        ("admit", Case::Publish),
        ("admit", Case::PublishOne),
        ("fan-out", Case::Fanout),
        ("fan-out", Case::FanoutBatch),
        ("fan-out", Case::Rooms),
        ("fan-out", Case::Signals),
    ] {
        let (unit, per_round) = case.units();
        let mut group = c.benchmark_group(group);
        group.throughput(Throughput::Elements(per_round as u64));
        let name = format!("{}, per {unit}", case.name());
        group.bench_function(name, |b| b.iter_custom(|rounds| time(case, rounds)));
        group.finish();
    }
}

fn time(case: Case, rounds: u64) -> Duration {
    let mut taken = Duration::ZERO;
    let mut left = rounds;
    while left > 0 {
        let now = left.min(SCENE_ROUNDS) as usize;
        left -= now as u64;
        let mut scene = case.scene(WARM_UP_ROUNDS + now);
        scene.run(WARM_UP_ROUNDS);
        let start = Instant::now();
        scene.run(now);
        taken += start.elapsed();
    }
    taken
}

/// An entry goes through the log and to the disk: with its sync, which is nearly all of it.
fn append(c: &mut Criterion) {
    let place = tempfile::tempdir().expect("a directory for a moment");
    let new = NewDirectory {
        node: NodeId(1),
        partitions: 1,
    };
    let directory = DataDirectory::open(place.path(), new).expect("an empty directory opens");
    let settings = LogSettings::new(directory.file().directory_id);
    let mut nothing = antiphon_core::Recovering::new(1, 1);
    let (mut log, _) = Log::open(directory.disk(), settings, &mut nothing).expect("it opens");
    let payload = Bytes::from(vec![b'x'; BATCH_MESSAGES * BODY_BYTES]);
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Bytes(payload.len() as u64));
    let mut index = 0;
    group.bench_function("an entry of 64 messages, synced", |b| {
        b.iter(|| {
            index += 1;
            log.submit(entry(index, payload.clone()));
            log.flush().expect("the disk works")
        });
    });
    group.finish();
}

fn entry(index: u64, payload: Bytes) -> Append {
    let commit = Index(index - 1);
    let hard_state = HardState {
        term: Term(1),
        vote: 1,
        commit,
    };
    let entry = Entry {
        index: Index(index),
        term: Term(1),
        kind: EntryKind::Normal,
        payload,
    };
    Append {
        group: GroupId(1),
        ready: index,
        urgent: false,
        hard_state: (index == 1).then_some(hard_state),
        commit,
        entries: vec![entry],
    }
}

fn index(c: &mut Criterion) {
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(INDEX_ROOMS * INDEX_BATCHES));
    group.bench_function("insert 100 batches of each of 1,000 rooms", |b| {
        b.iter(|| filled().batches());
    });
    group.throughput(Throughput::Elements(1));
    let filled = filled();
    group.bench_function("locate in the middle of a room", |b| {
        b.iter(|| {
            let mut found = filled.locate(RoomId(500), Seq(black_box(INDEX_BATCHES / 2)));
            found.next().expect("it is there")
        });
    });
    group.finish();
}

fn filled() -> RoomIndex {
    let mut index = RoomIndex::new(1);
    let mut offset = 4_096;
    for seq in 1..=INDEX_BATCHES {
        for room in 1..=INDEX_ROOMS {
            let at = LogPosition::new(SegmentId(1), offset);
            index.insert(RoomId(room), Seq(seq), Seq(seq + 1), at);
            offset += 256;
        }
    }
    index
}

criterion_group!(benches, cases, append, index);
criterion_main!(benches);
