//! The connections of this core. (Placeholder: the facade's methods.)

#[allow(dead_code)]
pub(crate) mod outbox;

use alloc::sync::Arc;

use antiphon_protocol::{BrokenStream, RawFrame};

use crate::channel::Exchange;
use crate::core::{ConnId, CoreConfig, CoreId, Flow, Now, Output};
use crate::edge::outbox::Outbox;
use crate::lane::{Replace, ToEdge};
use crate::read::ReadAnswer;

/// What the edge counts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EdgeStats {}

/// The connections of one core.
#[derive(Debug)]
pub(crate) struct Edge {}

impl Edge {
    pub(crate) fn new(_config: &CoreConfig, _exchange: Arc<Exchange>, _now: Now) -> Edge {
        Edge {}
    }
    pub(crate) fn connected(&mut self, _conn: ConnId, _now: Now) {}
    pub(crate) fn frame(&mut self, _conn: ConnId, _frame: RawFrame<'_>, _now: Now) -> Flow {
        Flow::Continue
    }
    pub(crate) fn broken(&mut self, _conn: ConnId, _why: BrokenStream, _now: Now) {}
    pub(crate) fn len_max(&self, _conn: ConnId) -> u32 {
        8_192
    }
    pub(crate) fn received(&mut self, _conn: ConnId, _bytes: usize, _partial: bool, _now: Now) {}
    pub(crate) fn disconnected(&mut self, _conn: ConnId) {}
    pub(crate) fn outbox(&mut self, _conn: ConnId) -> Option<&mut Outbox> {
        None
    }
    pub(crate) fn sent(&mut self, _conn: ConnId, _now: Now) {}
    pub(crate) fn handle(&mut self, _from: CoreId, _message: ToEdge, _now: Now) {}
    pub(crate) fn replace(&mut self, _replace: &Replace, _now: Now) {}
    pub(crate) fn read_done(&mut self, _answer: ReadAnswer, _now: Now) {}
    pub(crate) fn begin_turn(&mut self, _now: Now) {}
    pub(crate) fn end_turn(&mut self, _now: Now) -> bool {
        false
    }
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        None
    }
    pub(crate) fn tick(&mut self, _now: Now) {}
    pub(crate) fn poll(&mut self) -> Option<Output> {
        None
    }
    pub(crate) fn drain(&mut self, _now: Now) {}
    pub(crate) fn is_drained(&self) -> bool {
        true
    }
    pub(crate) fn stats(&self) -> EdgeStats {
        EdgeStats::default()
    }
}
