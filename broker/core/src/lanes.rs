//! What waits to leave this core: one queue per destination, in order, with dirty entries in place of refused deliveries.
//!
//! See `lane` for the rule that this keeps. A destination is *blocked* from the first refusal until its lane opens; while it is blocked nothing is
//! handed out for it, deliveries become dirty entries, and everything else queues up. More than LANE_WAITING_MAX of it makes the lanes *overfull*: the
//! core takes no new requests then, so what still comes is bounded by the requests under way. Barriers go behind the dirty entries, signals become numbers.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use antiphon_protocol::{RoomId, Seq};
use bytes::Bytes;

use crate::core::CoreId;
use crate::lane::{Deliver, Message, SignalOut, ToEdge};
use crate::limits::LANE_WAITING_MAX;
use crate::planted::{Bug, planted};

/// The outgoing side of all lanes of one core.
#[derive(Debug)]
pub(crate) struct Lanes {
    me: CoreId,
    lanes: Vec<Lane>,
    /// Messages to this core itself; never refused.
    local: VecDeque<Message>,
    /// Where to look first for the next message, so that no destination is preferred.
    turn: usize,
    /// Deliveries that became dirty entries.
    dirtied: u64,
    is_overfull: bool,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<Message>,
    /// Rooms whose deliveries were dropped, and up to where. Not empty only while `blocked`.
    dirty: BTreeMap<RoomId, Seq>,
    /// Signals dropped per room. Not empty only while `blocked`.
    lost: BTreeMap<RoomId, u32>,
    /// What must stand behind the dirty entries. Not empty only while `blocked`.
    barriers: Vec<Message>,
    blocked: bool,
}

impl Lanes {
    pub(crate) fn new(me: CoreId, cores: u16) -> Lanes {
        assert!(
            me.0 < cores,
            "INV-LANE-1: a core is one of its node's cores"
        );
        Lanes {
            me,
            lanes: (0..cores).map(|_| Lane::default()).collect(),
            local: VecDeque::new(),
            turn: 0,
            dirtied: 0,
            is_overfull: false,
        }
    }

    /// Whether so much waits for a full lane that no new requests may be taken. From LANE_WAITING_MAX on, until half of it is left.
    pub(crate) fn look_overfull(&mut self) -> bool {
        let blocked = self.lanes.iter().filter(|lane| lane.blocked);
        let most = blocked.map(|lane| lane.queue.len()).max().unwrap_or(0);
        let bound = if self.is_overfull {
            LANE_WAITING_MAX / 2
        } else {
            LANE_WAITING_MAX
        };
        self.is_overfull = most > bound;
        self.is_overfull
    }

    /// Queues a message, or makes a dirty entry of it.
    pub(crate) fn send(&mut self, to: CoreId, message: Message) {
        if to == self.me {
            self.local.push_back(message);
            return;
        }
        let lane = &mut self.lanes[usize::from(to.0)];
        if lane.blocked {
            self.dirtied += u64::from(lane.keep(message));
        } else {
            lane.queue.push_back(message);
        }
    }

    /// The next message to this core itself.
    pub(crate) fn next_local(&mut self) -> Option<Message> {
        self.local.pop_front()
    }

    /// Whether messages to this core itself wait.
    pub(crate) fn has_local(&self) -> bool {
        !self.local.is_empty()
    }

    /// The next message for another core that is not blocked.
    pub(crate) fn poll(&mut self) -> Option<(CoreId, Message)> {
        let count = self.lanes.len();
        for step in 0..count {
            let at = (self.turn + step) % count;
            let lane = &mut self.lanes[at];
            if lane.blocked {
                continue;
            }
            if let Some(message) = lane.queue.pop_front() {
                // Stay with this lane until it is empty or refuses.
                self.turn = at;
                return Some((core_at(at), message));
            }
        }
        None
    }

    /// The lane is full and gave `message`, the last one polled for it, back.
    pub(crate) fn refused(&mut self, to: CoreId, message: Message) {
        let lane = &mut self.lanes[usize::from(to.0)];
        assert!(
            !lane.blocked,
            "INV-LANE-2: nothing was handed out for a blocked lane"
        );
        lane.blocked = true;
        let waiting = core::mem::take(&mut lane.queue);
        for message in core::iter::once(message).chain(waiting) {
            self.dirtied += u64::from(lane.keep(message));
        }
        self.turn = (self.turn + 1) % self.lanes.len();
    }

