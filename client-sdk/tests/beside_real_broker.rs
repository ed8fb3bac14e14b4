//! Signals, cursors, checks and the rest that rides beside records, against the real broker, which is killed under it.

use std::time::{Duration, Instant};

use antiphon_client::{
    AsyncClient, Client, ClientError, Code, Count, CursorMove, CursorName, CursorPosition,
    CursorScope, Delivery, Follow, HistoryRange, Message, Misuse, Namespace, RecordKind, Seq,
    Signal, SignalHeard, Start, Subscription,
};
use antiphon_testing::TestBroker;

const PATIENCE: Duration = Duration::from_secs(60);

fn next(subscription: &mut Subscription) -> Delivery {
    match subscription.next_timeout(PATIENCE) {
        Ok(Some(delivery)) => delivery,
        other => panic!("nothing came: {other:?}"),
    }
}

fn heard(subscription: &mut Subscription) -> SignalHeard {
    match next(subscription) {
        Delivery::Signal(heard) => heard,
        other => panic!("not a signal: {other:?}"),
    }
}

fn position(seq: u64, count: u64) -> CursorPosition {
    let (seq, count) = (Seq(seq), Count(count));
    CursorPosition { seq, count }
}

/// Signals until one comes through: whoever has just come back may not be live yet.
fn until_heard(sender: &Client, subscription: &mut Subscription, name: &str) -> SignalHeard {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let _ = sender.signal("lobby", Signal::new(name).value("again"));
        if let Ok(Some(Delivery::Signal(heard))) =
            subscription.next_timeout(Duration::from_millis(50))
            && heard.name == name
        {
            return heard;
        }
    }
    panic!("never heard")
}

#[test]
fn signals_reach_those_who_listen_also_after_a_kill() {
    let mut broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    ann.publish("lobby", "hello").expect("acked");
    let follow = Follow::from(Start::Live).signals();
    let mut lobby = bob.subscribe("lobby", follow).expect("subscribes");
    let mut deaf = ann.subscribe("lobby", Start::Live).expect("subscribes");
    let typing = Signal::new("typing").key("web").value("open");
    ann.signal("lobby", typing).expect("sent");
    let first = heard(&mut lobby);
    assert_eq!(
        (
            &*first.sender,
            first.device,
            &*first.name,
            &first.key[..],
            first.text().as_ref()
        ),
        ("ann", ann.device(), "typing", &b"web"[..], "open")
    );
    for n in 0..20 {
        let signal = Signal::new("n").value(format!("{n}"));
        ann.signal("lobby", signal).expect("sent");
    }
    for n in 0..20 {
        assert_eq!(
            heard(&mut lobby).text(),
            format!("{n}"),
            "in order, each once"
        );
    }
    ann.publish("lobby", "2").expect("acked");
    assert!(matches!(next(&mut deaf), Delivery::Record(record) if record.seq == Seq(2)));
    assert!(matches!(next(&mut lobby), Delivery::Record(record) if record.seq == Seq(2)));

    broker.kill();
    broker.restart();
    assert_eq!(until_heard(&ann, &mut lobby, "back").sender, "ann");
    ann.publish("lobby", "3").expect("acked");
    while !matches!(next(&mut lobby), Delivery::Record(record) if record.seq == Seq(3)) {}
}

#[test]
fn a_signal_that_is_refused_is_counted_and_one_that_is_none_is_not_sent() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let misuse = |signal| ann.signal("lobby", signal);
    let wrong = Err(ClientError::Misuse(Misuse::Signal));
    assert_eq!(misuse(Signal::new("")), wrong);
    assert_eq!(misuse(Signal::new("n").key([0; 65])), wrong);
    assert_eq!(misuse(Signal::new("n").value([0; 1_025])), wrong);
    ann.signal("nowhere", Signal::new("n")).expect("sent");
    let until = Instant::now() + PATIENCE;
    while ann.signal_refusals().count == 0 {
        assert!(Instant::now() < until, "no refusal came");
        ann.ping().expect("answers");
    }
    let refusals = ann.signal_refusals();
    let last = refusals.last.expect("the last one");
    assert_eq!((refusals.count, last.code), (1, Code::NOT_FOUND));
}

#[test]
fn a_reader_that_does_not_read_is_told_how_many_signals_it_lost() {
    let broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    ann.publish("lobby", "hello").expect("acked");
    let follow = Follow::from(Start::Live).signals();
    let mut lobby = bob.subscribe("lobby", follow).expect("subscribes");
    let mut sent = 0;
    // More than a subscription holds; more than the broker lets one connection send at once, so from several.
    for _ in 0..4 {
        let sender = broker.client("ann");
        for _ in 0..100 {
            sender.signal("lobby", Signal::new("n")).expect("sent");
            sent += 1;
        }
        // Behind everything that this connection sent.
        sender.check().expect("agrees");
    }
    ann.publish("lobby", "end").expect("acked");
    let (mut came, mut lost) = (0, 0);
    loop {
        match next(&mut lobby) {
            Delivery::Signal(_) => came += 1,
            Delivery::SignalsDropped(count) => lost += count,
            Delivery::Record(_) => break,
            other => panic!("{other:?}"),
        }
    }
    if came + lost < sent
        && let Ok(Some(Delivery::SignalsDropped(count))) = lobby.next_timeout(PATIENCE)
    {
        lost += count;
    }
    assert!(lost >= 1, "{came} came");
    assert_eq!(came + lost, sent);
}

