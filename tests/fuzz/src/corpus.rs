//! The kept corpus: `tests/fuzz/corpus/<target>/<name>`, one input a file.
//!
//! Files that begin with `fix-` once broke a promise. The others are the smallest set that covers all that the engine knows, out of golden vectors, real
//! encodings and its own finds: `cargo fuzzing keep` makes it, and names each by its content.

use std::fs;
use std::path::{Path, PathBuf};

/// One input of the corpus.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its file's name.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// The folder of a target.
#[must_use]
pub fn corpus_folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target)
}

/// All inputs of a target, by name.
///
/// # Panics
/// If the folder cannot be read: a target without corpus is a mistake.
#[must_use]
pub fn kept(target: &str) -> Vec<Kept> {
    let folder = corpus_folder(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut all: Vec<Kept> = entries
        .map(|entry| {
            let entry = entry.expect("a readable folder");
            Kept {
                name: entry.file_name().to_string_lossy().into_owned(),
                bytes: fs::read(entry.path()).expect("a readable input"),
            }
        })
        .collect();
    all.sort_by(|one, two| one.name.cmp(&two.name));
    all
}