    /// The lane has room again: what waited goes first, then the dirty entries.
    pub(crate) fn opened(&mut self, to: CoreId) {
        let lane = &mut self.lanes[usize::from(to.0)];
        lane.blocked = false;
        let dirty = core::mem::take(&mut lane.dirty);
        let lost = core::mem::take(&mut lane.lost);
        let barriers = core::mem::take(&mut lane.barriers);
        lane.queue.extend(
            dirty
                .into_iter()
                .map(|(room, apply_end)| Message::ToEdge(ToEdge::Dirty { room, apply_end })),
        );
        lane.queue.extend(
            lost.into_iter()
                .map(|(room, lost)| Message::ToEdge(ToEdge::Signal(lost_signals(room, lost)))),
        );
        lane.queue.extend(barriers);
    }

    /// Whether any message could be handed out now.
    pub(crate) fn has_work(&self) -> bool {
        self.has_local()
            || self
                .lanes
                .iter()
                .any(|lane| !lane.blocked && !lane.queue.is_empty())
    }

    /// Deliveries that became dirty entries, ever.
    pub(crate) fn dirtied(&self) -> u64 {
        self.dirtied
    }

    /// Messages and dirty entries that wait for blocked lanes.
    pub(crate) fn waiting(&self) -> usize {
        self.lanes
            .iter()
            .map(|lane| lane.queue.len() + lane.dirty.len() + lane.lost.len() + lane.barriers.len())
            .sum()
    }
}

impl Lane {
    /// Keeps a message for a blocked lane. `true`: a delivery was dropped.
    fn keep(&mut self, message: Message) -> bool {
        match message {
            Message::ToEdge(
                ToEdge::Deliver(Deliver {
                    room,
                    next: apply_end,
                    ..
                })
                | ToEdge::Dirty { room, apply_end },
            ) => {
                if planted(Bug::DirtyLost) {
                    return true;
                }
                let entry = self.dirty.entry(room).or_insert(apply_end);
                *entry = apply_end.max(*entry);
                true
            }
            Message::ToEdge(ToEdge::BarrierPassed(_)) => {
                self.barriers.push(message);
                false
            }
            Message::ToEdge(ToEdge::Signal(signal)) => {
                let more = signal
                    .lost
                    .saturating_add(u32::from(!signal.frame.is_empty()));
                let lost = self.lost.entry(signal.room).or_default();
                *lost = lost.saturating_add(more);
                false
            }
            message => {
                self.queue.push_back(message);
                false
            }
        }
    }
}

/// That so many signals of a room were lost.
fn lost_signals(room: RoomId, lost: u32) -> SignalOut {
    SignalOut {
        room,
        frame: Bytes::new(),
        is_keyed: false,
        lost,
    }
}

fn core_at(index: usize) -> CoreId {
    CoreId(u16::try_from(index).expect("there are at most u16::MAX lanes"))
}

#[cfg(test)]
mod tests {
    use antiphon_protocol::{Code, Namespace};
    use std::format;
    use std::string::String;

    use super::*;
    use crate::lane::{RoomKey, ToHome};

    const ME: CoreId = CoreId(0);
    const OTHER: CoreId = CoreId(1);
    const THIRD: CoreId = CoreId(2);

    fn ask(room: u64) -> Message {
        Message::ToHome(ToHome::OpenChannel {
            namespace: Namespace(0),
            room: RoomKey::Id(RoomId(room)),
        })
    }

    fn ended(room: u64) -> Message {
        Message::ToEdge(ToEdge::Ended {
            room: RoomId(room),
            code: Code::INTERNAL,
        })
    }

    fn deliver(room: u64, next: u64) -> Message {
        let deliver = Deliver {
            room: RoomId(room),
            first: Seq(next - 1),
            next: Seq(next),
            records: Bytes::new(),
        };
        Message::ToEdge(ToEdge::Deliver(deliver))
    }

    fn tell(message: &Message) -> String {
        match message {
            Message::ToHome(ToHome::OpenChannel {
                room: RoomKey::Id(room),
                ..
            }) => format!("ask {}", room.0),
            Message::ToEdge(ToEdge::Ended { room, .. }) => format!("ended {}", room.0),
            Message::ToEdge(ToEdge::Deliver(deliver)) => {
                format!("deliver {} ..{}", deliver.room.0, deliver.next.0)
            }
            Message::ToEdge(ToEdge::Dirty { room, apply_end }) => {
                format!("dirty {} ..{}", room.0, apply_end.0)
            }
            other => panic!("{other:?}"),
        }
    }

    fn all(lanes: &mut Lanes) -> Vec<String> {
        core::iter::from_fn(|| lanes.poll())
            .map(|(to, message)| format!("{}: {}", to.0, tell(&message)))
            .collect()
    }

