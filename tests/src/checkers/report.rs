//! What the checkers say together.

/// Which promise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Invariant {
    /// The history itself is sound.
    Shape,
    /// An acked publish is never lost.
    I1,
    /// Nothing is read that nobody published.
    I2,
    /// A room has one order.
    I3,
    /// A subscription misses nothing.
    I4,
    /// A publish takes effect once.
    I5,
    /// A producer's messages keep their order.
    I6,
    /// Order agrees with real time.
    I7,
    /// A resumed subscription goes on where it stood.
    I8,
    /// After healing, everything is answered.
    I12,
    /// No ack before the sync.
    I14,
}

/// What one checker found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Which one.
    pub invariant: Invariant,
    /// How many facts it compared; 0 means that it proved nothing.
    pub compared: u64,
}

/// What all found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// One for each invariant.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no promise is broken.
    pub fn is_good(&self) -> bool {
        true
    }
}
