//! The blocking client.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use antiphon_protocol::{Code, Count, GoawayClass, ProducerSeq, Seq};

use crate::driver::tests::{PATIENCE, options};
use crate::fake_broker::Server;
use crate::{
    Client, ClientError, ClientOptions, CursorMove, Delivery, Doubt, Follow, HistoryRange, Message,
    Misuse, PublishError, Receipts, Signal, Start, Subscription, Violation,
};

fn next_text(subscription: &mut Subscription) -> (u64, String) {
    match subscription.next_timeout(PATIENCE) {
        Ok(Some(Delivery::Record(record))) => (record.seq.0, record.text().into_owned()),
        other => panic!("not a record: {other:?}"),
    }
}

#[test]
fn handles_go_from_thread_to_thread() {
    fn shared<T: Send + Sync>() {}
    shared::<Client>();
    shared::<Subscription>();
    shared::<crate::Pending>();
}

#[test]
fn a_position_is_known_before_the_first_record() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    for n in 1..=5 {
        client.publish("lobby", format!("{n}")).expect("acked");
    }
    let mut last = client
        .subscribe("lobby", Start::Last(2))
        .expect("subscribes");
    let begun = last.position();
    assert_eq!(begun.seq, Seq(3));
    assert_eq!(next_text(&mut last), (4, "4".into()));
    drop(last);
    let mut again = client
        .subscribe("lobby", Start::After(begun))
        .expect("subscribes");
    assert_eq!(next_text(&mut again), (4, "4".into()));
}

#[test]
fn what_is_published_is_read_live_from_the_past_and_as_history() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let mut live = client.subscribe("lobby", Start::Live).expect("subscribes");
    assert_eq!(live.head().room_id, None);

    let message = Message::new("hello")
        .content_type("text/plain")
        .property("mood", "good");
    let receipt = client.publish("lobby", message).expect("publishes");
    assert_eq!(
        (receipt.seq, receipt.producer_seq, receipt.duplicate),
        (Seq(1), ProducerSeq(1), false)
    );
    client.publish("lobby", "again").expect("publishes");

    let Some(Ok(Delivery::Record(record))) = live.next() else {
        panic!("no record")
    };
    assert_eq!(
        (
            record.seq,
            record.text().as_ref(),
            record.sender_text().as_ref()
        ),
        (Seq(1), "hello", "ann")
    );
    assert_eq!(record.headers.content_type(), Some("text/plain"));
    assert_eq!(
        record.headers.properties().collect::<Vec<_>>(),
        [("mood", &b"good"[..])]
    );
    assert_eq!(next_text(&mut live), (2, "again".into()));
    assert_eq!(
        live.position(),
        client
            .history("lobby", HistoryRange::Latest, 1)
            .expect("reads")
            .records[0]
            .position()
    );

    let other = Client::connect(options(&server).user("bob")).expect("connects");
    let mut last = other
        .subscribe("lobby", Start::Last(1))
        .expect("subscribes");
    assert_eq!(next_text(&mut last), (2, "again".into()));
    let past = other
        .history("lobby", HistoryRange::After(Seq(0)), 10)
        .expect("reads");
    assert_eq!(
        past.records
            .iter()
            .map(|record| record.text())
            .collect::<Vec<_>>(),
        ["hello", "again"]
    );
    assert!(other.ping().expect("answers") < PATIENCE);
    client.close(PATIENCE).expect("nothing is unacked");
}

#[test]
fn connections_cut_again_and_again_lose_and_double_nothing() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let mut reader = client.subscribe("lobby", Start::Live).expect("subscribes");
    let mut pending = Vec::new();
    for round in 0..20 {
        for n in 0..50 {
            pending.push(
                client
                    .publish_pipelined("lobby", format!("{round} {n}"))
                    .expect("takes"),
            );
        }
        server.cut();
    }
    let seqs: Vec<u64> = pending
        .into_iter()
        .map(|pending| pending.wait().expect("acked").seq.0)
        .collect();
    assert_eq!(seqs, (1..=1_000).collect::<Vec<_>>());
    for seq in 1..=1_000 {
        let expected = format!("{} {}", (seq - 1) / 50, (seq - 1) % 50);
        assert_eq!(next_text(&mut reader), (seq, expected));
    }
}

