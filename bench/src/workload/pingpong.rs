//! `pingpong`: one publisher, one subscriber, one message at a time. What it costs to go through the system once.

use std::collections::BTreeMap;

use super::{Fanout, Findings, options};
use crate::error::BenchError;
use crate::pace::Pace;
use crate::stage::Stage;
use crate::target::Target;

/// Options of `pingpong`: none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pingpong;

impl Pingpong {
    pub(super) fn configuration(self) -> BTreeMap<String, String> {
        options([])
    }

    pub(super) fn measure<T: Target>(self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let fanout = Fanout {
            subscribers: 1,
            publishers: 1,
            pace: Pace::InFlight(1),
        };
        fanout.measure(stage)
    }
}
