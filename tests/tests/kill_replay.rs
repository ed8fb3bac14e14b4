//! A slice of a real chat, replayed while the broker is killed.

use std::path::Path;

use antiphon_tests::binary;
use antiphon_tests::broker::SMALL;
use antiphon_tests::kill_replay::{Plan, run};

#[test]
fn a_replay_under_five_kills_comes_back_complete_and_in_order() {
    let home = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/chitchat-slice.ndjson.gz");
    let plan = Plan {
        binary: binary::antiphon().unwrap(),
        file,
        kills: 5,
        serve_args: SMALL.map(String::from).to_vec(),
        replay_args: Vec::new(),
    };
    let report = run(&plan, home.path()).unwrap_or_else(|error| panic!("{error}"));
    println!("{report:#?}");
    assert_eq!(report.kills.len(), 5);
    assert!(report.kills.iter().all(|kill| kill.unacked > 0));
}
