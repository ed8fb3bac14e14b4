//! Checkers: which promises a history breaks.
//!
//! Each sees only the history and shares no code with the broker. All are linear or n log n: the broker tells seqs, so
//! nothing has to be searched for. Each stands in a file of its own, and each compares little enough to be believed:
//!
//! | promise | file | in short |
//! |---|---|---|
//! | Shape | `shape` | every outcome has its request, time does not fall |
//! | I1 | `acked` | acks minus final reads, per node and room |
//! | I2 | `phantom` | what is read was published, with that body |
//! | I3 | `order` | (room, seq) names one message and one link, whoever looks |
//! | I4 | `contiguity` | a stream rises by one, or says GAP, and comes to the head |
//! | I5 | `once` | a message has one seq; a producer's numbers have no hole |
//! | I6 | `fifo` | seq rises with producer_seq |
//! | I7 | `real_time` | what was acked before a question is in the answer |
//! | I8 | `resume` | a resume goes on at the next seq, with the same link |
//! | I12 | `progress` | after healing everything is answered in time |
//! | I14 | `durable` | a majority synced before the ack |
//! | I15 | `signals` | numbers of a connection rise, what is left out was told as dropped |
//! | I16 | `cursors` | a cursor that was synced never stands lower, and its counts are those of the room |

mod acked;
mod anomaly;
mod contiguity;
mod cursors;
mod durable;
mod fifo;
mod once;
mod order;
mod phantom;
mod progress;
mod real_time;
mod report;
mod resume;
mod shape;
mod signals;
#[cfg(test)]
mod tests;
mod view;

pub use anomaly::{Anomaly, Place};
pub use report::{Check, EventNo, Invariant, Report, VIOLATIONS_KEPT_MAX, Violation};

use crate::checkers::view::View;
use crate::history::History;

/// Runs every checker.
pub fn check_all(history: &History) -> Report {
    let view = View::new(history);
    Report {
        checks: vec![
            shape::check(&view),
            acked::check(&view),
            phantom::check(&view),
            order::check(&view),
            contiguity::check(&view),
            once::check(&view),
            fifo::check(&view),
            real_time::check(&view),
            resume::check(&view),
            progress::check(&view),
            durable::check(&view),
            signals::check(&view),
            cursors::check(&view),
        ],
    }
}
