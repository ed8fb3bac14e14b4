//! `publish`: connections that publish into rooms of their own and wait for acks. Nobody subscribes.

use std::collections::BTreeMap;

use super::{Findings, options, pace};
use crate::drive::drive;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::result::Better;
use crate::stage::Stage;
use crate::target::Target;
use crate::traffic::{Complete, Source, Traffic};
use crate::verify::Verifier;

/// Options of `publish`.
#[derive(Clone, Debug, PartialEq)]
pub struct Publish {
    /// Publishing connections, each with a room of its own.
    pub connections: u32,
    /// When the next message is published. In flight: not yet acked, per connection.
    pub pace: Pace,
}

impl Publish {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        options([
            ("connections", self.connections.to_string()),
            pace(self.pace),
        ])
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let rooms = stage.rooms(self.connections)?;
        let mut generator = stage.connect(self.connections)?;
        let sources = rooms.into_iter().map(|room| Source {
            connection: room.number,
            room,
            subscribers: 0,
        });
        let mut traffic = Traffic::new(
            sources.collect(),
            Verifier::default(),
            Complete::Acked,
            self.pace,
            stage.options.body_bytes,
        );
        let phases = stage.options.phases;
        let used = drive(
            &mut generator,
            &mut traffic,
            phases,
            stage.pids(),
            stage.progress,
        )?;
        let (verdict, _, ack) = traffic.finish();
        let mut findings = Findings::new(used, verdict);
        findings.meter("ack", "acks", ack);
        if let Some(rate) = self.pace.offered_per_s() {
            findings.metric("offered_per_s", rate, "1/s", Better::Neither);
        }
        Ok(findings)
    }
}
