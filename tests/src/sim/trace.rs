//! What happened, as one number and, if asked for, as lines.
//!
//! Two runs of a seed that differ anywhere differ in the number: every event with its time goes in, and every fact that an event brings.

use super::queue::{Event, Micros};

/// See the module.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    is_printed: bool,
}

impl Trace {
    /// Nothing happened yet.
    pub(crate) fn new(is_printed: bool) -> Trace {
        Trace {
            hash: 0xcbf2_9ce4_8422_2325,
            is_printed,
        }
    }

    /// An event happens.
    pub(crate) fn event(&mut self, now: Micros, event: &Event) {
        self.mix(now);
        let [kind, one, two] = numbers(event);
        self.mix(kind << 56 ^ one << 28 ^ two);
        let is_told = !matches!(
            event,
            Event::Turn { .. } | Event::Arrive { .. } | Event::Client { .. } | Event::App { .. }
        );
        if self.is_printed && is_told {
            self.print(now, &format!("{event:?}"));
        }
    }

    /// A fact goes into the number, nothing is printed.
    pub(crate) fn mix(&mut self, fact: u64) {
        self.hash = (self.hash ^ fact)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(23);
    }

    /// A line, for people.
    pub(crate) fn line(&mut self, now: Micros, line: impl FnOnce() -> String) {
        if self.is_printed {
            let line = line();
            self.print(now, &line);
        }
    }

    /// The number.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    fn print(&self, now: Micros, line: &str) {
        println!("{:>4}.{:06} {line}", now / 1_000_000, now % 1_000_000);
    }
}

fn numbers(event: &Event) -> [u64; 3] {
    match *event {
        Event::Turn { node, life, core } => [1, life, (node << 8 | core) as u64],
        Event::LogStart { node, life } => [2, life, node as u64],
        Event::LogDone { node, life } => [3, life, node as u64],
        Event::Made {
            node,
            life,
            is_segment,
        } => [4, life, (node << 1) as u64 | u64::from(is_segment)],
        Event::ReadDone { node, life, job } => [5, life << 4 | node as u64, job],
        Event::Start { node, life } => [6, life, node as u64],
        Event::Stop { node, life } => [7, life, node as u64],
        Event::Arrive { link, up } => [8, link, u64::from(up)],
        Event::Break { link, server } => [9, link, u64::from(server)],
        Event::Dial { client, attempt } => [10, attempt, client as u64],
        Event::Client { client } => [11, 0, client as u64],
        Event::App { client, life } => [12, life, client as u64],
        Event::Reborn { client, life } => [13, life, client as u64],
        Event::Trouble => [14, 0, 0],
        Event::Heal { number } => [15, number, 0],
        Event::PeerArrive { from, to, session } => [16, session, (from << 8 | to) as u64],
        Event::PeerTrouble => [17, 0, 0],
    }
}