#[test]
fn a_stored_producer_publishes_again_without_doubling() {
    let server = Server::start();
    let client = Client::connect(options(&server).keep_producer()).expect("connects");
    let producer = client.producer();
    let first: Vec<_> = (0..3)
        .map(|n| client.publish("lobby", format!("{n}")).expect("acked"))
        .collect();
    drop(client);

    let resumed = Client::connect(options(&server).producer(producer)).expect("connects");
    for n in 0..5_u64 {
        let message = Message::new(format!("{n}")).producer_seq(ProducerSeq(n + 1));
        let receipt = resumed.publish("lobby", message).expect("acked");
        assert_eq!(receipt.duplicate, n < 3);
        assert_eq!(receipt.seq, Seq(n + 1));
        if let Some(before) = first.get(n as usize) {
            assert_eq!(receipt.link, before.link);
        }
    }
    assert_eq!(resumed.producer_seq("lobby"), Ok(ProducerSeq(5)));
    assert_eq!(resumed.producer(), producer);
    drop(resumed);

    let last = Client::connect(
        options(&server)
            .producer(producer)
            .producer_seqs([("lobby", ProducerSeq(5))]),
    );
    assert_eq!(
        last.expect("connects")
            .publish("lobby", "6")
            .expect("acked")
            .producer_seq,
        ProducerSeq(6)
    );
}

#[test]
fn nobody_there_is_said_at_once_and_a_second_address_helps() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead = listener.local_addr().expect("an address").to_string();
    drop(listener);
    let error = Client::connect(ClientOptions::new(&dead)).expect_err("nobody there");
    let kind = std::io::ErrorKind::ConnectionRefused;
    assert_eq!(
        error,
        ClientError::Connect {
            address: dead.clone(),
            kind
        }
    );
    assert!(error.is_retryable());

    let server = Server::start();
    let client = Client::connect(
        ClientOptions::new(dead)
            .address(server.address())
            .user("ann"),
    )
    .expect("connects");
    assert_eq!(client.user(), "ann");
}

#[test]
fn connect_with_patience_waits_for_the_broker() {
    let server = Server::start();
    server.refuse(true);
    let patient = options(&server).connect_deadline(PATIENCE);
    let client = std::thread::spawn(move || Client::connect(patient));
    server.refuse(false);
    assert!(client.join().expect("no panic").is_ok());
}

#[test]
fn an_unacked_message_is_unknown_at_its_deadline_and_still_delivered() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    client.publish("lobby", "first").expect("acked");
    server.hold(true);
    let pending = client.publish_pipelined("lobby", "second").expect("takes");
    client.ping().expect("so it was sent");
    let error = pending
        .wait_deadline(Instant::now())
        .expect_err("not acked");
    assert_eq!(error, PublishError::Unknown(Doubt::Deadline));
    server.hold(false);
    assert_eq!(client.publish("lobby", "third").expect("acked").seq, Seq(3));
}

#[test]
fn a_full_outbox_pushes_back() {
    let server = Server::start();
    let tight = options(&server)
        .outbox_bounds(2, 1 << 20)
        .publish_deadline(Duration::from_millis(50));
    let client = Client::connect(tight).expect("connects");
    server.hold(true);
    let held = [
        client.publish_pipelined("lobby", "a"),
        client.publish_pipelined("lobby", "b"),
    ];
    assert_eq!(
        client.publish("lobby", "c").expect_err("no place"),
        PublishError::Backpressure
    );
    server.hold(false);
    for pending in held {
        pending
            .expect("takes")
            .wait_deadline(Instant::now() + PATIENCE)
            .expect("acked");
    }
    client.publish("lobby", "d").expect("places are free again");
    assert_eq!(
        server.with(|broker| broker.room("lobby").expect("exists").bodies()),
        ["a", "b", "d"]
    );
}

