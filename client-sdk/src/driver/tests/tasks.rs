//! The client on a tokio runtime.

use std::future::Future;
use std::time::{Duration, Instant};

use antiphon_protocol::{Code, Count, GoawayClass, ProducerSeq, Seq};
use tokio::runtime::{Builder, Runtime};

use crate::driver::tests::{PATIENCE, options};
use crate::fake_broker::Server;
use crate::{
    AsyncClient, AsyncPending, AsyncSubscription, ClientError, ClientOptions, CursorMove, Delivery,
    Doubt, Follow, HistoryRange, Message, Misuse, PublishError, Signal, Start,
};

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// Runs a test on both kinds of runtime.
fn on_each<F: Future<Output = ()>>(test: impl Fn() -> F) {
    runtime().block_on(test());
    let many = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    many.expect("a runtime").block_on(test());
}

async fn next_text(subscription: &mut AsyncSubscription) -> (u64, String) {
    match subscription.next_timeout(PATIENCE).await {
        Ok(Some(Delivery::Record(record))) => (record.seq.0, record.text().into_owned()),
        other => panic!("not a record: {other:?}"),
    }
}

#[test]
fn handles_and_calls_go_from_thread_to_thread() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    shared::<Option<AsyncClient>>(&None);
    shared::<Option<AsyncSubscription>>(&None);
    shared::<Option<AsyncPending>>(&None);
    let server = Server::start();
    let connecting = AsyncClient::connect(options(&server));
    sent(&connecting);
    let client = runtime().block_on(connecting).expect("connects");
    sent(&client.publish("lobby", "x"));
    sent(&client.subscribe("lobby", Start::Live));
    sent(&client.history("lobby", HistoryRange::Latest, 1));
}

#[test]
fn what_is_published_is_read_live_from_the_past_and_as_history() {
    on_each(|| async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let mut live = client
            .subscribe("lobby", Start::Live)
            .await
            .expect("subscribes");
        assert_eq!(live.head().room_id, None);
        for n in 1..=3_u64 {
            let receipt = client
                .publish("lobby", format!("{n}"))
                .await
                .expect("acked");
            assert_eq!(
                (receipt.seq, receipt.producer_seq),
                (Seq(n), ProducerSeq(n))
            );
        }
        for n in 1..=3 {
            assert_eq!(next_text(&mut live).await, (n, n.to_string()));
        }
        let past = client
            .history("lobby", HistoryRange::Latest, 2)
            .await
            .expect("reads");
        assert_eq!(
            past.records.last().expect("two").position(),
            live.position()
        );
        assert_eq!(client.producer_seq("lobby").await, Ok(ProducerSeq(3)));
        assert!(client.ping().await.expect("answers") < PATIENCE);
        client.close(PATIENCE).await.expect("nothing is unacked");
        assert!(live.next().await.expect("an error").is_err());
        assert!(live.next().await.is_none());
    });
}

#[test]
fn connections_cut_again_and_again_lose_and_double_nothing() {
    on_each(|| async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let mut reader = client
            .subscribe("lobby", Start::Live)
            .await
            .expect("subscribes");
        let mut pending = Vec::new();
        for round in 0..10 {
            for n in 0..50 {
                let text = format!("{}", 50 * round + n + 1);
                pending.push(
                    client
                        .publish_pipelined("lobby", text)
                        .await
                        .expect("takes"),
                );
            }
            server.cut();
        }
        for (n, pending) in (1..).zip(pending) {
            assert_eq!(pending.await.expect("acked").seq, Seq(n));
            assert_eq!(next_text(&mut reader).await, (n, n.to_string()));
        }
    });
}

#[test]
fn a_delivery_that_nobody_waited_for_any_more_is_not_lost() {
    on_each(|| async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let mut reader = client
            .subscribe("lobby", Start::Live)
            .await
            .expect("subscribes");
        let mut expected = 1;
        for n in 1..=200 {
            let publish = client.publish("lobby", format!("{n}"));
            tokio::pin!(publish);
            // Whichever comes first, the other one is dropped and begun anew, as a `select!` in a loop does.
            loop {
                tokio::select! {
                    receipt = &mut publish => {
                        receipt.expect("acked");
                        break;
                    }
                    delivery = reader.next() => {
                        let position = delivery.expect("goes on").expect("a record").position();
                        assert_eq!(position.map(|position| position.seq), Some(Seq(expected)));
                        expected += 1;
                    }
                }
            }
        }
        while expected <= 200 {
            assert_eq!(
                next_text(&mut reader).await,
                (expected, expected.to_string())
            );
            expected += 1;
        }
    });
}

