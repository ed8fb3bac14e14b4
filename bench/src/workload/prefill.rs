//! Writes a room full before it is read.

use std::time::Duration;

use crate::clock::Nanos;
use crate::error::BenchError;
use crate::generator::{Ears, Generator};
use crate::limits::STALLED_AFTER;
use crate::progress::Phase;
use crate::stage::Stage;
use crate::stamp::{Stamp, Stream};
use crate::target::{Ack, Event, Room, Target};

/// Publishes under way, below what a connection may have.
const WINDOW: u64 = 500;
const TURN: Duration = Duration::from_millis(50);

/// Publishes `records` numbers of stream 0 into `room` on `connection`, and waits until all are acked.
///
/// # Errors
/// The system refuses, or falls silent.
pub(super) fn prefill<T: Target>(
    stage: &Stage<'_, T>,
    generator: &mut Generator<'_, T>,
    connection: u32,
    room: &Room,
    records: u64,
) -> Result<(), BenchError> {
    stage.progress.enter(Phase::Preparing);
    let mut body = vec![b'.'; stage.options.body_bytes];
    let mut acks = Acked {
        count: 0,
        refused: 0,
        newest: generator.clock().now(),
    };
    let mut published = 0;
    while acks.count < records {
        while published < records && published < acks.count + WINDOW {
            published += 1;
            let stamp = Stamp {
                stream: Stream(0),
                number: published,
                intended: generator.clock().now(),
            };
            stamp.write(&mut body);
            generator.publish(connection, room, Ack::Wanted, &body);
        }
        generator.turn(TURN, &mut acks)?;
        stage.progress.step(acks.count, records);
        let waited = generator.clock().now().since(acks.newest);
        if acks.refused > 0 || Duration::from_nanos(waited) > STALLED_AFTER {
            return Err(BenchError::Stalled {
                what: "acks of the history",
                have: acks.count,
                want: records,
                seconds: STALLED_AFTER.as_secs(),
            });
        }
    }
    Ok(())
}

#[derive(Debug)]
struct Acked {
    count: u64,
    refused: u64,
    newest: Nanos,
}

impl Ears for Acked {
    fn hear(&mut self, _connection: u32, event: Event<'_>, now: Nanos) {
        match event {
            Event::Acked { .. } => self.count += 1,
            Event::Refused => self.refused += 1,
            _ => return,
        }
        self.newest = now;
    }
}
