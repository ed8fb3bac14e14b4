//! Apply and the checkpoint's bytes.

use alloc::string::String;
use alloc::vec::Vec;

use antiphon_log::{Index, ItemWriter, Term};
use antiphon_protocol::{
    Count, Device, Link, Namespace, Producer, ProducerSeq, RecordFields, RecordKind, RoomId,
    RoomName, Seq, Slot, Timestamp,
};

use super::{ApplyFault, Effects, ProducerState, State, head_at_start};
use crate::home::limits::SEQ_END;
use crate::home::state::checkpoint::CheckpointFault;

fn tea() -> RoomId {
    RoomId::new(
        Slot::of(Namespace(0), &RoomName::try_from("tea").expect("lawful")),
        1,
    )
    .expect("lawful")
}

/// Born in millisecond 900.
const PRODUCER: Producer = Producer(900 << 22 | 77);

/// The first time at which it has been silent for seven days, if its only record is [`FIRST`].
const SILENT_AT: u64 = 1_000 + 7 * 24 * 3_600 * 1_000 + 1;

/// A record of a test.
#[derive(Clone, Copy)]
struct Line {
    seq: u64,
    count: u64,
    time: u64,
    producer_seq: u64,
    back: u32,
    kind: u8,
    sender: &'static str,
}

const FIRST: Line = Line {
    seq: 1,
    count: 1,
    time: 1_000,
    producer_seq: 1,
    back: 0,
    kind: 0,
    sender: "ann",
};

fn line(writer: &mut ItemWriter, room: RoomId, line: Line) -> Link {
    writer.record(&RecordFields {
        room_id: room,
        seq: Seq(line.seq),
        count: Count(line.count),
        time: Timestamp(line.time),
        producer: PRODUCER,
        producer_seq: ProducerSeq(line.producer_seq),
        back: line.back,
        device: Device(5),
        kind: RecordKind::from_wire(line.kind),
        codec: 0,
        record_flags: 0,
        sender: line.sender.as_bytes(),
        headers: b"",
        body: b"hello",
    })
}

fn payload(write: impl FnOnce(&mut ItemWriter)) -> Vec<u8> {
    let mut writer = ItemWriter::new(Vec::new());
    write(&mut writer);
    writer.finish()
}

/// The room and its first record.
fn creation(first: Line) -> Vec<u8> {
    payload(|writer| {
        writer.room(tea(), Namespace(0), b"tea");
        writer.begin_records(tea(), Seq(1), Count(0), Link::start(tea()));
        line(writer, tea(), first);
        writer.end_records();
    })
}

fn apply(state: &mut State, payload: &[u8]) -> Result<Effects, ApplyFault> {
    let mut effects = Effects::default();
    let index = state.applied().next();
    state.apply(index, Term(3), payload, &mut effects)?;
    Ok(effects)
}

fn created() -> State {
    let mut state = State::new(1);
    apply(&mut state, &creation(FIRST)).expect("lawful");
    state
}

/// Records behind those of [`created`].
fn more(lines: &[Line]) -> Vec<u8> {
    let head = created().room(tea()).expect("there").head;
    payload(|writer| {
        writer.begin_records(tea(), head.seq.next(), head.count, head.link);
        for one in lines {
            line(writer, tea(), *one);
        }
        writer.end_records();
    })
}

const SECOND: Line = Line {
    seq: 2,
    count: 1,
    time: 1_001,
    producer_seq: 2,
    back: 1,
    kind: 64,
    sender: "ann",
};

#[test]
fn records_move_head_count_time_and_producer() {
    let mut state = created();
    let effects = apply(&mut state, &more(&[SECOND])).expect("lawful");
    let part = &effects.parts[0];
    assert_eq!((part.room, part.first, part.next), (tea(), Seq(2), Seq(3)));
    let head = state.room(tea()).expect("there").head;
    assert_eq!(
        (head.seq, head.count, head.time),
        (Seq(2), Count(1), Timestamp(1_001)),
        "only kind 0 counts"
    );
    let known = state.producer(tea(), PRODUCER, b"ann");
    assert_eq!(
        known,
        Some(ProducerState {
            last: ProducerSeq(2),
            seq: Seq(2),
            time: Timestamp(1_001)
        })
    );
    assert_eq!(
        (state.applied(), state.term(), state.time()),
        (Index(2), Term(3), Timestamp(1_001))
    );
}