#[test]
fn a_slow_application_is_served_in_full_and_does_not_hold_up_acks() {
    let server = Server::start();
    let client =
        Client::connect(options(&server).subscription_bounds(8, 1 << 20)).expect("connects");
    let mut slow = client.subscribe("lobby", Start::Live).expect("subscribes");
    for n in 0..200 {
        client.publish("lobby", format!("{n}")).expect("acked");
    }
    for n in 0..200 {
        assert_eq!(next_text(&mut slow), (n + 1, format!("{n}")));
    }
    assert_eq!(slow.next_timeout(Duration::ZERO), Ok(None));
}

#[test]
fn close_flushes_and_counts_what_it_could_not() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let pending: Vec<_> = (0..100)
        .map(|n| {
            client
                .publish_pipelined("lobby", format!("{n}"))
                .expect("takes")
        })
        .collect();
    client
        .clone()
        .close(PATIENCE)
        .expect("everything was acked");
    for pending in pending {
        pending.wait().expect("acked");
    }
    let error = client.publish("lobby", "late").expect_err("closed");
    assert_eq!(error, PublishError::Closed(Box::new(ClientError::Closed)));

    let client = Client::connect(options(&server)).expect("connects");
    server.hold(true);
    let pending = client.publish_pipelined("lobby", "held").expect("takes");
    client.ping().expect("so it was sent");
    assert_eq!(
        client
            .close(Duration::from_millis(20))
            .expect_err("unacked")
            .unacked,
        1
    );
    assert_eq!(
        pending.wait().expect_err("unacked"),
        PublishError::Unknown(Doubt::Closed)
    );
}

#[test]
fn the_last_handle_ends_the_connection() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let subscription = client.subscribe("lobby", Start::Live).expect("subscribes");
    drop(client);
    assert_eq!(server.connections(), 1);
    drop(subscription);
    while server.connections() != 0 {
        std::thread::yield_now();
    }
}

