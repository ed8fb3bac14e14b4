//! Planted bugs: mistakes one could really make here, for proving that the simulator and its checkers would notice (docs/simulation.md).
//!
//! Without the feature `planted-bugs` [`planted`] is the constant `false` and nothing of this is left in the product. With it, at most one bug at a
//! time is active in the whole process.

/// A mistake of the log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "only tests plant")
)]
pub enum Bug {
    /// A flush is told as durable without a sync. Breaks: an ack means durable.
    SkipSync,
    /// A roll leaves the old segment's last batch unsynced. Breaks: the same, for one batch in thousands.
    RollUnsynced,
    /// STATE of a new segment names where the old one ended before its last batch. Breaks: what is durable stays in the log.
    RollFromBefore,
    /// A new segment's name is not made durable. Breaks: what is durable can be found.
    SegmentNameUnsynced,
    /// A checkpoint gets its name, and the log names it, before its bytes are durable. Breaks: a named checkpoint can be read.
    CheckpointUnsynced,
    /// Blocks claim that everything before them is durable, also what is written with them. Breaks: a mark tells the truth, so that a torn write is
    /// told from damage.
    MarkAhead,
    /// Any block that cannot be read ends the log. Breaks: what was durable is never cut.
    CutAtDamage,
    /// Writing goes on in a segment that ends in a torn write. Breaks: what was cut never comes back.
    WriteOverTear,
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
pub use switch::plant;
#[cfg(feature = "planted-bugs")]
pub(crate) use switch::planted;

#[cfg(feature = "planted-bugs")]
mod switch {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// Number of the active bug + 1; 0: none.
    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    impl Bug {
        /// All of them.
        pub const ALL: &[Bug] = &[
            Bug::SkipSync,
            Bug::RollUnsynced,
            Bug::RollFromBefore,
            Bug::SegmentNameUnsynced,
            Bug::CheckpointUnsynced,
            Bug::MarkAhead,
            Bug::CutAtDamage,
            Bug::WriteOverTear,
        ];
    }

    /// Makes this the active bug of the process; `None`: there is none.
    pub fn plant(bug: Option<Bug>) {
        ACTIVE.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        ACTIVE.load(Ordering::Relaxed) == bug as u8 + 1
    }
}
