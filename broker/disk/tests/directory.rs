//! A data directory is opened by one process at a time, and only if this program understands it.

use std::fs;
use std::path::Path;

use antiphon_disk::{DataDirectory, NewDirectory, OpenError};
use antiphon_log::{DIRECTORY_FILE_NAME, DirectoryFile, DirectoryFileError};
use antiphon_protocol::NodeId;

const NEW: NewDirectory = NewDirectory {
    node: NodeId(1),
    partitions: 16,
};

fn open(path: &Path) -> Result<DataDirectory, OpenError> {
    DataDirectory::open(path, NEW)
}

/// Everything in the directory, names and contents.
fn contents(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).expect("listable") {
        let entry = entry.expect("listable");
        let name = entry.file_name().into_string().expect("UTF-8");
        if entry.path().is_dir() {
            all.extend(contents(&entry.path()));
        } else if name != "LOCK" {
            all.push((name, fs::read(entry.path()).expect("readable")));
        }
    }
    all.sort();
    all
}

#[test]
fn a_missing_directory_is_made_and_found_again() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let path = temp.path().join("deep/er/data");
    let directory = open(&path).expect("made");
    let made = directory.file();
    assert!(directory.was_created());
    assert_eq!((made.node, made.partitions), (NodeId(1), 16));
    assert_ne!(made.directory_id, 0);
    drop(directory);

    let other_count = NewDirectory {
        partitions: 64,
        ..NEW
    };
    let again = DataDirectory::open(&path, other_count).expect("found");
    assert!(!again.was_created());
    assert_eq!(
        again.file(),
        made,
        "what the directory says holds, not the configuration"
    );
}

#[test]
fn two_directories_have_two_ids() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let one = open(&temp.path().join("one")).expect("made");
    let two = open(&temp.path().join("two")).expect("made");
    assert_ne!(one.file().directory_id, two.file().directory_id);
}

#[test]
fn a_second_open_is_told_who_holds_the_lock_and_what_to_do() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let first = open(temp.path()).expect("made");
    let error = open(temp.path()).expect_err("locked");
    let pid = std::process::id();
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == pid));
    let path = temp.path().display();
    let expected = format!(
        "{path} is in use by process {pid} (it holds {path}/LOCK): stop it first, or choose another directory"
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    open(temp.path()).expect("free again");
}

#[test]
fn another_format_version_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("made"));
    let name = temp.path().join(DIRECTORY_FILE_NAME);
    let mut bytes = fs::read(&name).expect("written");
    bytes[8] = 3;
    fs::write(&name, &bytes).expect("writable");
    let before = contents(temp.path());
    let error = open(temp.path()).expect_err("another version");
    assert!(
        matches!(
            error,
            OpenError::Version {
                found: 3,
                expected: 2,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(contents(temp.path()), before);
}

#[test]
fn a_damaged_directory_file_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("made"));
    let name = temp.path().join(DIRECTORY_FILE_NAME);
    let mut bytes = fs::read(&name).expect("written");
    bytes[20] ^= 1;
    fs::write(&name, &bytes).expect("writable");
    let before = contents(temp.path());
    let error = open(temp.path()).expect_err("damaged");
    assert!(
        matches!(
            error,
            OpenError::Damaged {
                source: DirectoryFileError::Checksum,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(contents(temp.path()), before);
}

#[test]
fn the_directory_of_another_node_is_refused() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("made"));
    let other = NewDirectory {
        node: NodeId(2),
        ..NEW
    };
    let error = DataDirectory::open(temp.path(), other).expect_err("another node");
    assert!(matches!(
        error,
        OpenError::OtherNode {
            found: NodeId(1),
            expected: NodeId(2),
            ..
        }
    ));
}

#[test]
fn data_without_its_directory_file_is_not_taken_for_new() {
    for folder in ["log", "checkpoint"] {
        let temp = tempfile::tempdir().expect("a temporary directory");
        drop(open(temp.path()).expect("made"));
        fs::write(temp.path().join(folder).join("something"), b"precious").expect("writable");
        fs::remove_file(temp.path().join(DIRECTORY_FILE_NAME)).expect("removable");
        let before = contents(temp.path());
        let error = open(temp.path()).expect_err("orphaned");
        assert!(matches!(error, OpenError::Orphaned { folder: found, .. } if found == folder));
        assert_eq!(contents(temp.path()), before);
    }
}

/// A crash while the directory was made leaves no `antiphon.dir`, or a whole one.
#[test]
fn a_half_made_directory_is_made_again() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let torn = DirectoryFile {
        directory_id: 1,
        node: NodeId(1),
        partitions: 3,
        cluster: None,
    }
    .encode();
    fs::write(temp.path().join("antiphon.dir.tmp"), &torn[..40]).expect("writable");
    fs::create_dir(temp.path().join("log")).expect("creatable");
    let directory = open(temp.path()).expect("made");
    assert!(directory.was_created());
    assert_eq!(directory.file().partitions, 16);
}

#[test]
fn a_path_that_is_a_file_is_named_in_the_error() {
    let temp = tempfile::NamedTempFile::new().expect("a temporary file");
    let error = open(temp.path()).expect_err("a file");
    assert!(
        error
            .to_string()
            .contains(&temp.path().display().to_string()),
        "{error}"
    );
}