#[test]
fn what_does_not_continue_the_state_is_refused() {
    let faults = [
        (
            more(&[Line {
                producer_seq: 3,
                ..SECOND
            }]),
            ApplyFault::Producer,
        ),
        (
            more(&[Line {
                producer_seq: 1,
                ..SECOND
            }]),
            ApplyFault::Producer,
        ),
        (more(&[Line { back: 0, ..SECOND }]), ApplyFault::Producer),
        (
            more(&[Line {
                sender: "bob",
                ..SECOND
            }]),
            ApplyFault::Producer,
        ),
        (more(&[Line { count: 2, ..SECOND }]), ApplyFault::Head),
        (
            more(&[Line {
                time: 999,
                ..SECOND
            }]),
            ApplyFault::Time,
        ),
        (creation(FIRST), ApplyFault::Room),
        (
            payload(|writer| writer.room(RoomId(tea().0 + 1), Namespace(0), b"other")),
            ApplyFault::Room,
        ),
        (
            payload(|writer| writer.room(RoomId(tea().0 + 2), Namespace(0), b"tea")),
            ApplyFault::Room,
        ),
        (
            payload(|writer| writer.expire(tea(), [(PRODUCER, b"bob".as_slice())].into_iter())),
            ApplyFault::Expire,
        ),
    ];
    for (at, (payload, fault)) in faults.into_iter().enumerate() {
        assert_eq!(
            apply(&mut created(), &payload).err(),
            Some(fault),
            "case {at}"
        );
    }
    let unknown = payload(|writer| {
        writer.begin_records(RoomId(1), Seq(1), Count(0), Link::start(RoomId(1)));
        line(writer, RoomId(1), FIRST);
        writer.end_records();
    });
    assert_eq!(
        apply(&mut created(), &unknown).err(),
        Some(ApplyFault::UnknownRoom)
    );
    let gap = payload(|writer| {
        writer.begin_records(
            tea(),
            Seq(3),
            Count(1),
            created().room(tea()).expect("there").head.link,
        );
        line(writer, tea(), Line { seq: 3, ..SECOND });
        writer.end_records();
    });
    assert_eq!(apply(&mut created(), &gap).err(), Some(ApplyFault::Head));
    let mut twice = more(&[SECOND]);
    twice.extend_from_slice(&payload(|writer| {
        writer.begin_records(tea(), Seq(3), Count(1), Link(0));
        line(writer, tea(), Line { seq: 3, ..SECOND });
        writer.end_records();
    }));
    assert!(apply(&mut created(), &twice).is_err());
    let mut state = created();
    let skipped = state.apply(Index(3), Term(3), &[], &mut Effects::default());
    assert_eq!(skipped.err(), Some(ApplyFault::Index));
    assert!(matches!(
        apply(&mut created(), &[1, 2, 3]).err(),
        Some(ApplyFault::Item(_))
    ));
}

fn expire_ann() -> Vec<u8> {
    payload(|writer| writer.expire(tea(), [(PRODUCER, b"ann".as_slice())].into_iter()))
}

