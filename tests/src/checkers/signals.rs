//! I15: a signal comes to a subscription at most once and in its sender's order, and what does not come is counted.
//!
//! Only signals without a key are all owed: of those with one the newest value counts. What a sender's connection had under way when it ended is
//! nobody's to count, and stands at the end of its numbers.

use crate::checkers::view::{Map, View};
use crate::checkers::{Anomaly, Check, EventNo, Invariant};
use crate::history::{Op, Room, What};

/// What one connection says in one room, with one key.
type Thread = (u64, Room, u32);

/// What a sender has sent so far: how many, and which of them were refused.
#[derive(Debug, Default)]
struct Sent {
    count: u64,
    refused: Vec<u64>,
}

/// What a subscription has heard so far.
#[derive(Debug, Default)]
struct Heard {
    last: Map<(u64, u32), (u64, EventNo)>,
    missing: u64,
    told: u64,
}

/// Runs once through the events.
pub(crate) fn check(view: &View<'_>) -> Check {
    let mut check = Check::new(Invariant::I15);
    let refused = refused(view);
    let mut sent: Map<Thread, Sent> = Map::default();
    let mut heard: Map<Op, Heard> = Map::default();
    for (event, happened) in view.events() {
        match happened.what {
            What::Signal {
                op,
                room,
                via,
                key,
                number,
            } => {
                let sent = sent.entry((via, room, key)).or_default();
                sent.count = sent.count.max(number);
                if refused.contains_key(&op) {
                    sent.refused.push(number);
                }
            }
            What::Signalled {
                sub,
                via,
                key,
                number,
                dropped,
            } => {
                let Some((_, What::Subscribe { room, .. })) = view.asked(sub) else {
                    continue;
                };
                let heard = heard.entry(sub).or_default();
                heard.told += u64::from(dropped);
                if number > 0 {
                    let sent = sent.get(&(via, *room, key));
                    let signal = (sub, via, key, number);
                    heard.signal(signal, event, sent, &mut check);
                }
            }
            _ => {}
        }
    }
    check
}

/// Signals that were answered by ERROR, whenever that came.
fn refused(view: &View<'_>) -> Map<Op, EventNo> {
    let failed = view.events().filter_map(|(event, happened)| {
        let What::Failed { op, .. } = happened.what else {
            return None;
        };
        let (_, asked) = view.asked(op)?;
        matches!(asked, What::Signal { .. }).then_some((op, event))
    });
    failed.collect()
}

impl Heard {
    fn signal(
        &mut self,
        (sub, via, key, number): (Op, u64, u32, u64),
        event: EventNo,
        sent: Option<&Sent>,
        check: &mut Check,
    ) {
        check.compare();
        let Some(sent) = sent.filter(|sent| number <= sent.count) else {
            check.violated(Anomaly::NeverSignalled { sub, via, number }, &[event]);
            return;
        };
        let Some((last, before)) = self.last.get(&(via, key)).copied() else {
            self.last.insert((via, key), (number, event));
            return;
        };
        if number > last {
            self.last.insert((via, key), (number, event));
        } else {
            let anomaly = Anomaly::SignalAgain { sub, via, number };
            check.violated(anomaly, &[before, event]);
            return;
        }
        if key > 0 {
            return;
        }
        let between = last + 1..number;
        let refused = sent.refused.iter().filter(|one| between.contains(one));
        self.missing += (number - last - 1) - refused.count() as u64;
        if self.missing > self.told {
            let (missing, told) = (self.missing, self.told);
            let anomaly = Anomaly::UntoldDrop { sub, missing, told };
            check.violated(anomaly, &[before, event]);
            // One fault, one violation.
            self.told = missing;
        }
    }
}
