//! Model checking: every interleaving of a few threads over the production files that share memory without a lock.
//!
//! docs/model-checking.md tells how it works and how to add a model. In short: `build.rs` writes each production file with loom's atomics in place of
//! the real ones, once as it is and once per planted mistake; the models below `models` run over each of these variants. The file as it is must pass;
//! each mistake must be found.
#![forbid(unsafe_code)]

extern crate alloc;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

mod mistakes;
mod world;

pub use mistakes::{MISTAKES, Mistake};

/// What the modelled files use of the others, with bounds that a model can reach.
mod production {
    pub(crate) mod core {
        pub(crate) use antiphon_core::{ConnId, CoreId};
    }

    pub(crate) mod limits {
        pub(crate) use antiphon_core::limits::{BIRTH_AHEAD_MS_MAX, BIRTH_SPREAD_MS};

        /// Places of a room channel.
        pub(crate) const CHANNEL_PLACES: usize = 2;
    }
}

/// A question that is asked of a variant.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// As mistakes name it.
    pub name: &'static str,
    /// Goes through the interleavings, and tells how many there are; panics at the first one that breaks a promise.
    pub run: fn() -> u64,
}

include!(concat!(env!("OUT_DIR"), "/variants.rs"));

/// Runs `body` under every interleaving with at most three preemptions (a thread is stopped where it need not be) and with every value that a weak memory
/// may give; tells how many these are. Known bugs of this kind need one or two preemptions.
fn every_interleaving(body: impl Fn() + Send + Sync + 'static) -> u64 {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        body();
    });
    count.load(Ordering::Relaxed)
}
