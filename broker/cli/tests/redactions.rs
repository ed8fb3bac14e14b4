//! Taking back and mending what was said, each command its own process.

use antiphon_tests::world::World;
use serde_json::Value;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_antiphon"))
}

#[test]
fn what_its_sender_took_back_is_shown_by_no_command() {
    let world = world();
    world.ok(&["pub", "lobby", "swordfish", "--as", "ann"]);
    world.ok(&["pub", "lobby", "hello", "--as", "bob"]);
    let refused = world.ran(&["redact", "lobby", "1", "--as", "bob"]);
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let redact = ["redact", "lobby", "1", "--as", "ann", "--reason", "oops"];
    assert_eq!(world.ok(&redact), "3\n");

    let history = world.ok(&["history", "lobby"]);
    let lines: Vec<&str> = history.lines().collect();
    assert!(lines[0].ends_with("ann [erased]: "), "{history}");
    assert!(lines[1].ends_with("bob: hello"), "{history}");
    assert!(lines[2].ends_with("ann [took 1 back]: oops"), "{history}");
    let json = world.ok(&["--json", "history", "lobby"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["erased"], &first["text"]),
        (&true.into(), &"".into())
    );

    let export = world.ok(&["export", "lobby"]);
    assert_eq!(export.lines().count(), 1, "{export}");
    let followed = world.ok(&["sub", "lobby", "--after", "0", "--count", "3"]);
    let data = world.data();
    let dump = world.ok(&["log", "dump", "--bodies", &data]);
    assert!(dump.contains("hello") && dump.contains("ERASED"), "{dump}");
    for told in [history, json, export, followed, dump] {
        assert!(!told.contains("swordfish"), "{told}");
    }
}

#[test]
fn a_conversation_takes_back_and_mends_what_was_said_last() {
    let world = world();
    let typed = b"/undo\nwrong\n/undo\n/edit nothing\nrihgt\n/edit right\n/quit\n";
    let ran = world
        .antiphon
        .run_with(["chat", "lobby", "--as", "ann"], typed);
    let ran = ran.unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let notes = ran.stderr.matches("there is nothing of yours here").count();
    assert_eq!(notes, 2, "{ran:?}");
    let history = world.ok(&["history", "lobby"]);
    let told: Vec<&str> = history
        .lines()
        .map(|line| line.split_once("  ann").unwrap().1)
        .collect();
    assert_eq!(
        told,
        [
            " [erased]: ",
            " [took 1 back]: ",
            ": rihgt",
            " [edit of 3]: right"
        ]
    );
}
