//! A disk that is as good as full: nothing new is taken, everything else goes on.

use antiphon_protocol::{Code, Seq};

use super::world::{World, producer};
use crate::lane::FetchRange;

/// The answer of a publish: seq and whether it was a duplicate, or code and hint.
fn answer(
    world: &World,
    request: antiphon_protocol::RequestId,
) -> Result<(u64, bool), (Code, u64)> {
    let answer = world.answer(request).expect("answered");
    answer.map(|ack| (ack.seq.0, ack.duplicate))
}

#[test]
fn publishes_are_refused_and_their_numbers_stay_bound_until_there_is_space_again() {
    let mut world = World::new(1);
    let stored = world.say("tea", producer(1), 1, b"one");
    world.settle();
    let admitted = world.say("tea", producer(1), 2, b"two");
    world.run();
    world.exchange.set_storage_full(true);
    let refused = world.say("tea", producer(1), 3, b"three");
    let behind = world.say("tea", producer(1), 4, b"four");
    let new_room = world.say("milk", producer(1), 1, b"new");
    let retry = world.say("tea", producer(1), 1, b"one");
    world.settle();
    assert_eq!(answer(&world, stored), Ok((1, false)));
    assert_eq!(
        answer(&world, admitted),
        Ok((2, false)),
        "it was admitted before"
    );
    assert_eq!(answer(&world, refused), Err((Code::STORAGE_FULL, 0)));
    assert_eq!(answer(&world, behind), Err((Code::OUT_OF_ORDER, 2)));
    assert_eq!(answer(&world, new_room), Err((Code::STORAGE_FULL, 0)));
    assert_eq!(
        answer(&world, retry),
        Ok((1, true)),
        "what is stored is acked"
    );
    assert_eq!(world.home.stats().rooms, 1);
    world.exchange.set_storage_full(false);
    let again = world.say("tea", producer(1), 3, b"three");
    world.settle();
    assert_eq!(answer(&world, again), Ok((3, false)));
}

#[test]
fn history_is_read_while_the_disk_is_full() {
    let mut world = World::new(1);
    for seq in 1..=3 {
        world.say("tea", producer(1), seq, b"kept");
    }
    world.settle();
    world.taken();
    world.exchange.set_storage_full(true);
    world.fetch("tea", FetchRange::After(Seq(0)), 10, 64 * 1024);
    world.settle();
    let room = world.taken().into_iter().find_map(|message| match message {
        crate::lane::ToEdge::Page(page) => Some((page.first, page.next)),
        _ => None,
    });
    assert_eq!(room, Some((Seq(1), Seq(4))));
}
