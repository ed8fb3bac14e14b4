//! Publishing and reading, each by its own process.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use antiphon_tests::world::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_antiphon"))
}

fn texts(lines: &str) -> Vec<String> {
    lines
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["text"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

fn send(child: &Child, signal: Signal) {
    kill_process(
        Pid::from_raw(child.id().try_into().unwrap()).unwrap(),
        signal,
    )
    .unwrap();
}

#[test]
fn a_ping_is_answered() {
    let world = world();
    assert!(world.ok(&["ping"]).starts_with("pong in "));
    let pong: Value = serde_json::from_str(&world.ok(&["ping", "--json"])).unwrap();
    assert_eq!(pong["pong"], true);
}

#[test]
fn what_was_published_is_in_the_history_with_its_seq_user_and_text() {
    let world = world();
    assert_eq!(
        world.ok(&["pub", "lobby", "hello", "there", "--as", "ann"]),
        "1\n"
    );
    assert_eq!(world.ok(&["pub", "lobby", "hi", "--as", "bob"]), "2\n");
    let history = world.ok(&["history", "lobby"]);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 2, "{history}");
    assert!(
        lines[0].trim_start().starts_with("1 ") && lines[0].ends_with("ann: hello there"),
        "{history}"
    );
    assert!(
        lines[1].trim_start().starts_with("2 ") && lines[1].ends_with("bob: hi"),
        "{history}"
    );
    assert_eq!(
        texts(&world.ok(&["--json", "history", "lobby", "--last", "1"])),
        ["hi"]
    );
}

#[test]
fn lines_of_stdin_become_messages_in_order_and_their_seqs_are_printed() {
    let world = world();
    let input: String = (1..=2_500).map(|n| format!("line {n}\n")).collect();
    let ran = world
        .antiphon
        .run_with(["pub", "bulk"], input.as_bytes())
        .unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let seqs: Vec<u64> = ran.stdout.lines().map(|seq| seq.parse().unwrap()).collect();
    assert_eq!(seqs, (1..=2_500).collect::<Vec<u64>>());
    let history = texts(&world.ok(&["--json", "history", "bulk", "--last", "2400"]));
    assert_eq!(
        history,
        (101..=2_500)
            .map(|n| format!("line {n}"))
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_chat_begins_with_history_shows_what_is_said_and_obeys_no_escape_of_others() {
    let world = world();
    let hostile = "\u{1b}[2Jgone";
    world.ok(&["pub", "lobby", hostile, "--as", "mallory"]);
    let typed = b"hello\n//slash\n/dance\n\n/quit\nnever said\n";
    let chat = ["chat", "lobby", "--as", "ann"];
    let ran = world.antiphon.run_with(chat, typed).unwrap();
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Vec<&str> = ran
        .stdout
        .lines()
        .map(|line| line.split_once("  ").unwrap().1)
        .collect();
    assert_eq!(
        said,
        ["mallory: \\u{1b}[2Jgone", "ann: hello", "ann: /slash"]
    );
    assert!(ran.stderr.contains("no such command: /dance"), "{ran:?}");
    let kept = texts(&world.ok(&["--json", "history", "lobby"]));
    assert_eq!(kept, [hostile, "hello", "/slash"]);
    let again = world.antiphon.run_with(chat, b"").unwrap();
    assert_eq!(again.code, Some(0), "{again:?}");
}

#[test]
fn history_and_sub_begin_around_a_record_and_at_a_time() {
    let world = world();
    let input = b"1\n2\n3\n4\n5\n";
    world.antiphon.run_with(["pub", "lobby"], input).unwrap();
    let read = |words: &[&str]| texts(&world.ok(&[&["--json"], words].concat()));
    let around = read(&["history", "lobby", "--around", "3", "--last", "3"]);
    assert_eq!(around, ["2", "3", "4"]);
    let begun = "2001-01-01T00:00:00Z";
    let first = read(&["history", "lobby", "--at", begun, "--last", "2"]);
    assert_eq!(first, ["1", "2"]);
    let never = "9001-01-01T00:00:00+02:00";
    assert!(read(&["history", "lobby", "--at", never]).is_empty());
    let followed = read(&["sub", "lobby", "--from-time", begun, "--count", "5"]);
    assert_eq!(followed, ["1", "2", "3", "4", "5"]);
    let ran = world
        .antiphon
        .run(["history", "lobby", "--at", "noon"])
        .unwrap();
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn sub_prints_the_past_and_then_the_present_without_a_hole() {
    let world = world();
    world
        .antiphon
        .run_with(["pub", "lobby"], b"1\n2\n3\n")
        .unwrap();
    let mut sub = world
        .antiphon
        .spawn(["--json", "sub", "lobby", "--last", "2", "--count", "4"])
        .unwrap();
    let mut lines = BufReader::new(sub.stdout.take().unwrap()).lines();
    let mut seen = vec![lines.next().unwrap().unwrap()];
    world
        .antiphon
        .run_with(["pub", "lobby"], b"4\n5\n")
        .unwrap();
    seen.extend(lines.map(Result::unwrap));
    assert_eq!(sub.wait().unwrap().code(), Some(0));
    assert_eq!(texts(&seen.join("\n")), ["2", "3", "4", "5"]);
    let position = serde_json::from_str::<Value>(&seen[1]).unwrap()["position"]
        .as_str()
        .unwrap()
        .to_owned();
    let resumed = world.ok(&[
        "--json", "sub", "lobby", "--after", &position, "--count", "2",
    ]);
    assert_eq!(texts(&resumed), ["4", "5"]);
}

#[test]
fn a_position_of_another_history_is_refused_with_code_4() {
    let world = world();
    world.ok(&["pub", "lobby", "hello"]);
    let ran = world.ran(&["sub", "lobby", "--after", "1:00000000deadbeef"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("next: "), "{ran:?}");
}

#[test]
fn a_position_behind_the_end_of_the_room_is_told_as_that() {
    let world = world();
    world.ok(&["pub", "lobby", "hello"]);
    let ran = world.ran(&["sub", "lobby", "--after", "7"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(
        ran.stderr.contains("lobby ends at 1, which is before 7"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("next: "), "{ran:?}");
}

#[test]
fn an_unknown_room_has_no_history_and_is_waited_for_by_sub() {
    let world = world();
    let ran = world.ran(&["history", "nowhere"]);
    assert_eq!(ran.code, Some(4), "{ran:?}");
    assert!(ran.stderr.contains("no such room"), "{ran:?}");
    let mut sub = world
        .antiphon
        .spawn(["--json", "sub", "nowhere", "--last", "5", "--count", "1"])
        .unwrap();
    world.ok(&["pub", "nowhere", "first"]);
    let mut seen = String::new();
    sub.stdout
        .take()
        .unwrap()
        .read_to_string(&mut seen)
        .unwrap();
    assert_eq!(sub.wait().unwrap().code(), Some(0));
    assert_eq!(texts(&seen), ["first"]);
}

#[test]
fn ctrl_c_ends_sub_with_130_and_tells_how_to_go_on() {
    let world = world();
    world.ok(&["pub", "lobby", "hello"]);
    let mut sub = world
        .antiphon
        .spawn(["sub", "lobby", "--last", "1"])
        .unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(sub.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    send(&sub, Signal::INT);
    assert_eq!(sub.wait().unwrap().code(), Some(130));
    drop(stdout);
    let mut told = String::new();
    sub.stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(told.contains("antiphon sub lobby --after 1:"), "{told}");
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let world = world();
    let input = "x".repeat(200) + "\n";
    world
        .antiphon
        .run_with(["pub", "lobby"], input.repeat(3_000).as_bytes())
        .unwrap();
    let mut history = world
        .antiphon
        .spawn(["history", "lobby", "--last", "3000"])
        .unwrap();
    let mut first = [0];
    history
        .stdout
        .take()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    // The pipe is closed here, with most of the 600 kB unwritten.
    let mut told = String::new();
    history
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert_eq!(
        (history.wait().unwrap().code(), told.as_str()),
        (Some(0), "")
    );
}

#[test]
fn a_sub_whose_reader_has_gone_ends_without_waiting_for_another_message() {
    let world = world();
    world.ok(&["pub", "lobby", "hello"]);
    let mut sub = world
        .antiphon
        .spawn(["sub", "lobby", "--last", "1"])
        .unwrap();
    let pid = Pid::from_raw(sub.id().try_into().unwrap()).unwrap();
    let mut line = String::new();
    BufReader::new(sub.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.contains("hello"), "{line}");
    // The pipe is closed here, and nothing is published.
    let (tell, ended) = mpsc::channel();
    thread::spawn(move || tell.send(sub.wait_with_output()));
    let Ok(ended) = ended.recv_timeout(Duration::from_secs(20)) else {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("it waits for a message that nobody would read");
    };
    let ended = ended.unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn a_message_too_large_is_refused_and_says_the_limit() {
    let world = world();
    let line = "x".repeat(300 * 1024);
    let ran = world
        .antiphon
        .run_with(["pub", "lobby"], line.as_bytes())
        .unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(4), ""), "{ran:?}");
    assert!(ran.stderr.contains("262144"), "{ran:?}");
}

#[test]
fn a_room_name_that_is_none_is_wrong_usage() {
    let world = world();
    for room in ["", "a\nb"] {
        let ran = world.ran(&["pub", room, "text"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}
