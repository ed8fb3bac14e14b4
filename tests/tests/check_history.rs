//! The command `check-history`, from a file to its exit code.

use std::fs;
use std::process::{Command, Output};

const GOOD: &str = r#"{"antiphon_history":1,"origin":"by hand","nodes":[1],"replicas":1,"progress_ns":1000}
[1,"c1",{"publish":{"op":1,"room":1,"origin":[1,10,1],"body":7}}]
[2,"c1",{"published":{"op":1,"seq":1,"link":9,"time":5,"duplicate":false}}]
[3,"n1",{"final_read":{"room":1,"head":1,"records":[[1,9,[1,10,1],7]],"gaps":[]}}]
"#;

fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.ndjson");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_check-history"));
    command.arg(&file).output().unwrap()
}

#[test]
fn a_good_history_ends_with_0() {
    let output = check(GOOD);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(
        told.contains("I1     an acked publish is never lost: holds (1 compared)"),
        "{told}"
    );
    assert!(
        told.contains("I14    no ack before the sync: not shown"),
        "{told}"
    );
}

#[test]
fn a_loss_ends_with_1_and_names_the_lines() {
    let output = check(&GOOD.replace("[[1,9,[1,10,1],7]]", "[]"));
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.contains("I1     an acked publish is never lost: BROKEN 1 times"),
        "{told}"
    );
    assert!(
        told.contains("place: Whole, first: Seq(1), count: 1 } (lines 3 4)"),
        "{told}"
    );
}

#[test]
fn a_file_that_is_no_history_ends_with_2() {
    assert_eq!(check("hello\n").status.code(), Some(2));
}