    #[test]
    fn messages_leave_in_order_and_those_to_oneself_apart() {
        let mut lanes = Lanes::new(ME, 3);
        for message in [ask(1), deliver(7, 2), ended(3)] {
            lanes.send(OTHER, message);
        }
        lanes.send(ME, ask(9));
        lanes.send(THIRD, ask(2));
        assert_eq!(
            all(&mut lanes),
            ["1: ask 1", "1: deliver 7 ..2", "1: ended 3", "2: ask 2"]
        );
        assert_eq!(lanes.next_local().as_ref().map(tell), Some("ask 9".into()));
        assert!(!lanes.has_work());
    }

    #[test]
    fn a_full_lane_keeps_order_and_sends_dirty_entries_behind_all_that_waited() {
        let mut lanes = Lanes::new(ME, 3);
        for message in [deliver(7, 2), ask(1), deliver(8, 5)] {
            lanes.send(OTHER, message);
        }
        let (to, message) = lanes.poll().unwrap();
        lanes.refused(to, message);
        for message in [deliver(7, 3), ask(2), deliver(7, 4)] {
            lanes.send(OTHER, message);
        }
        lanes.send(THIRD, ask(3));
        assert_eq!(all(&mut lanes), ["2: ask 3"], "only the full lane waits");
        assert_eq!((lanes.waiting(), lanes.dirtied()), (4, 4));
        lanes.opened(OTHER);
        lanes.send(OTHER, deliver(7, 5));
        assert_eq!(
            all(&mut lanes),
            [
                "1: ask 1",
                "1: ask 2",
                "1: dirty 7 ..4",
                "1: dirty 8 ..5",
                "1: deliver 7 ..5"
            ]
        );
    }

    #[test]
    fn lanes_are_overfull_from_the_bound_until_half_of_it() {
        let mut lanes = Lanes::new(ME, 2);
        for room in 0..LANE_WAITING_MAX as u64 {
            lanes.send(OTHER, ask(room));
        }
        assert!(!lanes.look_overfull(), "nothing was refused");
        let (_, message) = lanes.poll().unwrap();
        lanes.refused(OTHER, message);
        lanes.send(OTHER, deliver(7, 2));
        assert!(!lanes.look_overfull());
        lanes.send(OTHER, ask(0));
        assert!(lanes.look_overfull());
        while lanes.waiting() > LANE_WAITING_MAX / 2 + 1 {
            assert!(lanes.look_overfull());
            lanes.opened(OTHER);
            let _ = lanes.poll();
            let (_, message) = lanes.poll().unwrap();
            lanes.refused(OTHER, message);
        }
        assert!(!lanes.look_overfull());
    }

    #[test]
    fn a_dirty_entry_that_is_refused_is_one_again() {
        let mut lanes = Lanes::new(ME, 2);
        lanes.send(OTHER, deliver(7, 2));
        let (_, message) = lanes.poll().unwrap();
        lanes.refused(OTHER, message);
        lanes.opened(OTHER);
        let (_, message) = lanes.poll().unwrap();
        assert_eq!(tell(&message), "dirty 7 ..2");
        lanes.refused(OTHER, message);
        lanes.send(OTHER, deliver(7, 3));
        lanes.opened(OTHER);
        assert_eq!(all(&mut lanes), ["1: dirty 7 ..3"]);
    }

    #[test]
    fn a_full_lane_counts_signals_and_keeps_barriers_behind_dirty_entries() {
        let signal = |lost, bytes: &'static [u8]| {
            Message::ToEdge(ToEdge::Signal(SignalOut {
                room: RoomId(7),
                frame: Bytes::from_static(bytes),
                is_keyed: false,
                lost,
            }))
        };
        let barrier = crate::lane::Barrier {
            conn: crate::core::ConnId {
                slot: 1,
                generation: 1,
            },
            ticket: crate::lane::Ticket(3),
        };
        let mut lanes = Lanes::new(ME, 2);
        for message in [
            ask(1),
            Message::ToEdge(ToEdge::BarrierPassed(barrier)),
            deliver(7, 2),
            signal(2, b"x"),
            signal(0, b"x"),
            ask(2),
        ] {
            lanes.send(OTHER, message);
        }
        let (_, message) = lanes.poll().unwrap();
        lanes.refused(OTHER, message);
        lanes.opened(OTHER);
        let told: Vec<String> = core::iter::from_fn(|| lanes.poll())
            .map(|(_, message)| match &message {
                Message::ToEdge(ToEdge::BarrierPassed(_)) => "barrier".into(),
                Message::ToEdge(ToEdge::Signal(signal)) => format!("lost {}", signal.lost),
                other => tell(other),
            })
            .collect();
        assert_eq!(told, ["ask 1", "ask 2", "dirty 7 ..2", "lost 4", "barrier"]);
    }
}
