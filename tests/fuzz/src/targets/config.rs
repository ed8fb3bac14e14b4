//! Config: a configuration file with anything in it.
//!
//! Input: the file. Promised of any text: it is a configuration, or it is refused with words that name the file; what `antiphon config show` prints of
//! one is a file that means the same, and prints the same again.

use std::fs;
use std::path::Path;

use antiphon_server::config::{Sources, show};
use antiphon_server::{Config, ConfigError};
use tempfile::TempDir;

pub(super) fn run(input: &[u8]) {
    thread_local! {
        // One folder for all inputs of a thread: making one costs more than all else.
        static FOLDER: TempDir = tempfile::tempdir().expect("a temporary folder");
    }
    FOLDER.with(|folder| check(folder.path(), input));
}

fn check(folder: &Path, input: &[u8]) {
    let given = folder.join("given.toml");
    fs::write(&given, input).expect("a file in a temporary folder");
    let config = match load(&given) {
        Ok(config) => config,
        Err(error) => {
            refused(&error);
            return;
        }
    };
    // The origin of each value stands behind it, and differs: the values do not.
    let again = folder.join("again.toml");
    fs::write(&again, shown(&given)).expect("a file in a temporary folder");
    let config_again = load(&again).expect("what is shown is a configuration");
    assert_eq!(config_again, config, "shown, it means the same");
}

fn load(file: &Path) -> Result<Config, ConfigError> {
    Config::load(&[], [], Some(file))
}

fn shown(file: &Path) -> String {
    let sources = Sources {
        file: Some(file.to_path_buf()),
        ..Sources::default()
    };
    show(&sources).expect("it was a configuration before")
}

fn refused(error: &ConfigError) {
    let told = error.to_string();
    let is_named = match error {
        ConfigError::Unreadable { .. } | ConfigError::File { .. } => told.contains("given.toml"),
        // What the file alone is asked for comes from no variable and no flag.
        ConfigError::Conflict(_) => !told.is_empty(),
        _ => false,
    };
    assert!(is_named, "refused in words that do not help: {told}");
}
