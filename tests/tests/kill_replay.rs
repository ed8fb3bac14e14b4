//! A slice of a real chat, replayed while the broker is killed.

use std::path::Path;

use antiphon_tests::binary;
use antiphon_tests::broker::SMALL;
use antiphon_tests::kill_replay::{Plan, run};

fn survive(kills: u32, replay_args: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chitchat-slice.ndjson.gz");
    let plan = Plan {
        binary: binary::antiphon().unwrap(),
        file,
        kills,
        serve_args: SMALL.map(String::from).to_vec(),
        replay_args: replay_args.iter().copied().map(String::from).collect(),
    };
    let report = run(&plan, home.path()).unwrap_or_else(|error| panic!("{error}"));
    println!("{report:#?}");
    assert_eq!(report.kills.len(), kills as usize);
    assert!(report.kills.iter().all(|kill| kill.unacked > 0));
}

#[test]
fn a_replay_under_five_kills_comes_back_complete_and_in_order() {
    survive(5, &[]);
}

#[test]
fn users_that_share_a_few_connections_survive_kills_too() {
    survive(5, &["--connections", "8"]);
}
