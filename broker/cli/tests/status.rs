//! `antiphon status` of a node in this process.

use std::process::Command;

use antiphon_server::{Config, Node};
use serde_json::Value;

fn antiphon(words: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .args(words)
        .env_remove("ANTIPHON_ADMIN")
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn one_look_tells_what_the_node_does_and_a_node_without_admin_port_what_to_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = [
        ("listen.address", "127.0.0.1:0"),
        ("admin.address", "127.0.0.1:0"),
        ("admin.enabled", "true"),
        ("data.segment_bytes", "4MiB"),
    ];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut config = Config::load(&settings, [], None).expect("lawful");
    config.data.directory = directory.path().to_owned();
    let node = Node::start(config).expect("starts");
    let admin = node.admin_address().expect("it is on").to_string();

    let (code, told, _) = antiphon(&["status", "--admin", &admin, "--once", "--json"]);
    assert_eq!(code, Some(0));
    let line: Value = serde_json::from_str(&told).expect("one object");
    assert_eq!(
        (&line["connections"], &line["rooms"]),
        (&0.into(), &0.into())
    );
    let (code, told, _) = antiphon(&["status", "--admin", &admin, "--once"]);
    assert_eq!((code, told.lines().count()), (Some(0), 2), "{told}");

    node.stop().expect("stops");
    let (code, told, why) = antiphon(&["status", "--admin", &admin, "--once"]);
    assert_eq!((code, told.as_str()), (Some(3), ""));
    assert!(why.contains("admin.enabled=true"), "{why}");
}
