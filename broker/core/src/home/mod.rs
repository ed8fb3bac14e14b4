//! Placeholder: the partitions at home on this core. The methods below are all that the facade calls.

#![allow(dead_code)]

mod admission;
mod hot_tail;
mod limits;
mod overlay;
mod producers;
mod records;
mod recovering;
mod replica;
mod seed;
mod state;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use antiphon_log::{LogPosition, Persisted};

use crate::channel::Exchange;
use crate::core::{CoreConfig, CoreId, Now, Output};
use crate::lane::ToHome;
use crate::read::ReadAnswer;

pub use recovering::Recovering;
pub use seed::{Condition, PartitionSeed, Unsound};

/// What home counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HomeStats {}

/// The partitions at home on one core.
#[derive(Debug)]
pub(crate) struct Home {
    outputs: VecDeque<Output>,
}

impl Home {
    pub(crate) fn new(
        _config: CoreConfig,
        _exchange: Arc<Exchange>,
        _partitions: Vec<PartitionSeed>,
        _now: Now,
    ) -> Home {
        Home {
            outputs: VecDeque::new(),
        }
    }

    /// Handles one message of an edge; answers are `Output::Lane`.
    pub(crate) fn handle(&mut self, _from: CoreId, _message: ToHome, _now: Now) {}

    pub(crate) fn persisted(
        &mut self,
        _persisted: &[Persisted],
        _sync_end: LogPosition,
        _now: Now,
    ) {
    }

    /// Only answers of purpose `Home`.
    pub(crate) fn read_done(&mut self, _answer: ReadAnswer, _now: Now) {}

    /// Drains room channels by budget, proposes, readies, applies. `true`: more to do.
    pub(crate) fn turn(&mut self, _now: Now) -> bool {
        false
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        None
    }

    pub(crate) fn tick(&mut self, _now: Now) {}

    /// Drained by the facade after each of the calls above.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Nothing admitted waits for its commit or apply.
    pub(crate) fn is_idle(&self) -> bool {
        true
    }

    pub(crate) fn stats(&self) -> HomeStats {
        HomeStats {}
    }
}
