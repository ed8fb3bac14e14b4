//! How often a client lost its connection, and what was on its way then.

/// Greeted connections that ended without the application's wish, counted over the client's life.
///
/// Nothing needs to be done about them: the client connects again and sends again. They tell how rough the way was, and
/// how much the promise of "once" was put to the test.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Losses {
    /// How many connections were lost.
    pub connections: u64,
    /// How many publishes had been sent on them and had no answer when they were lost, summed up.
    pub unacked: u64,
}
