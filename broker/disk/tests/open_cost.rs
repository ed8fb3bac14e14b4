//! Opening reads the newest checkpoint and each segment once, and of the segment made ahead only the start. The same for
//! 64 MiB and 1 GiB: `cargo run --release -p antiphon-disk --example open_cost`.

mod cost;

#[test]
fn opening_reads_the_newest_checkpoint_and_each_segment_once() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let cost = cost::measure(temp.path(), 4 * 1024 * 1024);
    assert_eq!(cost.read, cost.bound, "{cost:?}");
    assert_eq!(cost.read, cost.told, "{cost:?}");
    assert_eq!(cost.log, 2 * 64 * 1024 * 1024, "one in use, one ahead");
    assert_eq!(cost.checkpoints, 2 * (1024 * 1024 + 64), "{cost:?}");
}
