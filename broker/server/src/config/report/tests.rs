//! Precedence, refusals and origins, through the two functions that the command line calls.

use std::path::PathBuf;

use crate::config::{Config, ConfigError, Conflict, Sources, check, show};

struct World {
    // Holds the directory for as long as the file is needed.
    _directory: tempfile::TempDir,
    sources: Sources,
}

fn world(file: &str, env: &[(&str, &str)], flags: &[(&str, &str)]) -> World {
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect()
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("antiphon.toml");
    std::fs::write(&path, file).expect("a file in it");
    let sources = Sources {
        file: Some(path),
        env: owned(env),
        flags: owned(flags),
    };
    World {
        _directory: directory,
        sources,
    }
}

fn line_of<'a>(text: &'a str, field: &str) -> &'a str {
    text.lines()
        .find(|line| line.starts_with(&format!("{field} = ")))
        .expect("every setting is shown")
}

#[test]
fn flags_beat_the_environment_which_beats_the_file_which_beats_the_defaults() {
    let world = world(
        "[threads]\nreaders = 3\ncores = 3\n[data]\ndirectory = \"from-file\"\n",
        &[
            ("ANTIPHON_THREADS_READERS", "4"),
            ("ANTIPHON_THREADS_CORES", "4"),
            ("ANTIPHON_SERVICE_HOST", "10.0.0.1"),
        ],
        &[("threads.readers", "5")],
    );
    let text = show(&world.sources).expect("a valid configuration");
    assert!(
        line_of(&text, "readers").starts_with("readers = 5 "),
        "{text}"
    );
    assert!(line_of(&text, "readers").ends_with("# flag"), "{text}");
    assert!(line_of(&text, "cores").starts_with("cores = 4 "), "{text}");
    assert!(
        line_of(&text, "cores").ends_with("# environment ANTIPHON_THREADS_CORES"),
        "{text}"
    );
    let file = world
        .sources
        .file
        .as_ref()
        .expect("a file")
        .display()
        .to_string();
    assert!(
        line_of(&text, "directory").ends_with(&format!("# file {file}")),
        "{text}"
    );
    assert_eq!(
        line_of(&text, "pin"),
        format!("{:<44} # default", "pin = false")
    );
}

#[test]
fn what_show_prints_is_itself_the_same_configuration() {
    let first = world(
        "[session]\nkeepalive = \"30s\"\n[listen]\naddress = \"[::1]:0\"\n",
        &[],
        &[],
    );
    let shown = show(&first.sources).expect("a valid configuration");
    let second = world(&shown, &[], &[]);
    let load = |sources: &Sources| Config::load(&[], [], sources.file.as_deref()).expect("valid");
    assert_eq!(load(&first.sources), load(&second.sources));
}

#[test]
fn an_unknown_key_is_refused_with_line_and_caret() {
    let world = world(
        "[listen]\naddress = \"127.0.0.1:1\"\nadress = 1\n",
        &[],
        &[],
    );
    let told = check(&world.sources)
        .expect_err("an unknown key")
        .to_string();
    assert!(
        told.contains("line 3, column 1") && told.contains("^^^^^^"),
        "{told}"
    );
    assert!(
        told.contains("unknown field `adress`") && told.contains("`address`"),
        "{told}"
    );
}

#[test]
fn an_unknown_section_is_refused() {
    let world = world("[listn]\naddress = \"127.0.0.1:1\"\n", &[], &[]);
    let told = check(&world.sources)
        .expect_err("an unknown section")
        .to_string();
    assert!(
        told.contains("unknown field `listn`") && told.contains("line 1"),
        "{told}"
    );
}

#[test]
fn a_variable_of_a_known_section_and_unknown_field_is_refused() {
    let world = world("", &[("ANTIPHON_LISTEN_ADRESS", "127.0.0.1:1")], &[]);
    let error = check(&world.sources).expect_err("an unknown variable");
    assert!(
        matches!(error, ConfigError::UnknownVariable { variable } if variable == "ANTIPHON_LISTEN_ADRESS")
    );
}

#[test]
fn a_bad_value_names_the_variable_or_the_key_and_the_bounds() {
    let env = world("", &[("ANTIPHON_THREADS_READERS", "65")], &[]);
    let told = check(&env.sources).expect_err("out of bounds").to_string();
    assert!(
        told.starts_with("ANTIPHON_THREADS_READERS: 65 is out of bounds")
            && told.contains("1 to 64"),
        "{told}"
    );
    let flag = world("", &[], &[("session.keepalive", "soon")]);
    let told = check(&flag.sources).expect_err("no duration").to_string();
    assert!(
        told.starts_with("session.keepalive: `soon` will not do") && told.contains("1s to 1m"),
        "{told}"
    );
    let unknown = world("", &[], &[("session.keepaliv", "5s")]);
    assert!(
        matches!(check(&unknown.sources), Err(ConfigError::UnknownKey { key }) if key == "session.keepaliv")
    );
}

#[test]
fn text_that_looks_like_a_number_is_still_a_path() {
    let world = world(
        "",
        &[("ANTIPHON_DATA_DIRECTORY", "2024")],
        &[("listen.insecure", "true")],
    );
    let text = show(&world.sources).expect("valid");
    assert!(
        line_of(&text, "directory").starts_with("directory = \"2024\""),
        "{text}"
    );
    assert!(
        line_of(&text, "insecure").starts_with("insecure = true"),
        "{text}"
    );
}

#[test]
fn an_address_off_loopback_needs_insecure_and_the_error_says_so() {
    let refused = world("", &[], &[("listen.address", "0.0.0.0:7411")]);
    let error = check(&refused.sources).expect_err("not loopback");
    assert!(matches!(
        error,
        ConfigError::Conflict(Conflict::Insecure { .. })
    ));
    assert!(
        error.to_string().contains("--insecure") && error.to_string().contains("127.0.0.1"),
        "{error}"
    );
    let allowed = world(
        "",
        &[],
        &[
            ("listen.address", "0.0.0.0:7411"),
            ("listen.insecure", "true"),
        ],
    );
    assert!(
        check(&allowed.sources)
            .expect("allowed")
            .starts_with("configuration is valid")
    );
}

#[test]
fn a_body_that_cannot_fit_into_a_frame_is_refused() {
    let world = world("", &[], &[("session.body_bytes_max", "1MiB")]);
    let error = check(&world.sources).expect_err("too large together");
    assert!(
        matches!(
            error,
            ConfigError::Conflict(Conflict::BodyBeyondFrame { .. })
        ),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_told_by_name() {
    let sources = Sources {
        file: Some(PathBuf::from("/nonexistent/antiphon.toml")),
        ..Sources::default()
    };
    let told = check(&sources).expect_err("no such file").to_string();
    assert!(told.contains("/nonexistent/antiphon.toml"), "{told}");
}
