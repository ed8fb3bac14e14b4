//! A broker that answers anything to anything: the session may give up on it, but never panics or hangs.

use antiphon_protocol::{
    Code, ErrorFrame, Goaway, GoawayClass, Link, ProducerSeq, PubackBuilder, PubackEntry,
    RequestId, RoomId, Seq, Subscribed, Timestamp,
};
use proptest::prelude::*;

use crate::history::HistoryRange;
use crate::session::state::State;
use crate::session::tests::desk::{Desk, ROOM, options, records, welcome};
use crate::session::tests::world::room;
use crate::session::{Command, Input, Ticket};
use crate::subscription::Start;

/// One thing that happens; the numbers are whatever they are.
#[derive(Clone, Debug)]
enum Deed {
    Publish,
    Subscribe(u64),
    Fetch,
    GiveUp(u64),
    Leave(u64),
    Ack { id: u64, number: u64, seq: u64 },
    Error { id: u64, code: u16, hint: u64 },
    Subscribed { id: u64, next: u64 },
    Record(u64),
    Goaway { class: u8, code: u16 },
    Noise(Vec<u8>),
    Lose,
    Greet(u64),
    Pass(u64),
}

fn deeds() -> impl Strategy<Value = Deed> {
    let small = 0_u64..12;
    prop_oneof![
        5 => Just(Deed::Publish),
        1 => small.clone().prop_map(Deed::Subscribe),
        1 => Just(Deed::Fetch),
        1 => small.clone().prop_map(Deed::GiveUp),
        1 => small.clone().prop_map(Deed::Leave),
        4 => (0_u64..40, small.clone(), small.clone()).prop_map(|(id, number, seq)| Deed::Ack { id, number, seq }),
        6 => (0_u64..40, 0_u16..26, small.clone()).prop_map(|(id, code, hint)| Deed::Error { id, code, hint }),
        2 => (0_u64..40, small.clone()).prop_map(|(id, next)| Deed::Subscribed { id, next }),
        2 => (1_u64..6).prop_map(Deed::Record),
        1 => (0_u8..2, 0_u16..26).prop_map(|(class, code)| Deed::Goaway { class, code }),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Deed::Noise),
        2 => Just(Deed::Lose),
        4 => (4_u64..7).prop_map(Deed::Greet),
        3 => (0_u64..30).prop_map(Deed::Pass),
    ]
}

/// What the application or the network does; gives back what the broker does.
fn act(desk: &mut Desk, deed: Deed, ticket: u64) -> Option<Deed> {
    match deed {
        Deed::Publish => desk.publish(ticket, "x"),
        Deed::Subscribe(n) => {
            desk.subscribe(ticket, if n < 6 { Start::Live } else { Start::Last(n) });
        }
        Deed::Fetch => {
            let (ticket, range) = (Ticket(ticket), HistoryRange::Latest);
            let fetch = Command::Fetch {
                ticket,
                room: room("lobby"),
                range,
                limit: 3,
            };
            desk.input(Input::Command(fetch));
        }
        Deed::GiveUp(ticket) => {
            let ticket = Ticket(ticket);
            desk.input(Input::Command(Command::GiveUp { ticket }));
        }
        Deed::Leave(ticket) => {
            let ticket = Ticket(ticket);
            desk.input(Input::Command(Command::Cancel { ticket }));
        }
        Deed::Noise(bytes) => desk.input(Input::Received(&bytes)),
        Deed::Lose => desk.input(Input::Disconnected),
        Deed::Greet(producer) => {
            desk.input(Input::Connected);
            desk.receive(|out| welcome(producer).encode(RequestId(2), out));
        }
        Deed::Pass(millis) => desk.pass(millis),
        of_the_broker => return Some(of_the_broker),
    }
    None
}

/// What the broker says.
fn say(desk: &mut Desk, deed: &Deed) {
    match *deed {
        Deed::Ack { id, number, seq } => desk.receive(|out| {
            let entry = PubackEntry {
                request: RequestId(id),
                room_id: RoomId(ROOM.0 + number % 2),
                producer_seq: ProducerSeq(number),
                seq: Seq(seq),
                link: Link(seq),
                time: Timestamp(seq),
                duplicate: false,
            };
            let mut builder = PubackBuilder::default();
            builder.push(&entry, out);
            builder.finish(out);
        }),
        Deed::Error { id, code, hint } => desk.receive(|out| {
            let error = ErrorFrame::new(Code::from_wire(code));
            ErrorFrame { hint, ..error }.encode(RequestId(id), out);
        }),
        Deed::Subscribed { id, next } => desk.receive(|out| {
            let room_id = if next == 11 { RoomId(0) } else { ROOM };
            let (next_seq, link) = (Seq(next), Link::start(ROOM));
            let subscribed = Subscribed {
                room_id,
                next_seq,
                link,
                ..Subscribed::NO_ROOM
            };
            subscribed.encode(RequestId(id), out);
        }),
        Deed::Record(seq) => {
            desk.receive(|out| out.extend_from_slice(&records(seq)[seq as usize - 1].0));
        }
        Deed::Goaway { class, code } => {
            let class = GoawayClass::from_wire(class).expect("a class");
            desk.goaway(&Goaway::new(Code::from_wire(code), class, ""));
        }
        _ => unreachable!("a deed of the application"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_broker_says_makes_the_session_panic(
        deeds in proptest::collection::vec(deeds(), 1..120), is_kept: bool,
    ) {
        let options = if is_kept { options().keep_producer() } else { options() };
        let mut desk = Desk::open(&options, 5);
        for (deed, ticket) in deeds.into_iter().zip(1..) {
            if let Some(deed) = act(&mut desk, deed, ticket) {
                say(&mut desk, &deed);
            }
            desk.sent();
        }
        desk.input(Input::Command(Command::Abort));
        prop_assert!(matches!(desk.session.state, State::Closed));
        prop_assert_eq!(desk.session.outbox.len(), 0);
    }
}
