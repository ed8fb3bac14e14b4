//! What the checkers say: per promise, what was compared and what is broken, with the events that prove it.

use std::fmt;

use crate::checkers::Anomaly;

/// How many violations of one promise are kept with their evidence; all are counted.
pub const VIOLATIONS_KEPT_MAX: usize = 16;

/// Which promise.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Invariant {
    /// The history itself is sound. If it is not, the other verdicts mean nothing.
    Shape,
    /// An acked publish is never lost.
    I1,
    /// Nothing is read that nobody published.
    I2,
    /// A room has one order.
    I3,
    /// A subscription, or the answer of a fetch, misses nothing and repeats nothing.
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
    /// A signal comes once, in its sender's order, or is counted as dropped.
    I15,
    /// A cursor goes forward only, and counts what is unread.
    I16,
}

impl Invariant {
    /// The promise in a line.
    pub fn promise(self) -> &'static str {
        match self {
            Self::Shape => "the history is sound",
            Self::I1 => "an acked publish is never lost",
            Self::I2 => "nothing is read that nobody published",
            Self::I3 => "a room has one order",
            Self::I4 => "a stream misses nothing",
            Self::I5 => "a publish takes effect once",
            Self::I6 => "a producer's messages keep their order",
            Self::I7 => "order agrees with real time",
            Self::I8 => "a resume goes on where it stood",
            Self::I12 => "after healing, everything is answered",
            Self::I14 => "no ack before the sync",
            Self::I15 => "signals come in order, or are counted",
            Self::I16 => "a cursor never goes back",
        }
    }
}

/// An event by its place in the history, from 0.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct EventNo(pub usize);

impl fmt::Display for EventNo {
    /// The line in the file: the head is line 1.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 + 2)
    }
}

/// One broken promise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Violation {
    /// What is wrong.
    pub anomaly: Anomaly,
    /// The fewest events that show it, ascending.
    pub events: Vec<EventNo>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (lines", self.anomaly)?;
        for event in &self.events {
            write!(f, " {event}")?;
        }
        f.write_str(")")
    }
}

/// What one checker found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Check {
    /// Which promise.
    pub invariant: Invariant,
    /// How many facts were compared. With 0 the history says nothing about this promise.
    pub compared: u64,
    /// How many violations there are.
    pub found: u64,
    /// The first [`VIOLATIONS_KEPT_MAX`] of each kind.
    pub violations: Vec<Violation>,
}

impl Check {
    pub(crate) fn new(invariant: Invariant) -> Self {
        Self {
            invariant,
            compared: 0,
            found: 0,
            violations: Vec::new(),
        }
    }

    /// Counts a fact that was looked at.
    pub(crate) fn compare(&mut self) {
        self.compared += 1;
    }

    /// Notes a violation.
    pub(crate) fn violated(&mut self, anomaly: Anomaly, events: &[EventNo]) {
        debug_assert_eq!(anomaly.invariant(), self.invariant);
        self.found += 1;
        let kind = std::mem::discriminant(&anomaly);
        let same = |kept: &&Violation| std::mem::discriminant(&kept.anomaly) == kind;
        if self.violations.iter().filter(same).count() < VIOLATIONS_KEPT_MAX {
            let mut events = events.to_vec();
            events.sort_unstable();
            events.dedup();
            self.violations.push(Violation { anomaly, events });
        }
    }
}

/// What all checkers found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Report {
    /// One for each promise, in the order of [`Invariant`].
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether no promise is broken. (Look at [`Check::compared`] for what was proven at all.)
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.found == 0)
    }

    /// All kept violations.
    pub fn violations(&self) -> impl Iterator<Item = &Violation> {
        self.checks.iter().flat_map(|check| &check.violations)
    }

    /// The promises that are broken.
    pub fn broken(&self) -> Vec<Invariant> {
        let bad = self.checks.iter().filter(|check| check.found > 0);
        bad.map(|check| check.invariant).collect()
    }

    /// The promises about which the history says nothing.
    pub fn silent(&self) -> Vec<Invariant> {
        let silent = self.checks.iter().filter(|check| check.compared == 0);
        silent.map(|check| check.invariant).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let name = format!("{:?}", check.invariant);
            let promise = check.invariant.promise();
            let verdict = match (check.found, check.compared) {
                (0, 0) => "not shown".to_owned(),
                (0, compared) => format!("holds ({compared} compared)"),
                (found, _) => format!("BROKEN {found} times"),
            };
            writeln!(f, "{name:6} {promise}: {verdict}")?;
            for violation in &check.violations {
                writeln!(f, "       {violation}")?;
            }
        }
        Ok(())
    }
}
