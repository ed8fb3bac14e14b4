//! Reader threads over a real log.

use antiphon_core::{ConnId, CoreId, ReadPurpose, SliceRoute};
use antiphon_core::{Recovering, lane::Ticket};
use antiphon_disk::{DataDirectory, NewDirectory};
use antiphon_log::{
    Append, Entry, EntryKind, GroupId, HardState, Index, ItemWriter, Located, Log, LogPosition,
    LogSettings, Term,
};
use antiphon_protocol::{
    Count, Device, Link, NodeId, Producer, ProducerSeq, RecordFields, RecordKind, RoomId, Seq,
    Slot, Timestamp, records,
};
use mio::{Poll, Token};
use tempfile::TempDir;

use super::*;

const ROOM: RoomId = RoomId::new(Slot(3), 1).expect("a lawful room");

/// A room with 10 records in two batches, in a log that stays open.
struct World {
    directory: DataDirectory,
    located: Vec<Located>,
    below: LogPosition,
    _log: Log<antiphon_disk::FileDisk>,
    _temporary: TempDir,
}

/// An entry with the records `first..first + 5` of the room; also the link after them.
fn entry(index: u64, first: u64, before: Link) -> (Entry, Link) {
    let mut items = ItemWriter::new(Vec::new());
    items.begin_records(ROOM, Seq(first), Count(first - 1), before);
    let mut link = before;
    for seq in first..first + 5 {
        let body = vec![seq as u8; 1_000];
        link = items.record(&RecordFields {
            room_id: ROOM,
            seq: Seq(seq),
            count: Count(seq),
            time: Timestamp(1),
            producer: Producer(1),
            producer_seq: ProducerSeq(seq),
            back: 0,
            device: Device(1),
            kind: RecordKind::MESSAGE,
            codec: 0,
            record_flags: 0,
            sender: b"ann",
            headers: &[],
            body: &body,
        });
    }
    items.end_records();
    let payload = items.finish().into();
    (
        Entry {
            index: Index(index),
            term: Term(1),
            kind: EntryKind::Normal,
            payload,
        },
        link,
    )
}

impl World {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let new = NewDirectory {
            node: NodeId(1),
            partitions: 1,
        };
        let directory = DataDirectory::open(temporary.path(), new).expect("a new directory");
        let settings = LogSettings::new(directory.file().directory_id);
        let settings = LogSettings {
            segment_bytes: 1 << 20,
            ..settings
        };
        let (mut log, _) =
            Log::open(directory.disk(), settings, &mut Recovering::new(1, 1)).expect("a log");
        let (first, link) = entry(1, 1, Link::start(ROOM));
        let (second, _) = entry(2, 6, link);
        log.submit(Append {
            group: GroupId(1),
            ready: 1,
            urgent: false,
            hard_state: Some(HardState {
                term: Term(1),
                vote: 1,
                commit: Index(0),
            }),
            commit: Index(0),
            entries: vec![first, second],
        });
        let flushed = log.flush().expect("a disk that works");
        let located = flushed.persisted[0]
            .positions
            .iter()
            .zip([1, 6])
            .map(|((_, at), first)| Located {
                first: Seq(first),
                next: Seq(first + 5),
                at: *at,
            })
            .collect();
        Self {
            directory,
            located,
            below: flushed.sync_end,
            _log: log,
            _temporary: temporary,
        }
    }

    fn job(&self, from: u64, until: u64, bytes_max: u32) -> ReadJob {
        let conn = ConnId {
            slot: 7,
            generation: 1,
        };
        ReadJob {
            reply_to: CoreId(1),
            purpose: ReadPurpose::Slice(SliceRoute {
                conn,
                ticket: Ticket(4),
            }),
            room: ROOM,
            from: Seq(from),
            until: Seq(until),
            bytes_max,
            located: self
                .located
                .iter()
                .copied()
                .filter(|located| located.next > Seq(from))
                .collect(),
            erased: Vec::new(),
            below: self.below,
        }
    }

    /// Asks all jobs and gives back the answers that core 1 gets, in order.
    fn ask(&self, jobs: Vec<ReadJob>) -> Vec<ReadAnswer> {
        let answers = self.ask_all(jobs.into_iter().map(Job::Records).collect());
        let records = answers.into_iter().map(|answer| match answer {
            Answer::Records(answer) => answer,
            Answer::Entries(answer) => panic!("nobody asked for {answer:?}"),
        });
        records.collect()
    }

    fn ask_all(&self, jobs: Vec<Job>) -> Vec<Answer> {
        let poll = Poll::new().expect("a poller");
        let sleeper = Arc::new(Sleeper::new(poll.registry(), Token(0)).expect("a waker"));
        let (nobody, _) = bounded(1);
        let (answers, heard) = bounded(jobs.len());
        let listeners = [nobody, answers]
            .map(|answers| ReadListener {
                answers,
                sleeper: Arc::clone(&sleeper),
            })
            .into();
        let (readers, mut port) =
            Readers::start(1, Arc::new(self.directory.maps(2)), listeners).expect("a thread");
        let asked = jobs.len();
        for job in jobs {
            port.ask(job);
        }
        let answers = heard.iter().take(asked).collect();
        drop(port);
        readers.join();
        answers
    }
}

