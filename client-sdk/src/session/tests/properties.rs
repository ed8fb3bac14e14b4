//! Whatever the network and the broker do: every publish takes effect once or says why not, every reader misses nothing.

use proptest::prelude::*;

use crate::error::PublishError;
use crate::fake_broker::Faults;
use crate::options::ClientOptions;
use crate::record::Delivery;
use crate::session::tests::world::{NetworkFaults, World};
use crate::session::{Command, Event};
use crate::subscription::Start;

const ROOMS: [&str; 3] = ["one", "two", "three"];

/// Publishes and disturbs for a while, then lets everything settle.
fn run(
    seed: u64,
    steps: u32,
    options: &ClientOptions,
    faults: Faults,
    network: NetworkFaults,
) -> World {
    let mut world = World::open(seed, options);
    world.faults = network;
    world.broker.faults = faults;
    for name in ROOMS {
        world.subscribe(name, Start::Beginning);
    }
    let mut given_up = 0;
    for step in 0..steps {
        let name = ROOMS[world.random.below(3) as usize];
        match world.random.below(12) {
            0..=2 => drop(world.publish(name, &format!("{name} {step}"))),
            3 => world
                .broker
                .append(name, format!("foreign {step}").as_bytes()),
            4 if !world.published.is_empty() && given_up < 5 => {
                let chosen = world.random.below(world.published.len() as u64) as usize;
                let ticket = world.published[chosen].0;
                given_up += 1;
                world.command(Command::GiveUp { ticket });
            }
            5 => {
                let tickets: Vec<_> = world.subscriptions.keys().copied().collect();
                let chosen = world.random.below(tickets.len() as u64) as usize;
                world.read(tickets[chosen]);
            }
            _ => world.step(),
        }
    }
    world.settle();
    while world.broker.step() {}
    check_sums(&mut world);
    world
}

/// The broker's own count of what it sent agrees with what came.
fn check_sums(world: &mut World) {
    world.events.clear();
    let ticket = world.ticket();
    world.command(Command::Check { ticket });
    for _ in 0..2_000 {
        world.step();
        let mut events = world.events.iter();
        if let Some(Event::Checked(_, result)) =
            events.find(|event| matches!(event, Event::Checked(..)))
        {
            return assert!(result.is_ok(), "{result:?}");
        }
    }
    panic!("a check without an end");
}

/// Every outcome against what the broker holds.
fn check_outcomes(world: &World) {
    for (ticket, name, body) in &world.published {
        let bodies = world.bodies(name);
        let copies = bodies.iter().filter(|stored| *stored == body).count();
        match world.outcome(*ticket) {
            Ok(receipt) => {
                assert_eq!(copies, 1, "{body:?} was acked and is there {copies} times");
                assert_eq!(
                    &bodies[receipt.seq.0 as usize - 1],
                    body,
                    "a receipt for another record"
                );
            }
            Err(PublishError::Unknown(_)) => {
                assert!(copies <= 1, "{body:?} is there {copies} times")
            }
            Err(error) => assert_eq!(copies, 0, "{body:?} is there in spite of {error:?}"),
        }
    }
    assert_eq!(
        world.released as usize,
        world.published.len(),
        "places of the outbox were not given back once each"
    );
}

/// A room's messages are stored in the order in which they were published.
fn check_order(world: &World) {
    for name in ROOMS {
        let stored: Vec<String> = world
            .bodies(name)
            .into_iter()
            .filter(|body| body.starts_with(name))
            .collect();
        let mut ours = world
            .published
            .iter()
            .filter(|(_, room, _)| room == name)
            .map(|(.., body)| body);
        for body in &stored {
            assert!(
                ours.any(|published| published == body),
                "{body:?} is out of order in {stored:?}"
            );
        }
    }
}

/// Every subscription saw the whole room.
fn check_readers(world: &World) {
    for seen in world.subscriptions.values() {
        let bodies = world.bodies(&seen.room);
        let mut read = Vec::new();
        for delivery in &seen.deliveries {
            match delivery {
                Delivery::Record(record) => read.push(record.text().into_owned()),
                other => panic!("from nowhere: {other:?}"),
            }
        }
        assert_eq!(
            read,
            bodies[..read.len()],
            "{} was read differently",
            seen.room
        );
        assert_eq!(
            read.len(),
            bodies.len(),
            "{} was not read to its end",
            seen.room
        );
    }
}

fn options() -> ClientOptions {
    ClientOptions::new("broker:1").subscription_bounds(5, 1 << 20)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn a_lossy_network_loses_and_doubles_nothing(seed: u64, drop_pipe in 0_u64..60) {
        let faults = Faults { drop_pipe, keep_back: 20, ..Faults::default() };
        let network = NetworkFaults { drop_connection: 3, refuse_connection: 20 };
        let world = run(seed, 400, &options(), faults, network);
        check_outcomes(&world);
        check_order(&world);
        check_readers(&world);
        for (ticket, ..) in &world.published {
            let outcome = world.outcome(*ticket);
            let is_given_up = matches!(outcome, Err(PublishError::Unknown(_) | PublishError::Timeout));
            prop_assert!(outcome.is_ok() || is_given_up, "{outcome:?}");
        }
    }

    #[test]
    fn refusals_for_now_end_in_receipts(seed: u64, refuse in 0_u64..40) {
        let faults = Faults { refuse, refuse_requests: 20, drop_pipe: 20, keep_back: 30, ..Faults::default() };
        let network = NetworkFaults { drop_connection: 2, refuse_connection: 10 };
        let world = run(seed, 300, &options(), faults, network);
        check_outcomes(&world);
        check_order(&world);
        check_readers(&world);
    }

    #[test]
    fn refusals_for_good_and_expired_producers_double_nothing(
        seed: u64, refuse in 0_u64..20, refuse_for_good in 0_u64..20, expire in 0_u64..4,
    ) {
        let faults = Faults { refuse, refuse_for_good, expire, refuse_requests: 5, drop_pipe: 20, keep_back: 30 };
        let network = NetworkFaults { drop_connection: 2, refuse_connection: 10 };
        let world = run(seed, 300, &options(), faults, network);
        check_outcomes(&world);
        check_order(&world);
        check_readers(&world);
    }

    #[test]
    fn a_kept_producer_doubles_nothing_either(
        seed: u64, refuse in 0_u64..20, refuse_for_good in 0_u64..20,
    ) {
        let faults = Faults { refuse, refuse_for_good, drop_pipe: 20, keep_back: 30, ..Faults::default() };
        let network = NetworkFaults { drop_connection: 2, refuse_connection: 10 };
        let world = run(seed, 300, &options().keep_producer(), faults, network);
        check_outcomes(&world);
        check_readers(&world);
        prop_assert_eq!(world.broker.producers, 1, "a kept producer was changed");
    }
}