#[test]
fn a_full_outbox_pushes_back_and_who_gives_up_waiting_has_not_published() {
    on_each(|| async {
        let server = Server::start();
        let tight = options(&server).outbox_bounds(2, 1 << 20);
        let client = AsyncClient::connect(tight).await.expect("connects");
        server.hold(true);
        let first = client.publish_pipelined("lobby", "a").await.expect("takes");
        let second = client.publish_pipelined("lobby", "b").await.expect("takes");
        let third = client.publish("lobby", "c");
        let dropped = tokio::time::timeout(Duration::from_millis(20), third).await;
        assert!(dropped.is_err(), "there is no place");
        let fourth = client.publish("lobby", "d");
        let freed = async {
            tokio::task::yield_now().await;
            server.hold(false);
        };
        let (fourth, ()) = tokio::join!(fourth, freed);
        assert_eq!(fourth.expect("acked").seq, Seq(3));
        assert_eq!(first.await.expect("acked").seq, Seq(1));
        assert_eq!(second.await.expect("acked").seq, Seq(2));
        let bodies = server.with(|broker| broker.room("lobby").expect("exists").bodies());
        assert_eq!(bodies, ["a", "b", "d"]);
    });
}

#[test]
fn without_a_place_until_the_deadline_there_is_backpressure() {
    runtime().block_on(async {
        let server = Server::start();
        let tight = options(&server)
            .outbox_bounds(1, 1 << 20)
            .publish_deadline(Duration::from_millis(30));
        let client = AsyncClient::connect(tight).await.expect("connects");
        server.hold(true);
        let held = client.publish_pipelined("lobby", "a").await.expect("takes");
        let error = client.publish("lobby", "b").await.expect_err("no place");
        assert_eq!(error, PublishError::Backpressure);
        server.hold(false);
        let late = held.wait_deadline(Instant::now() + PATIENCE).await;
        assert_eq!(late.expect("acked").seq, Seq(1));
    });
}

#[test]
fn an_unacked_message_is_unknown_at_its_deadline_and_still_delivered() {
    runtime().block_on(async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        server.hold(true);
        let pending = client
            .publish_pipelined("lobby", "first")
            .await
            .expect("takes");
        client.ping().await.expect("so it was sent");
        let error = pending
            .wait_deadline(Instant::now())
            .await
            .expect_err("not acked");
        assert_eq!(error, PublishError::Unknown(Doubt::Deadline));
        let dropped = client
            .publish_pipelined("lobby", "second")
            .await
            .expect("takes");
        drop(dropped);
        server.hold(false);
        assert_eq!(
            client.publish("lobby", "third").await.expect("acked").seq,
            Seq(3)
        );
    });
}

#[test]
fn a_request_that_is_dropped_is_taken_back() {
    runtime().block_on(async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        client.publish("lobby", "1").await.expect("acked");
        for _ in 0..20 {
            let subscribe = client.subscribe("lobby", Start::Beginning);
            let history = client.history("lobby", HistoryRange::Latest, 1);
            // Polled once, so sent; then dropped.
            tokio::select! {
                biased;
                _ = subscribe => panic!("answered before it was sent"),
                _ = history => panic!("answered before it was sent"),
                () = tokio::task::yield_now() => {}
            }
        }
        let mut reader = client
            .subscribe("lobby", Start::Beginning)
            .await
            .expect("not subscribed");
        assert_eq!(next_text(&mut reader).await, (1, "1".into()));
        let second = client
            .subscribe("lobby", Start::Live)
            .await
            .expect_err("one a room");
        assert_eq!(second, Misuse::AlreadySubscribed.into());
    });
}

#[test]
fn a_slow_application_is_served_in_full_and_does_not_hold_up_acks() {
    on_each(|| async {
        let server = Server::start();
        let small = options(&server).subscription_bounds(8, 1 << 20);
        let client = AsyncClient::connect(small).await.expect("connects");
        let mut slow = client
            .subscribe("lobby", Start::Live)
            .await
            .expect("subscribes");
        for n in 0..200 {
            client
                .publish("lobby", format!("{n}"))
                .await
                .expect("acked");
        }
        for n in 0..200 {
            assert_eq!(next_text(&mut slow).await, (n + 1, n.to_string()));
        }
        assert_eq!(slow.next_timeout(Duration::ZERO).await, Ok(None));
    });
}

#[test]
fn close_flushes_and_counts_what_it_could_not() {
    runtime().block_on(async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let mut pending = Vec::new();
        for n in 0..100 {
            pending.push(
                client
                    .publish_pipelined("lobby", format!("{n}"))
                    .await
                    .expect("takes"),
            );
        }
        client
            .clone()
            .close(PATIENCE)
            .await
            .expect("everything was acked");
        for pending in pending {
            pending.await.expect("acked");
        }
        let error = client.publish("lobby", "late").await.expect_err("closed");
        assert_eq!(error, PublishError::Closed(Box::new(ClientError::Closed)));

        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        server.hold(true);
        let pending = client
            .publish_pipelined("lobby", "held")
            .await
            .expect("takes");
        client.ping().await.expect("so it was sent");
        let error = client
            .close(Duration::from_millis(20))
            .await
            .expect_err("unacked");
        assert_eq!(error.unacked, 1);
        let error = pending.await.expect_err("unacked");
        assert_eq!(error, PublishError::Unknown(Doubt::Closed));
    });
}