#[test]
fn a_terminal_goaway_ends_everything_with_its_reason() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let mut subscription = client.subscribe("lobby", Start::Live).expect("subscribes");
    server.with(|broker| broker.goaway(Code::REPLACED, GoawayClass::Terminal, 0));
    assert!(subscription.next().expect("an error").is_err());
    assert!(subscription.next().is_none());
    let error = client.ping().expect_err("closed");
    assert!(
        matches!(
            error,
            ClientError::Goaway {
                code: Code::REPLACED,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn mistakes_of_the_caller_are_told_and_nothing_is_sent() {
    let server = Server::start();
    let client = Client::connect(options(&server)).expect("connects");
    let misuse = |error: PublishError| matches!(error, PublishError::Misuse(_));
    assert!(misuse(client.publish("", "x").expect_err("no room")));
    assert!(misuse(client.publish("a\nb", "x").expect_err("no room")));
    let numbered = Message::new("x").producer_seq(ProducerSeq(1));
    assert_eq!(
        client.publish("a", numbered).expect_err("not kept"),
        Misuse::ProducerNotKept.into()
    );
    let large = client
        .publish("a", vec![0; 256 * 1024 + 1])
        .expect_err("too large");
    assert_eq!(
        large,
        PublishError::TooLarge {
            part: "body",
            bytes: 262_145,
            bytes_max: 262_144
        }
    );
    assert_eq!(
        client.history("a", HistoryRange::Latest, 0),
        Err(Misuse::EmptyHistory.into())
    );
    let _first = client.subscribe("a", Start::Live).expect("subscribes");
    let second = client.subscribe("a", Start::Live).expect_err("one a room");
    assert_eq!(second, Misuse::AlreadySubscribed.into());
    let nobody = Client::connect(options(&server).user("")).expect_err("no user");
    assert_eq!(nobody, Misuse::UserName(String::new()).into());
    assert!(server.with(|broker| broker.room("a").is_none()));
}

#[test]
fn receipts_come_in_the_order_of_their_arrival_over_several_clients() {
    let (slow, quick) = (Server::start(), Server::start());
    let late = Client::connect(options(&slow)).expect("connects");
    let soon = Client::connect(options(&quick)).expect("connects");
    slow.hold(true);
    let mut receipts = Receipts::new();
    receipts.add("late", late.publish_pipelined("lobby", "x").expect("takes"));
    for _ in 0..100 {
        receipts.add("soon", soon.publish_pipelined("lobby", "x").expect("takes"));
    }
    for seq in 1..=100 {
        let (key, receipt) = receipts.next_timeout(PATIENCE).expect("comes");
        assert_eq!((key, receipt.expect("acked").seq), ("soon", Seq(seq)));
    }
    assert_eq!(receipts.next_timeout(Duration::ZERO), None);
    assert_eq!(receipts.len(), 1);
    slow.hold(false);
    let (key, receipt) = receipts.next().expect("comes");
    assert_eq!((key, receipt.expect("acked").seq), ("late", Seq(1)));
    assert_eq!(receipts.next(), None);
}

#[test]
fn receipts_yield_a_message_whose_deadline_has_passed_and_then_the_others() {
    let server = Server::start();
    let hasty = options(&server).publish_deadline(Duration::from_millis(30));
    let hasty = Client::connect(hasty).expect("connects");
    let patient = Client::connect(options(&server)).expect("connects");
    server.hold(true);
    let mut receipts = Receipts::new();
    receipts.add(1, patient.publish_pipelined("a", "x").expect("takes"));
    receipts.add(2, hasty.publish_pipelined("b", "x").expect("takes"));
    hasty.ping().expect("so it was sent");
    let unknown = Err(PublishError::Unknown(Doubt::Deadline));
    assert_eq!(receipts.next(), Some((2, unknown)));
    assert_eq!(receipts.try_next(), None);
    server.hold(false);
    let (key, receipt) = receipts.next().expect("comes");
    assert_eq!((key, receipt.expect("acked").seq), (1, Seq(1)));
    assert!(receipts.is_empty());
}

#[test]
fn a_name_is_resolved_and_one_that_is_none_is_said() {
    let server = Server::start();
    let port = server
        .address()
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let named = ClientOptions::new(format!("localhost:{port}")).user("ann");
    assert_eq!(Client::connect(named).expect("connects").user(), "ann");
    let error = Client::connect(ClientOptions::new("no port")).expect_err("no address");
    assert!(matches!(error, ClientError::Connect { .. }), "{error:?}");
}

#[test]
fn what_rides_beside_records_goes_on_over_cuts() {
    let server = Server::start();
    let ann = Client::connect(options(&server)).expect("connects");
    let bob = Client::connect(options(&server).user("bob")).expect("connects");
    let receipt = ann.publish("lobby", "1").expect("acked");
    let follow = Follow::from(Start::Live).signals().cursors();
    let mut lobby = bob.subscribe("lobby", follow).expect("subscribes");
    let next = |lobby: &mut Subscription| lobby.next_timeout(PATIENCE).expect("goes on");
    for round in 0..3 {
        let signal = Signal::new("round").value(format!("{round}"));
        bob.signal("lobby", signal).expect("sent");
        let heard = loop {
            match next(&mut lobby) {
                Some(Delivery::Signal(heard)) => break heard,
                Some(Delivery::Cursor(moved)) => assert_eq!(moved.name, "read"),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (heard.text().as_ref(), &*heard.sender),
            (&*format!("{round}"), "bob")
        );
        let at = CursorMove::to(receipt.seq, Count(1));
        let at = bob.set_cursor("lobby", "read", at).expect("moves");
        assert_eq!(at.unread(), 0);
        assert!(bob.check().expect("agrees").is_complete());
        assert_eq!(bob.cluster().expect("answers").leaders.len(), 4);
        server.cut();
        // Answered over the next connection.
        bob.cursor("lobby", "read").expect("answers");
    }
    server.with(|broker| broker.miscounts = 1);
    let differs = Err(ClientError::Protocol(Violation::Digest));
    assert_eq!(bob.check(), differs);
    ann.publish("lobby", "2").expect("acked");
    while !matches!(next(&mut lobby), Some(Delivery::Record(record)) if record.seq == Seq(2)) {}
}
