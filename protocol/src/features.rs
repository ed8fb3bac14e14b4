//! What one side of a connection knows beyond the frames that were always there (docs/protocol.md, section 3).

use core::ops::{BitAnd, BitOr};

/// A set of optional features: HELLO names those that the client knows, WELCOME those of them that the server serves.
///
/// A bit tells what can be asked for and changes no layout. Bits that nobody here knows are kept and passed over.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Features(pub u64);

impl Features {
    /// None of them.
    pub const NONE: Features = Features(0);
    /// SIGNAL.
    pub const SIGNALS: Features = Features(1);
    /// CURSOR, SUBSCRIBE from a cursor, the cursors in SUBSCRIBED.
    pub const CURSORS: Features = Features(1 << 1);
    /// SUBSCRIBE from a time, FETCH around a record and by time.
    pub const TIMES: Features = Features(1 << 2);
    /// PUBLISH of records that refer to another, and with `expect_seq`.
    pub const REFS: Features = Features(1 << 3);
    /// The digest in PONG.
    pub const DIGESTS: Features = Features(1 << 4);
    /// METADATA.
    pub const METADATA: Features = Features(1 << 5);
    /// All that have a number.
    pub const ALL: Features = Features((1 << 6) - 1);

    /// Whether all of `others` are among these.
    #[must_use]
    pub const fn has(self, others: Features) -> bool {
        self.0 & others.0 == others.0
    }
}

/// Those of both.
impl BitOr for Features {
    type Output = Features;

    fn bitor(self, other: Features) -> Features {
        Features(self.0 | other.0)
    }
}

/// Those that both have.
impl BitAnd for Features {
    type Output = Features;

    fn bitand(self, other: Features) -> Features {
        Features(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_grants_what_it_serves_of_what_was_named() {
        let named = Features::SIGNALS | Features::DIGESTS | Features(1 << 63);
        let granted = named & Features::ALL;
        assert_eq!(granted, Features(0b1_0001));
        assert!(granted.has(Features::SIGNALS) && granted.has(Features::NONE));
        assert!(!granted.has(Features::SIGNALS | Features::CURSORS));
    }
}