#[test]
fn the_last_handle_ends_the_connection_and_the_runtime_ends_the_client() {
    let server = Server::start();
    let first = runtime();
    let client = first.block_on(async {
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        drop(
            client
                .subscribe("lobby", Start::Live)
                .await
                .expect("subscribes"),
        );
        drop(client);
        while server.connections() != 0 {
            tokio::task::yield_now().await;
        }
        AsyncClient::connect(options(&server))
            .await
            .expect("connects")
    });
    server.hold(true);
    let pending = first
        .block_on(client.publish_pipelined("lobby", "x"))
        .expect("takes");
    drop(first);
    let second = runtime();
    let error = second
        .block_on(pending.wait())
        .expect_err("nobody drives it any more");
    assert!(matches!(error, PublishError::Closed(_)), "{error:?}");
    assert_eq!(second.block_on(client.ping()), Err(ClientError::Closed));
}

#[test]
fn a_terminal_goaway_ends_everything_with_its_reason() {
    runtime().block_on(async {
        let server = Server::start();
        let client = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let mut subscription = client
            .subscribe("lobby", Start::Live)
            .await
            .expect("subscribes");
        server.with(|broker| broker.goaway(Code::REPLACED, GoawayClass::Terminal, 0));
        assert!(subscription.next().await.expect("an error").is_err());
        assert!(subscription.next().await.is_none());
        let error = client.ping().await.expect_err("closed");
        let is_replaced = matches!(
            error,
            ClientError::Goaway {
                code: Code::REPLACED,
                ..
            }
        );
        assert!(is_replaced, "{error:?}");
    });
}

#[test]
fn addresses_are_tried_in_turn_and_names_resolved() {
    runtime().block_on(async {
        let server = Server::start();
        let port = server
            .address()
            .rsplit(':')
            .next()
            .expect("a port")
            .to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let dead = listener.local_addr().expect("an address").to_string();
        drop(listener);
        let error = AsyncClient::connect(ClientOptions::new(&dead))
            .await
            .expect_err("nobody");
        let kind = std::io::ErrorKind::ConnectionRefused;
        assert_eq!(
            error,
            ClientError::Connect {
                address: dead.clone(),
                kind
            }
        );
        let named = ClientOptions::new(dead)
            .address(format!("localhost:{port}"))
            .user("ann");
        let client = AsyncClient::connect(named).await.expect("connects");
        assert_eq!(client.user(), "ann");
        let numbered = Message::new("x").producer_seq(ProducerSeq(1));
        let error = client.publish("a", numbered).await.expect_err("not kept");
        assert_eq!(error, Misuse::ProducerNotKept.into());
    });
}

#[test]
fn without_a_runtime_connecting_is_an_error() {
    let server = Server::start();
    let connecting = Box::pin(AsyncClient::connect(options(&server)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut connecting = connecting;
    let std::task::Poll::Ready(Err(error)) = connecting.as_mut().poll(&mut context) else {
        panic!("connects without a runtime")
    };
    assert_eq!(error, ClientError::System(std::io::ErrorKind::Unsupported));
}

#[test]
fn what_rides_beside_records_goes_on_over_cuts() {
    on_each(|| async {
        let server = Server::start();
        let ann = AsyncClient::connect(options(&server))
            .await
            .expect("connects");
        let receipt = ann.publish("lobby", "1").await.expect("acked");
        let follow = Follow::from(Start::Live).signals();
        let mut lobby = ann.subscribe("lobby", follow).await.expect("subscribes");
        for round in 0..3 {
            let signal = Signal::new("round").key("k").value(format!("{round}"));
            ann.signal("lobby", signal).await.expect("sent");
            let delivery = lobby.next_timeout(PATIENCE).await.expect("goes on");
            assert!(
                matches!(&delivery, Some(Delivery::Signal(heard)) if heard.text() == format!("{round}")),
                "{delivery:?}"
            );
            let at = CursorMove::to(receipt.seq, Count(1));
            let at = ann.set_cursor("lobby", "read", at).await.expect("moves");
            assert_eq!(at.unread(), 0);
            server.with(|broker| broker.is_counting_for_another = true);
            assert!(ann.check().await.expect("agrees").is_complete());
            assert_eq!(ann.cluster().await.expect("answers").nodes.len(), 1);
            server.cut();
            ann.cursor("lobby", "read").await.expect("answers");
        }
    });
}
