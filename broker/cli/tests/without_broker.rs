//! What the command does when there is no broker, or nothing to be done.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::sync::LazyLock;

use antiphon_tests::command::Antiphon;
use antiphon_tests::port::Reserved;

/// Talks to a port on which nobody listens: it is reserved below.
fn antiphon() -> Antiphon {
    static NOBODY: LazyLock<Reserved> = LazyLock::new(|| Reserved::new().unwrap());
    Antiphon::new(env!("CARGO_BIN_EXE_antiphon"), NOBODY.address())
}

#[test]
fn a_typo_in_the_configuration_is_shown_with_its_line_and_a_caret() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    fs::write(&file, "[listen]\naddres = \"127.0.0.1:0\"\n").unwrap();
    let named = file.to_str().unwrap();
    let checked = antiphon().run(["config", "check", named]).unwrap();
    assert_eq!(checked.code, Some(2), "{checked:?}");
    for command in [&["config", "check"][..], &["config", "show"], &["serve"]] {
        let args = command
            .iter()
            .copied()
            .chain(["--config", file.to_str().unwrap()]);
        let ran = antiphon().run(args).unwrap();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        for part in [
            "antiphon.toml",
            "line 2",
            "addres",
            "^",
            "unknown field",
            "next: ",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
        }
    }
}

#[test]
fn a_broker_that_may_open_hardly_a_file_does_not_start_and_says_what_to_raise() {
    let folder = tempfile::tempdir().unwrap();
    let started = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_antiphon"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(folder.path().join("data"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&started.stderr).into_owned();
    assert_eq!(started.status.code(), Some(1), "{told}");
    for part in ["only 64 files", "ulimit -n 65536", "LimitNOFILE="] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn the_json_of_a_broker_that_does_not_start_names_the_code_that_it_ends_with() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data").display().to_string();
    let ran = antiphon()
        .run(["--json", "serve", "--listen", "0.0.0.0:0", "--data", &data])
        .unwrap();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let line = ran.stderr.lines().last().unwrap();
    let told: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(told["exit"], 2, "{told}");
}

#[test]
fn times_before_1970_are_told_as_such() {
    let ran = antiphon()
        .run(["history", "lobby", "--at", "1969-12-31T23:59:59Z"])
        .unwrap();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(
        ran.stderr.contains("lies before 1970-01-01T00:00:00Z"),
        "{ran:?}"
    );
}

#[test]
fn what_config_show_prints_is_a_valid_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("antiphon.toml");
    let shown = antiphon()
        .run(["config", "show", "--set", "threads.readers=3"])
        .unwrap();
    assert_eq!(shown.code, Some(0), "{shown:?}");
    fs::write(&file, &shown.stdout).unwrap();
    let checked = antiphon()
        .run(["config", "check", "--config", file.to_str().unwrap()])
        .unwrap();
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert!(shown.stdout.contains("readers = 3"), "{shown:?}");
}

#[test]
fn listening_beyond_this_machine_needs_insecure() {
    let args = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--data",
        "/nonexistent/antiphon",
    ];
    let ran = antiphon().run(args).unwrap();
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--insecure"), "{ran:?}");
}

#[test]
fn a_dead_broker_is_told_with_code_3_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let chat = folder.path().join("chat.ndjson");
    fs::write(
        &chat,
        "{\"at\":\"2018-04-10T18:02:17Z\",\"room\":\"r\",\"user\":\"u\",\"text\":\"t\"}\n",
    )
    .unwrap();
    let chat = chat.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["ping"],
        &["pub", "r", "hello"],
        &["sub", "r"],
        &["history", "r"],
        &["export", "r"],
        &["replay", chat],
    ];
    for command in commands {
        let ran = antiphon().run(command).unwrap();
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(3), ""),
            "{command:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains("antiphon serve"),
            "{command:?}: {ran:?}"
        );
    }
    let ran = antiphon().run(["--json", "ping"]).unwrap();
    let told: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(told["exit"], 3);
}

#[test]
fn something_else_on_the_port_is_not_taken_for_a_broker() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let antiphon = Antiphon::new(env!("CARGO_BIN_EXE_antiphon"), other.local_addr().unwrap());
    let answers = std::thread::spawn(move || {
        let (mut socket, _) = other.accept().unwrap();
        let page = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        std::io::Write::write_all(&mut socket, page).unwrap();
    });
    let ran = antiphon.run(["ping"]).unwrap();
    answers.join().unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
}

#[test]
fn a_broken_line_of_a_chat_file_is_named_and_leaves_no_state_behind_for_a_missing_file() {
    let folder = tempfile::tempdir().unwrap();
    let chat = folder.path().join("chat.ndjson");
    let missing = antiphon().run(["replay", chat.to_str().unwrap()]).unwrap();
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&chat, "{\"at\":\"yesterday\"}\n").unwrap();
    let broken = antiphon().run(["replay", chat.to_str().unwrap()]).unwrap();
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(
        broken
            .stderr
            .contains("line 1: `yesterday` is no RFC 3339 time"),
        "{broken:?}"
    );
}

#[test]
fn export_without_rooms_and_without_a_data_directory_says_how_to_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let output = antiphon()
        .command(["export"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("--from") && told.contains("--data"), "{told}");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = antiphon().run(["completions", shell]).unwrap();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stdout.contains("replay"), "{shell}");
    }
}

#[test]
fn help_lists_the_exit_codes() {
    let ran = antiphon().run(["--help"]).unwrap();
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stdout.contains("130  ended by Ctrl-C"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_malformed_address_is_a_wrong_usage_and_says_how_one_looks() {
    for addr in ["nonsense", "127.0.0.1:7411x", "127.0.0.1"] {
        let ran = antiphon().run(["ping", "--addr", addr]).unwrap();
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("HOST:PORT"), "{ran:?}");
    }
}

#[test]
fn a_wrong_usage_is_told_in_json_too() {
    let ran = antiphon().run(["--json", "pub"]).unwrap();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.starts_with("{\"error\":"), "{ran:?}");
    assert!(ran.stderr.contains("\"exit\":2"), "{ran:?}");
}
