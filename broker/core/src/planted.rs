//! Planted bugs: mistakes one could really make here, for proving that the simulator and its checkers would notice (docs/simulation.md).
//!
//! Without the feature `planted-bugs` [`planted`] is the constant `false` and nothing of this is left in the product. With it, at most one bug at a
//! time is active in the whole process. [`dawdle`] is a slowness instead, for proving that `cargo gates` would notice one.

/// A mistake of the core.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "only tests plant")
)]
pub enum Bug {
    /// A publisher is acked when its record is proposed, not when it is committed. Breaks: an ack means durable.
    AckBeforeSync,
    /// A report of the log releases all readies of its group, also those it has not synced (as a vote's urgent sync might). Breaks: nothing uncommitted
    /// is applied.
    ReleaseUnsynced,
    /// Questions are answered before what was durable at the start is applied. Breaks: who asks after an ack sees what was acked.
    AnswerBeforeServing,
    /// A checkpoint is read without its producers. Breaks: a publish takes effect once, over restarts too.
    ProducersForgotten,
    /// A checkpoint is read without the links of its rooms' heads. Breaks: links go on over a restart.
    HeadLinkLost,
    /// The entry behind a checkpoint counts as part of it. Breaks: what is opened is what was left.
    CheckpointAhead,
    /// The records of a room in an entry start a chain of links of their own. Breaks: links go on from entry to entry.
    LinkPerEntry,
    /// A proposal that Raft drops is not taken back. Breaks: nothing is told of what never was.
    OverlayKept,
    /// A channel is opened at the partition of another slot. Breaks: a room is in one partition.
    WrongSlot,
    /// A retry is told the seq behind its record. Breaks: a retry gets the original seq.
    DuplicateNext,
    /// A retry of the newest number is admitted again. Breaks: a publish takes effect once.
    DuplicateAdmitted,
    /// Producers are forgotten after a second of silence. Breaks: a producer is known for seven days.
    ExpireEarly,
    /// The hot tail drops entries that are not applied yet. Breaks: apply finds what it needs in memory.
    HotDropsEarly,
    /// Publishes that waited for a proposal are not looked at again. Breaks: everything is answered.
    ParkedForgotten,
    /// A subscription that resumes starts one record late. Breaks: each seq is seen once.
    ResumeOffByOne,
    /// A gap claims one record too many. Breaks: a gap names exactly what is missing.
    GapEndOffByOne,
    /// A gap is not told to the subscriber. Breaks: each seq is seen, or named by a gap.
    GapUntold,
    /// The next page of a history starts one record late. Breaks: a history has no holes.
    PageOffByOne,
    /// A delivery that finds its lane full leaves no note. Breaks: whoever missed something hears of it.
    DirtyLost,
    /// A slice makes its subscriber live, wherever it ends and whoever read it. Breaks: only who stands at the end of what is applied is live.
    LiveTooEarly,
    /// A reader that was refused because reader threads were busy does not ask again. Breaks: a slow reader goes on.
    BusyForgotten,
    /// Answers to a connection that is gone reach the next one in its place. Breaks: an answer reaches who asked.
    StaleConnection,
    /// Acks go to the first core, wherever the connection is. Breaks: the same.
    AckToOtherCore,
    /// An UNSUBSCRIBE is answered and changes nothing. Breaks: nothing follows the end of a subscription.
    UnsubscribedStays,
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn dawdle(_: &[u8]) {}

#[cfg(feature = "planted-bugs")]
pub(crate) use switch::{dawdle, planted};
#[cfg(feature = "planted-bugs")]
pub use switch::{plant, plant_slowness};

#[cfg(feature = "planted-bugs")]
mod switch {
    use core::hint::black_box;
    use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

    use super::Bug;

    /// Number of the active bug + 1; 0: none.
    static ACTIVE: AtomicU8 = AtomicU8::new(0);
    /// Whether publishes cost more than they should.
    static IS_SLOW: AtomicBool = AtomicBool::new(false);

    impl Bug {
        /// All of them.
        pub const ALL: &[Bug] = &[
            Bug::AckBeforeSync,
            Bug::ReleaseUnsynced,
            Bug::AnswerBeforeServing,
            Bug::ProducersForgotten,
            Bug::HeadLinkLost,
            Bug::CheckpointAhead,
            Bug::LinkPerEntry,
            Bug::OverlayKept,
            Bug::WrongSlot,
            Bug::DuplicateNext,
            Bug::DuplicateAdmitted,
            Bug::ExpireEarly,
            Bug::HotDropsEarly,
            Bug::ParkedForgotten,
            Bug::ResumeOffByOne,
            Bug::GapEndOffByOne,
            Bug::GapUntold,
            Bug::PageOffByOne,
            Bug::DirtyLost,
            Bug::LiveTooEarly,
            Bug::BusyForgotten,
            Bug::StaleConnection,
            Bug::AckToOtherCore,
            Bug::UnsubscribedStays,
        ];
    }

    /// Makes this the active bug of the process; `None`: there is none.
    pub fn plant(bug: Option<Bug>) {
        ACTIVE.store(bug.map_or(0, |bug| bug as u8 + 1), Ordering::Relaxed);
    }

    pub(crate) fn planted(bug: Bug) -> bool {
        ACTIVE.load(Ordering::Relaxed) == bug as u8 + 1
    }

    /// Makes each publish cost a tenth more. Breaks nothing but the counts of `cargo gates`.
    pub fn plant_slowness(is_slow: bool) {
        IS_SLOW.store(is_slow, Ordering::Relaxed);
    }

    /// Work for nothing, as a careless change brings: the body is looked through again.
    pub(crate) fn dawdle(body: &[u8]) {
        if IS_SLOW.load(Ordering::Relaxed) {
            for word in [body; 3].iter().flat_map(|body| body.chunks_exact(8)) {
                black_box(word);
            }
        }
    }
}