fn seqs(answer: &ReadAnswer) -> Vec<u64> {
    let found = answer.result.as_ref().expect("records");
    let seqs: Vec<u64> = records(&found.records)
        .map(|record| record.expect("whole").seq().0)
        .collect();
    assert_eq!(
        (found.first.0, found.next.0),
        (seqs[0], seqs[seqs.len() - 1] + 1)
    );
    seqs
}

#[test]
fn records_are_read_over_batches_up_to_the_end_or_the_budget() {
    let world = World::new();
    let all = world.ask(vec![
        world.job(1, 11, 1 << 20),
        world.job(4, 8, 1 << 20),
        world.job(6, 11, 2_500),
    ]);
    assert_eq!(seqs(&all[0]), (1..=10).collect::<Vec<u64>>());
    assert_eq!(seqs(&all[1]), [4, 5, 6, 7]);
    assert_eq!(seqs(&all[2]), [6, 7]);
    assert_eq!(
        all[0].result.as_ref().expect("records").link_before,
        Link::start(ROOM)
    );
    assert!(matches!(all[0].purpose, ReadPurpose::Slice(route) if route.ticket == Ticket(4)));
}

#[test]
fn a_position_that_holds_nothing_is_damage_and_a_segment_that_is_not_there_is_gone() {
    let world = World::new();
    let mut shifted = world.job(1, 11, 1 << 20);
    shifted.located[0].at = shifted.located[1].at;
    let mut elsewhere = world.job(1, 11, 1 << 20);
    elsewhere.located[0].at = LogPosition::new(antiphon_log::SegmentId(99), 4_096);
    elsewhere.below = LogPosition::new(antiphon_log::SegmentId(100), 4_096);
    let answers = world.ask(vec![shifted, elsewhere]);
    assert_eq!(
        answers[0].result.as_ref().err(),
        Some(&ReadFailure::Damaged)
    );
    assert_eq!(answers[1].result.as_ref().err(), Some(&ReadFailure::Gone));
}

#[test]
fn entries_are_read_in_order_within_the_budget_and_a_place_that_lies_is_damage() {
    let world = World::new();
    let places: Vec<LogPosition> = world.located.iter().map(|located| located.at).collect();
    let ask = |first: u64, places: &[LogPosition], bytes_max: u32| {
        let job = EntryJob {
            reply_to: CoreId(1),
            group: GroupId(1),
            first: Index(first),
            places: places.to_vec(),
            bytes_max,
            below: world.below,
        };
        match world.ask_all(vec![Job::Entries(job)]).remove(0) {
            Answer::Entries(EntryAnswer { result, .. }) => result,
            Answer::Records(answer) => panic!("nobody asked for {answer:?}"),
        }
    };
    let indexes = |entries: Vec<Entry>| entries.iter().map(|one| one.index.0).collect::<Vec<_>>();
    let all = ask(1, &places, 1 << 20).expect("they are there");
    let payloads: Vec<usize> = all.iter().map(|one| one.payload.len()).collect();
    assert_eq!((indexes(all), payloads[0] > 5_000), (vec![1, 2], true));
    assert_eq!(ask(1, &places, 6_000).map(indexes), Ok(vec![1]));
    assert_eq!(ask(2, &places[1..], 1).map(indexes), Ok(vec![2]));
    assert_eq!(ask(2, &places, 1 << 20), Err(ReadFailure::Damaged));
    // What is whole before it is of use.
    let bent = [places[0], places[0]];
    assert_eq!(ask(1, &bent, 1 << 20).map(indexes), Ok(vec![1]));
}

#[test]
fn jobs_that_find_the_queue_full_wait_in_order_until_there_is_room() {
    let world = World::new();
    let (jobs, receiver) = bounded(1);
    let mut port = ReadPort::new(jobs);
    for from in 1..=3 {
        port.ask(Job::Records(world.job(from, from + 1, 100)));
    }
    for from in 1..=3 {
        assert_eq!(port.is_waiting(), from < 3, "before job {from} is taken");
        let job = receiver.try_recv().expect("a job");
        assert!(matches!(job, Job::Records(job) if job.from == Seq(from)));
        port.offer_again();
    }
    assert!(receiver.is_empty());
}
