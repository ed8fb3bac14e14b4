//! `replay` and `export` with a real broker.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use antiphon_tests::chat::Chat;
use antiphon_tests::world::World;
use serde_json::Value;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_antiphon"))
}

/// Two rooms, three users, the user changing often; a body of every sort.
fn small_chat(world: &World) -> PathBuf {
    let users = ["ann", "bob", "cleo"];
    let texts = [
        "hello",
        "",
        "tab\\tand \\\"quotes\\\"",
        "grüezi 你好",
        "\\u0007",
        "a\\nb",
    ];
    let lines: String = (0..600)
        .map(|n| {
            let (room, user, text) = (n % 2, users[(n / 3) % 3], texts[n % 6]);
            let at = format!("2018-04-10T18:{:02}:{:02}Z", n / 60, n % 60);
            format!("{{\"at\":\"{at}\",\"room\":\"room {room}\",\"user\":\"{user}\",\"text\":\"{n} {text}\"}}\n")
        })
        .collect();
    let path = world.path("chat.ndjson");
    fs::write(&path, lines).unwrap();
    path
}

fn replay(world: &World, args: &[&str]) -> Value {
    let args: Vec<&str> = ["--json", "replay"].iter().chain(args).copied().collect();
    serde_json::from_str(&world.ok(&args)).unwrap()
}

fn exported(world: &World) -> Chat {
    Chat::read(world.ok(&["export", "--data", &world.data()]).as_bytes()).unwrap()
}

#[test]
fn an_export_is_the_replayed_file_and_a_repeated_replay_adds_nothing() {
    let world = world();
    let path = small_chat(&world);
    let file = path.to_str().unwrap();
    let first = replay(&world, &[file]);
    assert_eq!(
        (&first["acked"], &first["duplicates"]),
        (&600.into(), &0.into()),
        "{first}"
    );
    let again = replay(&world, &[file, "--connections", "1"]);
    assert_eq!(
        (&again["acked"], &again["duplicates"]),
        (&600.into(), &600.into()),
        "{again}"
    );
    assert_eq!(
        Chat::open(&path).unwrap().difference(&exported(&world)),
        None
    );
}

#[test]
fn one_connection_at_a_time_keeps_the_order_too() {
    let world = world();
    let path = small_chat(&world);
    let told = replay(&world, &[path.to_str().unwrap(), "--connections", "1"]);
    assert_eq!(
        (&told["acked"], &told["duplicates"]),
        (&600.into(), &0.into()),
        "{told}"
    );
    assert_eq!(
        Chat::open(&path).unwrap().difference(&exported(&world)),
        None
    );
}

#[test]
fn a_replay_killed_in_the_middle_goes_on_without_doubling_anything() {
    let world = world();
    let path = small_chat(&world);
    let file = path.to_str().unwrap();
    let mut replays = world.antiphon.spawn(["--json", "replay", file]).unwrap();
    let mut events = BufReader::new(replays.stderr.take().unwrap()).lines();
    // The first event comes after some acks; then the replay is killed, wherever it is.
    events.next().unwrap().unwrap();
    replays.kill().unwrap();
    replays.wait().unwrap();
    let told = replay(&world, &[file]);
    assert_eq!(told["acked"], 600, "{told}");
    assert!(told["duplicates"].as_u64().unwrap() > 0, "{told}");
    assert_eq!(
        Chat::open(&path).unwrap().difference(&exported(&world)),
        None
    );
}

#[test]
fn a_grown_file_is_gone_on_with_and_a_changed_one_is_refused() {
    let world = world();
    let path = small_chat(&world);
    let file = path.to_str().unwrap();
    replay(&world, &[file]);
    let mut text = fs::read_to_string(&path).unwrap();
    text += "{\"at\":\"2018-04-10T20:00:00Z\",\"room\":\"room 1\",\"user\":\"ann\",\"text\":\"late\"}\n";
    fs::write(&path, &text).unwrap();
    let grown = replay(&world, &[file]);
    assert_eq!(
        (&grown["acked"], &grown["published"]),
        (&601.into(), &1.into()),
        "{grown}"
    );
    fs::write(&path, text.replace("hello", "hullo")).unwrap();
    let changed = world.ran(&["replay", file]);
    assert_eq!(changed.code, Some(1), "{changed:?}");
    assert!(changed.stderr.contains("has changed"), "{changed:?}");
}

#[test]
fn after_seven_days_a_replay_is_refused() {
    let world = world();
    let path = small_chat(&world);
    let state = world.path("chat.ndjson.replay-state");
    fs::write(
        &state,
        "{\"replay_state\":1}\n{\"user\":\"ann\",\"producer\":4194304}\n",
    )
    .unwrap();
    let ran = world.ran(&["replay", path.to_str().unwrap()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("7 days") && ran.stderr.contains("remove"),
        "{ran:?}"
    );
}

#[test]
fn named_rooms_are_exported_in_the_order_in_which_they_are_named() {
    let world = world();
    let path = small_chat(&world);
    replay(&world, &[path.to_str().unwrap()]);
    let one = world.ok(&["export", "room 1"]);
    assert_eq!(one.lines().count(), 300);
    let both = world.ok(&["export", "room 1", "room 0"]);
    assert!(both.starts_with(&one));
    let ran = world
        .antiphon
        .run_with(["export", "--from", "-"], b"room 1\n")
        .unwrap();
    assert_eq!(ran.stdout, one);
}

#[test]
fn ctrl_c_stops_a_replay_and_says_that_it_can_go_on() {
    let world = world();
    let path = small_chat(&world);
    let mut replays = world
        .antiphon
        .spawn(["replay", path.to_str().unwrap(), "--speed", "1"])
        .unwrap();
    let state = world.path("chat.ndjson.replay-state");
    // Its first user is in the state file: it is under way.
    while !fs::read_to_string(&state)
        .unwrap_or_default()
        .contains("ann")
    {
        assert_eq!(replays.try_wait().unwrap(), None);
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(replays.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(replays.wait().unwrap().code(), Some(130));
    let mut told = String::new();
    replays
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(told.contains("run the same command again"), "{told}");
}
