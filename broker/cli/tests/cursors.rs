//! Cursors and typing, each command its own process.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use antiphon_protocol::limits::ROOM_CURSORS_MAX;
use antiphon_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_antiphon"))
}

fn say(world: &World, count: u64) {
    let lines: String = (1..=count).map(|n| format!("{n}\n")).collect();
    world
        .antiphon
        .run_with(["pub", "lobby"], lines.as_bytes())
        .unwrap();
}

fn read(world: &World, count: &str) -> Vec<u64> {
    let words = ["--json", "sub", "lobby", "--cursor", "work", "--as", "ann"];
    let lines = world.ok(&[&words[..], &["--count", count]].concat());
    let seqs = lines.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["seq"].as_u64().unwrap()
    });
    seqs.collect()
}

#[test]
fn a_reader_with_a_cursor_goes_on_where_it_stopped() {
    let world = world();
    say(&world, 5);
    assert_eq!(read(&world, "2"), [1, 2]);
    assert_eq!(read(&world, "1"), [3]);
    let told = world.ok(&["cursor", "lobby", "--user", "ann", "--name", "work"]);
    assert_eq!(told, "at 3 of 5, 2 unread\n");
    assert_eq!(read(&world, "2"), [4, 5]);
}

#[test]
fn a_cursor_is_told_moved_up_and_never_back() {
    let world = world();
    say(&world, 5);
    let cursor =
        |words: &[&str]| world.ok(&[&["cursor", "lobby", "--user", "ann"], words].concat());
    assert_eq!(cursor(&[]), "at 0 of 5, 5 unread\n");
    assert_eq!(
        cursor(&["--set", "4", "--members"]),
        "at 4 of 5, 1 unread\n"
    );
    assert_eq!(cursor(&["--set", "2"]), "at 4 of 5, 1 unread\n");
    let told: Value = serde_json::from_str(&cursor(&["--json"])).unwrap();
    assert_eq!((&told["seq"], &told["count"]), (&4.into(), &4.into()));
    assert_eq!((&told["head_seq"], &told["unread"]), (&5.into(), &1.into()));
    let run = |words: &[&str]| world.antiphon.run(words).unwrap();
    let above = run(&["cursor", "lobby", "--user", "ann", "--set", "6"]);
    assert_eq!(above.code, Some(4), "{above:?}");
    assert!(
        above.stderr.contains("record 6 is not in the room"),
        "{above:?}"
    );
    let nowhere = run(&["cursor", "nowhere", "--user", "ann"]);
    assert_eq!(nowhere.code, Some(4), "{nowhere:?}");
}

#[test]
fn a_cursor_beyond_the_limit_ends_its_reader_and_no_conversation() {
    let world = world();
    say(&world, 1);
    for name in 0..ROOM_CURSORS_MAX {
        let name = name.to_string();
        world.ok(&[
            "cursor", "lobby", "--user", "ann", "--name", &name, "--set", "1",
        ]);
    }
    let words = ["sub", "lobby", "--cursor", "one-more", "--as", "ann"];
    let mut sub = world.antiphon.spawn(words).unwrap();
    let pid = Pid::from_raw(sub.id().try_into().unwrap()).unwrap();
    let mut told = sub.stderr.take().unwrap();
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(sub.wait()));
    let Ok(ended) = ended.recv_timeout(Duration::from_secs(20)) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("it asks again and again");
    };
    let mut said = String::new();
    told.read_to_string(&mut said).unwrap();
    assert_eq!(ended.unwrap().code(), Some(4), "{said}");
    assert!(
        said.contains("LIMIT") && said.contains("at most 8"),
        "{said}"
    );

    let chat = world
        .antiphon
        .run_with(["chat", "lobby", "--as", "ann"], &b"hello\n"[..]);
    let chat = chat.unwrap();
    assert_eq!(chat.code, Some(0), "{chat:?}");
    assert!(chat.stdout.contains("ann: hello"), "{chat:?}");
}

#[test]
fn a_chat_says_what_is_unread_and_leaves_nothing_unread() {
    let world = world();
    say(&world, 3);
    let chat = |typed: &[u8]| {
        let ran = world
            .antiphon
            .run_with(["chat", "lobby", "--as", "ann"], typed);
        ran.unwrap()
    };
    assert!(chat(b"").stderr.contains("3 unread"));
    let again = chat(b"hello\n");
    assert!(!again.stderr.contains("unread"), "{again:?}");
    let told = world.ok(&["cursor", "lobby", "--user", "ann"]);
    assert_eq!(told, "at 4 of 4, 0 unread\n");
}

fn chat(world: &World, user: &str) -> Child {
    let mut command = world.antiphon.command(["chat", "lobby", "--as", user]);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_chat_shows_who_is_typing() {
    let world = world();
    say(&world, 1);
    let mut ann = chat(&world, "ann");
    let mut shown = BufReader::new(ann.stdout.take().unwrap()).lines();
    let mut notes = BufReader::new(ann.stderr.take().unwrap()).lines();
    let first = shown.next().unwrap().unwrap();
    assert!(first.ends_with("anonymous: 1"), "{first}");
    let mut bob = chat(&world, "bob");
    let mut typed = bob.stdin.take().unwrap();
    typed.write_all(b"/typing\n").unwrap();
    let note = notes.find(|note| note.as_ref().unwrap().contains("typing"));
    assert_eq!(note.unwrap().unwrap(), "-- bob is typing --");
    typed.write_all(b"hello\n").unwrap();
    let said = shown.next().unwrap().unwrap();
    assert!(said.ends_with("bob: hello"), "{said}");
    typed.write_all(b"/quit\n").unwrap();
    assert!(bob.wait().unwrap().success());
    drop(ann.stdin.take());
    assert!(ann.wait().unwrap().success());
}
