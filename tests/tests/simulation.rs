//! Worlds in a seed; see docs/simulation.md. The command `cargo sim swarm` runs many more, and faster.

use antiphon_tests::sim::{TestWorld, check};

#[test]
fn a_small_swarm_keeps_every_promise() {
    for seed in 1..=24 {
        let world = TestWorld::new(seed, 12);
        check(&world).unwrap_or_else(|failure| panic!("SEED={seed}: {failure}"));
    }
}

#[test]
fn several_nodes_keep_every_promise() {
    for (seed, nodes) in [(1, 3), (2, 3), (3, 3), (4, 5)] {
        let world = TestWorld::new(seed, 8).nodes(nodes);
        check(&world).unwrap_or_else(|failure| panic!("SEED={seed}, {nodes} nodes: {failure}"));
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    for (seed, nodes) in [(5, 1), (20, 1), (37, 1), (5, 3)] {
        let world = TestWorld::new(seed, 8).nodes(nodes);
        assert_eq!(check(&world), check(&world), "SEED={seed}");
    }
}

#[test]
fn seeds_that_once_failed_hold() {
    let seeds = include_str!("../seeds.txt");
    for line in seeds.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (Some(seed), Some(seconds)) = (number(), number()) else {
            panic!("{line:?} has no seed and seconds");
        };
        check(&TestWorld::new(seed, seconds)).unwrap_or_else(|failure| panic!("{line}: {failure}"));
    }
}
