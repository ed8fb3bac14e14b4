//! `serve` and `log`: a data directory through a broker's life.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use antiphon_tests::broker::{BrokerProcess, SMALL};
use antiphon_tests::command::Antiphon;
use antiphon_tests::world::World;

const BINARY: &str = env!("CARGO_BIN_EXE_antiphon");

fn log(action: &str, data: &Path) -> antiphon_tests::command::Ran {
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    Antiphon::new(BINARY, nobody)
        .run(["log", action, data.to_str().unwrap()])
        .unwrap()
}

#[test]
fn a_stopped_broker_leaves_a_clean_log_and_a_killed_one_a_whole_log() {
    let world = World::new(BINARY);
    world
        .antiphon
        .run_with(["pub", "lobby"], b"1\n2\n3\n")
        .unwrap();
    let folder = world.stop();
    let data = folder.path().join("data");
    let clean = log("verify", &data);
    assert_eq!(clean.code, Some(0), "{clean:?}");
    assert!(
        clean.stdout.starts_with("clean: 3 records in 1 rooms"),
        "{clean:?}"
    );

    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let broker = BrokerProcess::start(Path::new(BINARY), &data, anywhere, &SMALL).unwrap();
    let antiphon = Antiphon::new(BINARY, broker.address());
    assert_eq!(antiphon.run(["pub", "lobby", "4"]).unwrap().stdout, "4\n");
    broker.kill().unwrap();
    let killed = log("verify", &data);
    assert_eq!(killed.code, Some(0), "{killed:?}");
    assert!(
        killed.stdout.contains(": 4 records in 1 rooms"),
        "{killed:?}"
    );
}

#[test]
fn a_directory_in_use_is_refused_to_a_second_broker_and_open_to_the_tools() {
    let world = World::new(BINARY);
    world.ok(&["pub", "lobby", "hello"]);
    let second = world.ran(&["serve", "--listen", "127.0.0.1:0", "--data", &world.data()]);
    assert_eq!(
        (second.code, second.stdout.as_str()),
        (Some(1), ""),
        "{second:?}"
    );
    assert!(second.stderr.contains("in use"), "{second:?}");
    let listed = world.ok(&["log", "ls", &world.data()]);
    assert!(listed.contains("active"), "{listed}");
    let dumped = world.ok(&["log", "dump", &world.data(), "--bodies"]);
    assert!(
        dumped.contains("\"lobby\"") && dumped.contains("hello"),
        "{dumped}"
    );
    let no_such = world.ran(&["log", "dump", &world.data(), "--segment", "9"]);
    assert_eq!(no_such.code, Some(2), "{no_such:?}");
    assert!(
        no_such.stderr.contains("no segment 9") && no_such.stderr.contains("next:"),
        "{no_such:?}"
    );
    world.ok(&["log", "verify", &world.data()]);
}

#[test]
fn a_flipped_byte_below_the_log_end_is_damage_with_code_5() {
    let world = World::new(BINARY);
    world
        .antiphon
        .run_with(
            ["pub", "lobby"],
            b"a message whose byte will be flipped\nand a later one\n",
        )
        .unwrap();
    let folder = world.stop();
    let data = folder.path().join("data");
    damage(&data, b"whose byte will be flipped");
    let damaged = log("verify", &data);
    assert_eq!(damaged.code, Some(5), "{damaged:?}");
    assert!(damaged.stdout.starts_with("damaged: "), "{damaged:?}");
    assert!(damaged.stderr.contains("next: "), "{damaged:?}");
}

/// Flips one bit of the first place in the oldest segment where `body` stands.
fn damage(data: &Path, body: &[u8]) {
    let segment = fs::read_dir(data.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .min()
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes
        .windows(body.len())
        .position(|window| window == body)
        .unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
}

#[test]
fn a_room_that_is_cut_by_damage_never_passes_for_a_whole_one() {
    let world = World::new(BINARY);
    for text in ["first", "the one that is flipped", "third"] {
        world.ok(&["pub", "lobby", text]);
    }
    let folder = world.stop();
    let data = folder.path().join("data");
    damage(&data, b"the one that is flipped");
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let broker = BrokerProcess::start(Path::new(BINARY), &data, anywhere, &SMALL).unwrap();
    let antiphon = Antiphon::new(BINARY, broker.address());
    for command in ["history", "export"] {
        let ran = antiphon.run([command, "lobby"]).unwrap();
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
        assert!(ran.stdout.contains("first"), "what can be read is: {ran:?}");
        assert!(ran.stderr.contains("records from 2 on"), "{ran:?}");
        assert!(ran.stderr.contains("antiphon log verify"), "{ran:?}");
    }
    for command in [
        &["pub", "lobby", "more"][..],
        &["sub", "lobby", "--last", "9"],
    ] {
        let ran = antiphon.run(command).unwrap();
        assert_eq!(ran.code, Some(5), "{ran:?}");
    }
}

#[test]
fn a_folder_that_is_no_data_directory_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for action in ["ls", "dump", "verify"] {
        let ran = log(action, folder.path());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "looking changes nothing"
    );
}

#[test]
fn export_takes_the_names_of_all_rooms_from_the_default_directory_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("antiphon-data");
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let broker = BrokerProcess::start(Path::new(BINARY), &data, anywhere, &SMALL).unwrap();
    let antiphon = Antiphon::new(BINARY, broker.address());
    for room in ["one", "two", "three"] {
        antiphon.run(["pub", room, "hello"]).unwrap();
    }
    let output = antiphon
        .command(["export"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let exported = String::from_utf8(output.stdout).unwrap();
    assert_eq!(exported.lines().count(), 3, "{exported}");
    for room in ["one", "two", "three"] {
        assert!(
            exported.contains(&format!("\"room\":\"{room}\"")),
            "{exported}"
        );
    }
}
