//! Planted bugs: mistakes one could really make here, for proving that the simulator and its checkers would notice (docs/simulation.md).
//!
//! Without the feature `planted-bugs` [`planted`] is the constant `false` and nothing of this is left in the product. With it, at most one bug at a
//! time is active in the whole process.

/// A mistake of the session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "only tests plant")
)]
pub enum Bug {
    /// What was in flight when a connection was lost is not sent again. Breaks: every message gets an answer.
    ForgetsUnacked,
    /// What was in flight when a connection was lost counts as never published. Breaks: what may have taken effect keeps its number.
    DoubtForgotten,
    /// What was in flight when a connection was lost is sent again under the next free numbers. Breaks: a publish takes effect once.
    ResendsRenumbered,
    /// A subscription goes on behind the record after its last one. Breaks: a subscriber sees each record once.
    ResumesLate,
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
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::Bug;

    /// Number of the active bug + 1; 0: none.
    static ACTIVE: AtomicU8 = AtomicU8::new(0);

    impl Bug {
        /// All of them.
        pub const ALL: &[Bug] = &[
            Bug::ForgetsUnacked,
            Bug::DoubtForgotten,
            Bug::ResendsRenumbered,
            Bug::ResumesLate,
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
