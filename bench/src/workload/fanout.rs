//! `fanout`: one publisher, or some in turn, one room, many subscribers.

use std::collections::BTreeMap;

use super::{Findings, options, pace};
use crate::drive::drive;
use crate::error::BenchError;
use crate::pace::Pace;
use crate::result::Better;
use crate::stage::Stage;
use crate::stamp::Stream;
use crate::target::Target;
use crate::traffic::{Complete, Source, Traffic};
use crate::verify::Verifier;

/// Options of `fanout`.
#[derive(Clone, Debug, PartialEq)]
pub struct Fanout {
    /// Connections that subscribe to the room. The publishers are further ones.
    pub subscribers: u32,
    /// Connections that publish in turn, at least 1. More than one where a system limits what one connection may send.
    pub publishers: u32,
    /// When the next message is published. In flight: not yet delivered to all subscribers.
    pub pace: Pace,
}

impl Fanout {
    pub(super) fn configuration(&self) -> BTreeMap<String, String> {
        let mut options = options([
            ("subscribers", self.subscribers.to_string()),
            pace(self.pace),
        ]);
        if self.publishers != 1 {
            options.insert("publishers".to_owned(), self.publishers.to_string());
        }
        options
    }

    pub(super) fn measure<T: Target>(&self, stage: &Stage<'_, T>) -> Result<Findings, BenchError> {
        let rooms = stage.rooms(1)?;
        let room = &rooms[0];
        // The publishers are the last ones, so that subscriber n is connection n.
        let mut generator = stage.connect(self.subscribers + self.publishers)?;
        let subscribers = 0..self.subscribers;
        stage.subscribe(&mut generator, subscribers.clone().map(|n| (n, room)))?;
        let mut verifier = Verifier::default();
        for stream in (0..self.publishers).map(Stream) {
            subscribers
                .clone()
                .for_each(|connection| verifier.expect(connection, stream));
        }
        let sources = (0..self.publishers).map(|publisher| Source {
            connection: self.subscribers + publisher,
            room: room.clone(),
            subscribers: self.subscribers,
        });
        let mut traffic = Traffic::new(
            sources.collect(),
            verifier,
            Complete::Delivered,
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
        Ok(delivered(traffic, used, self.pace))
    }
}

/// Findings of a traffic that was all about deliveries.
pub(super) fn delivered(traffic: Traffic, used: crate::drive::Used, pace: Pace) -> Findings {
    let (verdict, delivery, _) = traffic.finish();
    let mut findings = Findings::new(used, verdict);
    findings.meter("delivery", "deliveries", delivery);
    if let Some(rate) = pace.offered_per_s() {
        findings.metric("offered_per_s", rate, "1/s", Better::Neither);
    }
    findings
}
