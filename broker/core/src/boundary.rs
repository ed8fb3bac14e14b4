//! The panic boundary around code whose panic does not concern the whole core.
//!
//! Two callers: `home::replica`, because the consensus library panics where it finds its own state impossible (`fatal!`); such a group is quarantined and
//! the others go on. And `edge::decoding`, because one client's bytes shall never end another one's connection. These are the only lines of this crate
//! that name `std`: the library needs it anyway, and unwinding can be caught nowhere else.

// raft is the std exception.
extern crate std;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs `call`; `None` if it panicked. What it could change must not be used again then.
pub(crate) fn guarded<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