#[test]
fn a_cursor_moves_forward_only_and_unread_is_exact() {
    let mut broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    for n in 1..=3 {
        ann.publish("lobby", format!("{n}")).expect("acked");
    }
    let kind = RecordKind::from_wire(64);
    let note = Message::new("no message").kind(kind);
    ann.publish("lobby", note).expect("acked");
    let at = ann.cursor("lobby", "read").expect("answers");
    assert_eq!(
        (at.position, at.head, at.unread()),
        (position(0, 0), position(4, 3), 3)
    );

    let records = ann
        .history("lobby", HistoryRange::Latest, 10)
        .expect("reads")
        .records;
    let at = ann.set_cursor("lobby", "read", &records[1]).expect("moves");
    assert_eq!((at.position, at.unread()), (position(2, 2), 1));
    let at = ann.set_cursor("lobby", "read", &records[0]).expect("stays");
    assert_eq!(at.position, position(2, 2));
    assert_eq!(bob.cursor("lobby", "read").expect("answers").unread(), 3);

    let refused = |to| match ann.set_cursor("lobby", "read", to) {
        Err(ClientError::Rejected(rejection)) => (rejection.code, rejection.hint),
        other => panic!("not refused: {other:?}"),
    };
    let above = CursorMove::to(Seq(5), Count(4));
    assert_eq!(refused(above), (Code::CONFLICT, 4));
    let nobody_has_it = CursorMove::to(Seq(4), Count(1));
    assert_eq!(refused(nobody_has_it), (Code::CONFLICT, 4));
    let nowhere = ann.cursor("nowhere", "read");
    assert!(
        matches!(&nowhere, Err(ClientError::Rejected(rejection)) if rejection.code == Code::NOT_FOUND)
    );
    let long = "n".repeat(33);
    let misuse = ClientError::Misuse(Misuse::CursorName(long.clone()));
    assert_eq!(ann.cursor("lobby", &long), Err(misuse));

    let durable = CursorMove::from(&records[2]).sync();
    ann.set_cursor("lobby", "read", durable).expect("committed");
    broker.kill();
    broker.restart();
    let at = ann.cursor("lobby", "read").expect("answers");
    assert_eq!((at.position, at.unread()), (position(3, 3), 0));

    // A clean stop writes down what was accepted, whenever it was to be written.
    let accepted = CursorMove::to(Seq(4), Count(3));
    ann.set_cursor("lobby", "read", accepted).expect("accepted");
    ann.set_cursor("lobby", "new", accepted).expect("accepted");
    broker.restart();
    for name in ["read", "new"] {
        let at = ann.cursor("lobby", name).expect("answers");
        assert_eq!(at.position, position(4, 3), "{name}");
    }
}

