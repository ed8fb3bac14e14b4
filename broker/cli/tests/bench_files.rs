//! The load harness as people use it: a chat that is replayed, one that is made up, and results that are compared.

use std::path::{Path, PathBuf};
use std::process::Command;

use antiphon_bench::result::ResultFile;

fn bench(folder: &Path, words: &str) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .arg("bench")
        .args(words.split_whitespace())
        .args([
            "--no-pin",
            "--warm-up",
            "0",
            "--set",
            "data.segment_bytes=4MiB",
        ])
        .current_dir(folder)
        .output()
        .expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/chitchat-slice.ndjson.gz")
}

#[test]
fn a_chat_is_replayed_with_its_rooms_and_everybody_hears_them() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::copy(corpus(), folder.path().join("chat.ndjson.gz")).expect("it is there");
    let words = "replay chat.ndjson.gz --connections 40 --in-flight 64 --seconds 0.3 --json";
    let (code, told, why) = bench(folder.path(), words);
    assert_eq!(code, Some(0), "{why}");
    let file: ResultFile = serde_json::from_str(&told).expect("one object");
    let run = &file.runs[0];
    assert!(run.verdict.is_clean(), "{:?}", run.verdict);
    assert!(run.verdict.delivered >= 64, "{:?}", run.verdict);
    assert_eq!(run.configuration["file"], "chat.ndjson.gz");
    let count = |what: &str| run.configuration[what].parse::<u32>().expect("a number");
    assert!(count("rooms") > 10 && count("users") > 10 && count("lines") > 1_000);
}

#[test]
fn people_write_look_back_type_leave_and_return() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let words = "mixed --users 30 --rooms 12 --rooms-each 3 --rate 1000 --seconds 0.5 --json";
    let (code, told, why) = bench(folder.path(), words);
    assert_eq!(code, Some(0), "{why}");
    let file: ResultFile = serde_json::from_str(&told).expect("one object");
    let run = &file.runs[0];
    assert!(run.verdict.is_clean(), "{:?}", run.verdict);
    // All of it happened, the rarest thing at least once.
    for kind in ["delivery", "ack", "history", "join"] {
        assert!(run.latency[kind].count > 0, "{kind}: {:?}", run.metrics);
    }
}

#[test]
fn a_file_that_is_no_chat_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(folder.path().join("bad"), "{\"room\":1}\n").expect("writable");
    let (code, _, why) = bench(folder.path(), "replay bad");
    assert_eq!(code, Some(2), "{why}");
    let (code, _, why) = bench(folder.path(), "replay nowhere");
    assert_eq!(code, Some(2), "{why}");
}

#[test]
fn what_is_surely_worse_than_an_earlier_result_fails_and_what_is_not_passes() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let words = "pingpong --seconds 0.1 --runs 3";
    let (code, _, why) = bench(folder.path(), &format!("{words} --out old.json"));
    assert_eq!(code, Some(0), "{why}");
    let path = folder.path().join("old.json");
    let old = ResultFile::read(&path).expect("written");
    // As if it had been a thousand times as fast, or as slow: no noise is as large.
    for (factor, expected) in [(1e3, Some(1)), (1e-3, Some(0))] {
        let mut other = old.clone();
        for metric in other.runs.iter_mut().flat_map(|run| &mut run.metrics) {
            match metric.name.as_str() {
                name if name.ends_with("_us") => metric.value /= factor,
                _ => metric.value *= factor,
            }
        }
        other.write(&path).expect("writable");
        let (code, _, why) = bench(
            folder.path(),
            &format!("{words} --compare old.json --out -"),
        );
        assert_eq!(code, expected, "{why}");
        assert_eq!(
            why.contains("worse by more than 10 %"),
            expected == Some(1),
            "{why}"
        );
    }
}
