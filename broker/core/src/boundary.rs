//! The panic boundary around the consensus library.
//!
//! The library panics where it finds its own state impossible (`fatal!`). Such a group is quarantined; the others of the process go on. These are the
//! only lines of this crate that name `std`: the library needs it anyway, and unwinding can be caught nowhere else.

// raft is the std exception.
extern crate std;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `call`; `None` if it panicked. What it touched must not be used again then.
pub(super) fn guarded<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
