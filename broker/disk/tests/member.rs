//! The directory of a member of a cluster: made once, and never taken for another one.

use std::fs;
use std::path::Path;

use antiphon_disk::{DataDirectory, Meeting, NewCluster, NewDirectory, OpenError};
use antiphon_log::CLUSTER_FILE_NAME;
use antiphon_protocol::NodeId;

const NEW: NewDirectory = NewDirectory {
    node: NodeId(2),
    partitions: 4,
};

fn cluster(id: u128, nodes: &[u32]) -> NewCluster {
    NewCluster {
        cluster: id,
        nodes: nodes.iter().copied().map(NodeId).collect(),
    }
}

fn open(path: &Path) -> Result<DataDirectory, OpenError> {
    DataDirectory::open_member(path, NEW, &cluster(77, &[1, 2, 3]))
}

#[test]
fn whom_a_member_met_it_knows_for_ever() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let mut directory = open(temp.path()).expect("made");
    let file = directory.file();
    assert_eq!(file.cluster, Some(77));
    let mut book = directory.take_book().expect("a member's");
    let own = book.meet(NodeId(2), file.directory_id).expect("written");
    let first = book.meet(NodeId(1), 11).expect("written");
    assert_eq!((own, first), (Meeting::Known, Meeting::Known));
    assert_eq!(book.meet(NodeId(9), 11).expect("read"), Meeting::Stranger);
    drop((directory, book));

    let mut again = open(temp.path()).expect("found");
    assert!(!again.was_created());
    let mut book = again.take_book().expect("a member's");
    assert_eq!(book.meet(NodeId(1), 11).expect("read"), Meeting::Known);
    let other = book.meet(NodeId(1), 12).expect("read");
    assert_eq!(other, Meeting::Other { before: 11 });
    assert_eq!(book.meet(NodeId(3), 12).expect("written"), Meeting::Known);
}

#[test]
fn what_is_not_this_members_directory_is_refused_and_says_so() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(open(temp.path()).expect("made"));
    let alone = DataDirectory::open(temp.path(), NEW).expect_err("a member's");
    assert!(matches!(alone, OpenError::Member { cluster: 77, .. }));
    assert!(alone.to_string().contains("cluster.id"), "{alone}");
    let open_as = |cluster: NewCluster| DataDirectory::open_member(temp.path(), NEW, &cluster);
    let other = open_as(cluster(78, &[1, 2, 3])).expect_err("another cluster");
    assert!(matches!(
        other,
        OpenError::OtherCluster {
            found: 77,
            expected: 78,
            ..
        }
    ));
    let others = open_as(cluster(77, &[1, 2, 4])).expect_err("other members");
    assert!(matches!(others, OpenError::OtherMembers { .. }));
    let name = temp.path().join(CLUSTER_FILE_NAME);
    let mut bytes = fs::read(&name).expect("written");
    bytes[60] ^= 1;
    fs::write(&name, bytes).expect("writable");
    let damaged = open(temp.path()).expect_err("damaged");
    assert!(matches!(damaged, OpenError::DamagedBook { .. }));
    fs::remove_file(&name).expect("removable");
    let missing = open(temp.path()).expect_err("missing");
    assert!(matches!(missing, OpenError::OtherBook { .. }));
}

#[test]
fn a_directory_of_a_node_alone_joins_only_before_its_first_entry() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let made = DataDirectory::open(temp.path(), NEW).expect("made").file();
    let joined = open(temp.path()).expect("nothing was logged").file();
    assert_ne!(made.directory_id, joined.directory_id);

    let temp = tempfile::tempdir().expect("a temporary directory");
    drop(DataDirectory::open(temp.path(), NEW).expect("made"));
    fs::write(temp.path().join("log/something"), b"precious").expect("writable");
    let error = open(temp.path()).expect_err("it has a log");
    assert!(matches!(error, OpenError::NotMember { .. }));
    DataDirectory::open(temp.path(), NEW).expect("as it was");
}

/// Each state that a crash can leave while the directory is made is made again; one in which both files are there is whole.
#[test]
fn a_half_made_member_is_made_again() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let first = open(temp.path()).expect("made").file();
    let whole = fs::read(temp.path().join(CLUSTER_FILE_NAME)).expect("written");
    let steps: [&[(&str, &[u8])]; 3] = [
        &[("antiphon.cluster.tmp", &whole[..30])],
        &[(CLUSTER_FILE_NAME, &whole)],
        &[
            (CLUSTER_FILE_NAME, &whole),
            ("antiphon.dir.tmp", b"ANTIPHON"),
        ],
    ];
    for step in steps {
        let temp = tempfile::tempdir().expect("a temporary directory");
        for (name, bytes) in step {
            fs::write(temp.path().join(name), bytes).expect("writable");
        }
        let directory = open(temp.path()).expect("made");
        assert!(directory.was_created());
        assert_ne!(directory.file().directory_id, first.directory_id);
    }
}
