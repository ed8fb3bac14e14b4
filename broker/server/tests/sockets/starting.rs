//! What stops a node from starting, and that its message says what to do.

use antiphon_disk::OpenError;
use antiphon_server::{Node, StartError};

use crate::support::{Broker, config};

#[test]
fn two_nodes_on_one_directory_and_on_one_port_are_refused() {
    let broker = Broker::start();
    let directory = broker.directory().to_path_buf();
    let error = Node::start(config(&directory, &[])).expect_err("locked");
    assert!(
        matches!(error, StartError::Directory(OpenError::Locked { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("stop it first"), "{error}");

    let other = tempfile::tempdir().expect("a temporary directory");
    let address = broker.address().to_string();
    let error =
        Node::start(config(other.path(), &[("listen.address", &address)])).expect_err("in use");
    assert!(matches!(error, StartError::AddressInUse { .. }), "{error}");
    assert_eq!(
        std::fs::read_dir(other.path())
            .expect("it is there")
            .count(),
        0,
        "the directory was not touched"
    );
    broker.stop();
}

#[test]
fn an_address_off_loopback_is_refused_without_insecure_and_taken_with_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut settings = config(directory.path(), &[]);
    settings.listen.address = "0.0.0.0:0".parse().expect("an address");
    let error = Node::start(settings.clone()).expect_err("open to everybody");
    assert!(error.to_string().contains("--insecure"), "{error}");
    settings.listen.insecure = true;
    let node = Node::start(settings).expect("the operator wants it");
    node.stop().expect("a graceful stop");
}

#[test]
fn a_directory_of_another_version_is_refused_and_left_alone() {
    let directory = Broker::start().stop();
    let file = directory.path().join("antiphon.dir");
    let mut bytes = std::fs::read(&file).expect("the directory's file");
    bytes[20] ^= 1;
    std::fs::write(&file, &bytes).expect("writable");
    let error = Node::start(config(directory.path(), &[])).expect_err("damaged");
    assert!(
        matches!(error, StartError::Directory(OpenError::Damaged { .. })),
        "{error}"
    );
    assert_eq!(std::fs::read(&file).expect("still there"), bytes);
}