#[test]
fn cursors_are_told_to_who_may_know_and_begin_a_subscription() {
    let mut broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    for n in 1..=4 {
        ann.publish("lobby", format!("{n}")).expect("acked");
    }
    let cursors = |client: &Client| {
        let follow = Follow::from(Start::Live).cursors();
        client.subscribe("lobby", follow).expect("subscribes")
    };
    let mut at_bobs = cursors(&bob);
    let shown = CursorMove::to(Seq(2), Count(2)).members().sync();
    ann.set_cursor("lobby", "read", shown).expect("moves");
    let Delivery::Cursor(moved) = next(&mut at_bobs) else {
        panic!("not a cursor")
    };
    assert_eq!(
        (&*moved.user, &*moved.name, moved.position, moved.scope),
        ("ann", "read", position(2, 2), CursorScope::MEMBERS)
    );
    // A second device of ann's finds it in its subscription, and hears of private moves; bob does not.
    let phone = broker.client("ann");
    let mut at_anns = cursors(&phone);
    assert!(
        matches!(next(&mut at_anns), Delivery::Cursor(moved) if moved.position == position(2, 2))
    );
    let hidden = CursorMove::to(Seq(3), Count(3)).sync();
    ann.set_cursor("lobby", "read", hidden).expect("moves");
    assert!(
        matches!(next(&mut at_anns), Delivery::Cursor(moved) if moved.position == position(3, 3))
    );
    ann.publish("lobby", "5").expect("acked");
    assert!(matches!(next(&mut at_bobs), Delivery::Record(record) if record.seq == Seq(5)));

    broker.kill();
    broker.restart();
    let read = CursorName::new("read").expect("a lawful name");
    let mut unread = ann
        .subscribe("lobby", Start::Cursor(read))
        .expect("subscribes");
    assert_eq!(unread.position().seq, Seq(3));
    assert!(matches!(next(&mut unread), Delivery::Record(record) if record.seq == Seq(4)));
    // Resumed, the cursors are told again as they stand; the record may have come before.
    let (mut is_read, mut is_told) = (false, false);
    while !(is_read && is_told) {
        match next(&mut at_anns) {
            Delivery::Record(record) => is_read = record.seq == Seq(5),
            Delivery::Cursor(moved) => is_told = moved.position == position(3, 3),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn reactions_and_pins_refer_to_a_record_that_must_be_there() {
    let broker = TestBroker::start();
    let ann = broker.client("ann");
    let target = ann.publish("lobby", "hello").expect("acked").seq;
    ann.publish("lobby", Message::reaction(target, "+1"))
        .expect("acked");
    ann.publish("lobby", Message::pin(target)).expect("acked");
    let records = ann
        .history("lobby", HistoryRange::Latest, 2)
        .expect("reads")
        .records;
    let seen: Vec<_> = records
        .iter()
        .map(|record| (record.kind, record.headers.reply_to(), record.text()))
        .collect();
    assert_eq!(
        seen,
        [
            (RecordKind::REACTION, Some(target), "+1".into()),
            (RecordKind::PIN, Some(target), "".into())
        ]
    );
    assert_eq!(ann.cursor("lobby", "read").expect("answers").unread(), 1);
    let error = ann
        .publish("lobby", Message::pin(Seq(9)))
        .expect_err("no such record");
    assert!(error.to_string().contains("NOT_FOUND"), "{error}");
}

#[test]
fn a_check_proves_that_nothing_is_missing_over_kills() {
    let mut broker = TestBroker::start();
    let (ann, bob) = (broker.client("ann"), broker.client("bob"));
    let mut rooms: Vec<Subscription> = (0..5)
        .map(|room| {
            bob.subscribe(&format!("{room}"), Start::Beginning)
                .expect("subscribes")
        })
        .collect();
    for round in 0..3 {
        for n in 0..50 {
            let room = format!("{}", n % 4);
            ann.publish(&room, format!("{round} {n}")).expect("acked");
        }
        let check = loop {
            match bob.check() {
                Ok(check) if check.is_complete() && check.rooms == 4 => break check,
                Ok(_) | Err(ClientError::Disconnected) => {}
                Err(error) => panic!("{error}"),
            }
        };
        assert_eq!(check.rooms, 4, "the fifth room does not exist");
        for room in &mut rooms[..4] {
            let mut came = 0;
            while let Ok(Some(_)) = room.next_timeout(Duration::ZERO) {
                came += 1;
            }
            assert!(
                (12..=13).contains(&came),
                "{came} in a round of 50 over 4 rooms"
            );
        }
        broker.kill();
        broker.restart();
    }
}

#[test]
fn one_node_leads_all_that_there_is() {
    let broker = TestBroker::start();
    let cluster = broker.client("ann").cluster().expect("answers");
    assert_eq!(cluster.nodes.len(), 1);
    assert_eq!(
        (cluster.nodes[0].node, cluster.leaders.len()),
        (cluster.node, 4)
    );
    for room in ["lobby", "kitchen"] {
        assert_eq!(cluster.leader_of(Namespace(0), room), Some(cluster.node));
    }
}

#[tokio::test]
async fn tasks_have_the_same_calls() {
    let mut broker = TestBroker::start();
    let connect = |user| AsyncClient::connect(broker.options(user));
    let ann = connect("ann").await.expect("connects");
    let bob = connect("bob").await.expect("connects");
    let target = ann.publish("lobby", "hello").await.expect("acked").seq;
    let follow = Follow::from(Start::Live).signals().cursors();
    let mut lobby = bob.subscribe("lobby", follow).await.expect("subscribes");
    let typing = Signal::new("typing").value("open");
    ann.signal("lobby", typing).await.expect("sent");
    let delivery = lobby.next_timeout(PATIENCE).await.expect("goes on");
    assert!(matches!(delivery, Some(Delivery::Signal(heard)) if heard.sender == "ann"));
    let shown = CursorMove::to(target, Count(1)).members().sync();
    let at = ann.set_cursor("lobby", "read", shown).await.expect("moves");
    assert_eq!(at.unread(), 0);
    let delivery = lobby.next_timeout(PATIENCE).await.expect("goes on");
    assert!(matches!(delivery, Some(Delivery::Cursor(moved)) if moved.position == at.position));
    assert!(bob.check().await.expect("agrees").is_complete());
    assert_eq!(ann.cluster().await.expect("answers").nodes.len(), 1);
    broker.kill();
    broker.restart();
    let at = ann.cursor("lobby", "read").await.expect("answers");
    assert_eq!(at.position, position(1, 1));
    assert_eq!(ann.signal_refusals().count, 0);
}