#[test]
fn an_expired_producer_is_gone_and_its_birth_is_kept() {
    let mut state = created();
    let bob = Line {
        producer_seq: 1,
        back: 0,
        sender: "bob",
        ..SECOND
    };
    apply(&mut state, &more(&[bob])).expect("lawful");
    assert_eq!(state.forgotten(), Timestamp(0));
    apply(&mut state, &expire_ann()).expect("lawful");
    assert_eq!(state.producer(tea(), PRODUCER, b"ann"), None);
    assert!(state.producer(tea(), PRODUCER, b"bob").is_some());
    assert_eq!(
        (state.forgotten(), state.time()),
        (Timestamp(900), Timestamp(SILENT_AT)),
        "so much time has passed"
    );
    assert_eq!(
        apply(&mut state.clone(), &expire_ann()).err(),
        Some(ApplyFault::Expire),
        "each leaves once"
    );

    let body = state.encode();
    assert_eq!(body[32..40], 900_u64.to_le_bytes());
    let again = State::decode(&body, Index(3), Term(3), 1).expect("lawful");
    assert_eq!(again.forgotten(), Timestamp(900));
    let mut early = body.clone();
    early[24..32].copy_from_slice(&(SILENT_AT - 101).to_le_bytes());
    assert!(
        State::decode(&early, Index(3), Term(3), 1).is_err(),
        "nobody of 900 had left by then"
    );
    let mut wide = body;
    wide[32..40].copy_from_slice(&(1_u64 << 42).to_le_bytes());
    wide[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
    assert_eq!(
        State::decode(&wide, Index(3), Term(3), 1).err(),
        Some(CheckpointFault::Value("birth forgotten"))
    );
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The body of a checkpoint of [`created`], as it is on disks for ever.
const GOLDEN: &str = "\
    010000000000000001000000000000000300000000000000e8030000000000000000000000000000\
    0100000000000000010000000000000085020000000000000100000000000000\
    02000000000000000100000000000000\
    0100000000005028010000000000000001000000000000009764d26264f49cd9e80300000000000000000000037465610300000000\
    00000001000000000000000100000000\
    0050284d0000e10000000001000000000000000100000000000000e80300000000000003616e6e";

#[test]
fn the_body_of_a_checkpoint_has_the_bytes_that_the_document_tells() {
    assert_eq!(hex(&created().encode()), GOLDEN);
    let empty = State::new(9).encode();
    assert_eq!(empty.len(), 40 + 3 * 16);
}

#[test]
fn a_checkpoint_gives_the_state_back() {
    let mut state = created();
    apply(&mut state, &more(&[SECOND])).expect("lawful");
    let body = state.encode();
    let again = State::decode(&body, Index(2), Term(3), 42).expect("lawful");
    assert_eq!(again.encode(), body);
    assert_eq!(again.room(tea()), state.room(tea()));
    assert_eq!(
        again.named(&(Namespace(0), RoomName::try_from("tea").expect("lawful"))),
        Some(tea())
    );
    assert_eq!(again.counter(tea().slot()), 1);
    assert_eq!(
        State::decode(&body, Index(3), Term(3), 42).err(),
        Some(CheckpointFault::Value("position"))
    );
    assert_ne!(head_at_start(tea()), state.room(tea()).expect("there").head);
}

#[test]
fn a_head_that_no_room_ever_gets_to_is_refused() {
    let tea = tea();
    let mut state = created();
    let mut verdict = |seq| {
        let room = state.rooms.get_mut(&tea).unwrap();
        room.head.seq = Seq(seq);
        State::decode(&state.encode(), Index(1), Term(3), 0).err()
    };
    assert_eq!(verdict(SEQ_END - 1), None);
    assert_eq!(verdict(SEQ_END), Some(CheckpointFault::Value("room")));
}

#[test]
fn a_body_cut_short_or_changed_is_refused_or_says_something_else_and_never_panics() {
    let body = created().encode();
    for length in 0..body.len() {
        assert!(
            State::decode(&body[..length], Index(1), Term(3), 0).is_err(),
            "cut at {length}"
        );
    }
    let mut longer = body.clone();
    longer.push(0);
    assert_eq!(
        State::decode(&longer, Index(1), Term(3), 0).err(),
        Some(CheckpointFault::Length)
    );
    for at in 0..body.len() {
        for bit in 0..8 {
            let mut changed = body.clone();
            changed[at] ^= 1 << bit;
            if let Ok(state) = State::decode(&changed, Index(1), Term(3), 0) {
                assert_eq!(state.encode(), changed, "canonical");
            }
        }
    }
}

/// [`FIRST`] in a room, and a cursor on it.
fn with_cursor() -> State {
    let mut state = State::new(0);
    let mut writer = ItemWriter::default();
    writer.room(tea(), Namespace(0), b"tea");
    writer.begin_records(tea(), Seq(1), Count(0), Link::start(tea()));
    line(&mut writer, tea(), FIRST);
    writer.end_records();
    writer.cursors([cursor_move(1)].into_iter());
    let payload = writer.finish();
    state
        .apply(Index(1), Term(1), &payload, &mut Effects::default())
        .expect("lawful");
    state
}

fn cursor_move(seq: u64) -> antiphon_log::CursorMove<'static> {
    antiphon_log::CursorMove {
        room: tea(),
        seq: Seq(seq),
        count: Count(1),
        time: Timestamp(1_000),
        scope: 0,
        name: b"read",
        user: b"ann",
    }
}

#[test]
fn a_body_without_cursors_and_erased_records_has_version_1() {
    let state = with_cursor();
    let body = state.encode();
    assert_eq!(body[0], 2);
    let again = State::decode(&body, Index(1), Term(1), 9).expect("its own bytes");
    assert_eq!(again.encode(), body);
    let ann = antiphon_protocol::UserName::try_from("ann").expect("lawful");
    let cursor = again.cursors().find(tea(), &ann, "read");
    assert_eq!(
        cursor.map(|cursor| (cursor.seq, cursor.scope)),
        Some((Seq(1), 0))
    );
    // Sections 4 and 5 are the last 16 + 35 + 7 + 16 bytes; as version 1 they do not belong there, and empty ones not to version 2.
    let mut one = body.clone();
    one[0] = 1;
    assert!(State::decode(&one, Index(1), Term(1), 9).is_err());
    one.truncate(body.len() - 74);
    assert!(
        State::decode(&one, Index(1), Term(1), 9).is_ok(),
        "a body of before"
    );
    let mut two = one.clone();
    two[0] = 2;
    two.extend_from_slice(&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    two.extend_from_slice(&[5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(State::decode(&two, Index(1), Term(1), 9).is_err());
}

#[test]
fn a_body_whose_cursor_could_not_be_is_refused() {
    let body = with_cursor().encode();
    let entry = body.len() - 16 - 42;
    for (at, value, what) in [
        (0, 9, "unknown room"),
        (8, 2, "above the head"),
        (8, 0, "seq 0"),
        (16, 2, "count above seq"),
        (30, 1, "time ahead"),
        (32, 2, "scope"),
        (33, 0, "no name"),
    ] {
        let mut bad = body.clone();
        bad[entry + at] = value;
        assert!(State::decode(&bad, Index(1), Term(1), 9).is_err(), "{what}");
    }
}

#[test]
fn a_cursor_that_goes_back_or_beyond_the_head_is_a_fault() {
    for (seq, time) in [(2, 1_000), (1, 999)] {
        let mut state = with_cursor();
        let mut writer = ItemWriter::default();
        let entry = antiphon_log::CursorMove {
            time: Timestamp(time),
            ..cursor_move(seq)
        };
        writer.cursors([entry].into_iter());
        let payload = writer.finish();
        let applied = state.apply(Index(2), Term(1), &payload, &mut Effects::default());
        let expected = if seq == 2 {
            ApplyFault::Cursor
        } else {
            ApplyFault::Time
        };
        assert_eq!(applied, Err(expected));
    }
    let mut state = with_cursor();
    let mut writer = ItemWriter::default();
    writer.cursors([cursor_move(1), cursor_move(1)].into_iter());
    let payload = writer.finish();
    let applied = state.apply(Index(2), Term(1), &payload, &mut Effects::default());
    assert_eq!(applied, Err(ApplyFault::Cursor), "twice in one entry");
}

/// [`created`], and a second entry that erases these records.
fn erasing(seqs: &[u64]) -> Result<State, ApplyFault> {
    let mut state = created();
    let mut writer = ItemWriter::default();
    writer.erase(seqs.iter().map(|seq| (tea(), Seq(*seq))));
    let next = (state.applied().next(), state.term());
    state.apply(next.0, next.1, &writer.finish(), &mut Effects::default())?;
    Ok(state)
}

#[test]
fn erased_records_make_a_body_of_version_2_that_ends_with_them() {
    let state = erasing(&[1]).expect("lawful");
    let body = state.encode();
    assert_eq!(body[0], 2);
    // No cursor, one erased record.
    let sections = "0400000000000000000000000000000005000000000000000100000000000000";
    let room: String = hex(&tea().0.to_le_bytes());
    assert!(hex(&body).ends_with(&alloc::format!("{sections}{room}0100000000000000")));
    let position = (state.applied(), state.term());
    let again = State::decode(&body, position.0, position.1, 9).expect("its own bytes");
    assert_eq!(again.encode(), body);
    assert!(again.erased().has(tea(), Seq(1)) && again.erased().len() == 1);
    let entry = body.len() - 16;
    for (at, value, what) in [
        (0, 9, "unknown room"),
        (8, 9, "above the head"),
        (8, 0, "seq 0"),
    ] {
        let mut bad = body.clone();
        bad[entry + at] = value;
        let fault = State::decode(&bad, position.0, position.1, 9).err();
        assert_eq!(
            fault,
            Some(CheckpointFault::Value("erased record")),
            "{what}"
        );
    }
    let mut twice = body.clone();
    twice[entry - 8] = 2;
    twice.extend_from_slice(&body[entry..]);
    let fault = State::decode(&twice, position.0, position.1, 9).err();
    assert_eq!(fault, Some(CheckpointFault::Value("erased record")));
}

#[test]
fn only_records_of_earlier_entries_are_erased_and_each_once() {
    assert!(erasing(&[1]).is_ok());
    assert_eq!(erasing(&[1, 1]).err(), Some(ApplyFault::Erase), "twice");
    assert_eq!(
        erasing(&[2]).err(),
        Some(ApplyFault::Erase),
        "above the head"
    );
    let mut state = State::new(0);
    let mut writer = ItemWriter::default();
    writer.room(tea(), Namespace(0), b"tea");
    writer.begin_records(tea(), Seq(1), Count(0), Link::start(tea()));
    line(&mut writer, tea(), FIRST);
    writer.end_records();
    writer.erase([(tea(), Seq(1))].into_iter());
    let payload = writer.finish();
    let fault = state.apply(Index(1), Term(1), &payload, &mut Effects::default());
    assert_eq!(fault.err(), Some(ApplyFault::Erase), "of the same entry");
    let mut writer = ItemWriter::default();
    writer.erase([(tea(), Seq(1))].into_iter());
    let payload = writer.finish();
    let fault = State::new(0).apply(Index(1), Term(1), &payload, &mut Effects::default());
    assert_eq!(fault.err(), Some(ApplyFault::UnknownRoom));
}
