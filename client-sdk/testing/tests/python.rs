//! The Python client, against the golden vectors and a broker that is cut and killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use antiphon_client::{HistoryRange, Seq};
use antiphon_testing::TestBroker;

#[test]
fn the_python_client_loses_and_doubles_nothing() {
    let has_python = Command::new("python3").arg("--version").output();
    if !has_python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no python3");
        return;
    }
    let mut broker = TestBroker::start();
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let address = broker.address();
    let mut python = Command::new("python3")
        .arg("-B")
        .arg(sdk.join("python/check.py"))
        .arg(sdk.join("../protocol/vectors"))
        .args([address.ip().to_string(), address.port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut stdin = python.stdin.take().expect("piped");
    let stdout = BufReader::new(python.stdout.take().expect("piped"));
    let mut checked = None;
    for line in stdout.lines() {
        let line = line.expect("text");
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("cut", _) => broker.cut(),
            ("restart", _) => {
                broker.kill();
                broker.restart();
            }
            ("checked", records) => {
                checked = records.parse().ok();
                continue;
            }
            _ => panic!("python said {line}"),
        }
        writeln!(stdin, "done").expect("python reads");
    }
    assert!(python.wait().expect("ends").success());
    let past = broker
        .client("eve")
        .history("python", HistoryRange::Latest, 1);
    assert_eq!(
        past.expect("reads").head_seq,
        Seq(checked.expect("it was told"))
    );
}
