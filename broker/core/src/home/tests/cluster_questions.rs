//! Questions at replicas that do not lead: answered by their leader's word, asked again, turned away in time.

use alloc::boxed::Box;
use alloc::vec::Vec;

use antiphon_protocol::Code;

use super::cluster_runs::{ROOMS, Run};
use super::cursors::{at, cursor};
use super::world::EDGE;
use crate::lane::{FetchRange, ToEdge, ToHome};

/// Three nodes that are settled, and one of them that leads nothing.
fn with_follower(seed: u64) -> (Run, usize) {
    let mut run = Run::new(3, seed);
    run.settle(2);
    let leads = |node: &usize| (0..2).any(|partition| run.cluster.leads(*node, partition));
    let follower = (0..3).find(|node| !leads(node));
    let follower = follower.expect("two partitions have two leaders at most");
    (run, follower)
}

impl Run {
    /// Asks for all rooms at a node, and waits for the answers; gives how long that took, in ms.
    fn ask_and_wait(&mut self, node: usize) -> u64 {
        for room in ROOMS {
            self.ask_at(node, room);
        }
        let since = self.now_ms;
        while !self.readers.is_empty() {
            self.now_ms += 5;
            self.cluster.calm_step();
            self.hear();
            assert!(self.now_ms - since < 5_000, "a question hangs");
        }
        self.now_ms - since
    }
}

#[test]
fn a_replica_that_follows_answers_by_its_leader() {
    let (mut run, follower) = with_follower(3);
    run.reads_by_followers = 0;
    let ms = run.ask_and_wait(follower);
    assert!(ms <= 20, "a round trip, no timer: {ms} ms");
    assert_eq!((run.reads_by_followers, run.turned_away.len()), (3, 0));
}

#[test]
fn a_question_or_an_answer_that_is_lost_is_asked_again() {
    let (mut run, follower) = with_follower(4);
    let leader = run.cluster.leader(0).expect("settled");
    for room in ROOMS {
        run.ask_at(follower, room);
    }
    run.cluster.turn(follower);
    for other in 0..3 {
        run.cluster.reset(follower, other);
    }
    run.reads_by_followers = 0;
    let ms = run.ask_and_wait(follower);
    assert!((100..400).contains(&ms), "{ms} ms, led by {leader}");
    assert_eq!((run.reads_by_followers, run.turned_away.len()), (6, 0));
}

#[test]
fn a_replica_that_cannot_ask_says_so_within_two_seconds() {
    // It hears its leader and is not heard: it knows whom to name.
    let (mut run, follower) = with_follower(5);
    for other in 0..3 {
        run.cluster.cut(follower, other);
    }
    let ms = run.ask_and_wait(follower);
    assert!((2_000..2_100).contains(&ms), "{ms} ms");
    assert_eq!(run.turned_away.len(), 3);
    for (code, hint) in &run.turned_away {
        let leaders = [run.cluster.leader(0), run.cluster.leader(1)];
        let named = usize::try_from(*hint).ok().and_then(|id| id.checked_sub(1));
        assert!(*code == Code::MOVED && leaders.contains(&named), "{code}");
    }
    // It hears nobody, and names nobody.
    let (mut run, follower) = with_follower(6);
    for other in 0..3 {
        run.cluster.cut(follower, other);
        run.cluster.cut(other, follower);
    }
    for _ in 0..200 {
        run.now_ms += 5;
        run.cluster.calm_step();
    }
    let ms = run.ask_and_wait(follower);
    assert!(ms < 2_100, "{ms} ms");
    assert_eq!(run.turned_away, [(Code::UNAVAILABLE, 0); 3]);
}

#[test]
fn a_replica_that_follows_serves_history_and_tells_cursors_and_leaves_moves_to_its_leader() {
    let (mut run, follower) = with_follower(8);
    let world = run.cluster.world(follower);
    world.fetch(
        "tea",
        FetchRange::After(antiphon_protocol::Seq(0)),
        10,
        4_096,
    );
    for position in [at(0), at(1)] {
        let message = ToHome::Cursor(Box::new(cursor("read", position)));
        let now = world.now;
        world.home.handle(EDGE, message, now);
    }
    let mut answers: Vec<ToEdge> = Vec::new();
    for _ in 0..10 {
        run.cluster.calm_step();
        answers.extend(run.cluster.world(follower).taken());
    }
    let pages = answers.iter().filter(
        |answer| matches!(answer, ToEdge::Page(page) if page.first.0 == 1 && page.next.0 > 2),
    );
    assert_eq!(pages.count(), 1, "{answers:?}");
    let told = answers.iter().filter(|answer| matches!(answer, ToEdge::CursorTold(told) if told.position.seq.0 == 0 && told.head.seq.0 > 2));
    assert_eq!(told.count(), 1, "{answers:?}");
    let leaders = [run.cluster.leader(0), run.cluster.leader(1)];
    let is_named = |hint: u64| leaders.contains(&Some(hint as usize - 1));
    let refused = answers.iter().filter(|answer| matches!(answer, ToEdge::Reject(reject) if reject.code == Code::MOVED && is_named(reject.hint)));
    assert_eq!(refused.count(), 1, "{answers:?}");
}
