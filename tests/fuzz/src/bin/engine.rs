//! The coverage-guided engine around one target. Built and started by `cargo fuzzing`, which knows the flags that it needs.
#![no_main]

use std::sync::OnceLock;

use antiphon_fuzz::{Target, target};

/// Names the target.
const TARGET_VARIABLE: &str = "ANTIPHON_FUZZ_TARGET";

static TARGET: OnceLock<&'static Target> = OnceLock::new();

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let name = std::env::var(TARGET_VARIABLE).expect("cargo fuzzing names the target");
        target(&name).expect("cargo fuzzing names a target that there is")
    });
    (target.run)(input);
});
