//! The proof that nothing is missing.

use std::time::Duration;

/// What a check came to: every record that the broker had sent has come, once and in order.
///
/// The broker sums up what it has sent over this connection, the client what it has got; that the two agree is what makes it
/// a check. If they do not, the client takes the connection for broken, connects anew and goes on behind its last records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Check {
    /// How many rooms were counted: the subscriptions whose room exists and that are not paused.
    pub rooms: u32,
    /// How many of them have more to come.
    pub behind: u32,
    /// How old the broker's own knowledge may be.
    pub as_of: Duration,
}

impl Check {
    /// All that was committed in the subscribed rooms before the check began has come.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.behind == 0
    }
}
