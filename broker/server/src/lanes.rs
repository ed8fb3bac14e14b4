//! Lanes: from every core to every other one bounded first-in-first-out channel.
//!
//! A core never waits for a lane. A message that does not fit goes back to the core's state (`lane_refused`), which keeps
//! it in order; the state is told (`lane_open`) once the lane has room again. How the sender learns of that:
//!
//! 1. The sender finds the lane full. It raises the lane's flag `is_awaited`, fences, and tries once more.
//! 2. The receiver takes messages out, fences, and looks at the flag; if it is up, it takes it down and wakes the sender.
//! 3. Either the second try of step 1 sees the room made in step 2, or step 2 sees the flag. So no full lane is forgotten.
//! 4. The sender, awake, finds the flag down for a lane that it was refused by: the lane is open.
//!
//! Messages to oneself do not come here: the core's state keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::wake::Sleeper;

/// What one core has of all lanes.
#[derive(Debug)]
pub(crate) struct Lanes<T> {
    /// By the core it leads to; `None` for the own place.
    out: Vec<Option<Outward<T>>>,
    /// By the core it comes from.
    into: Vec<Option<Inward<T>>>,
    sleepers: Vec<Arc<Sleeper>>,
    /// Cores to wake at the end of sending: at most one wake per turn and core.
    to_wake: Vec<bool>,
}

#[derive(Debug)]
struct Outward<T> {
    sender: Sender<T>,
    is_awaited: Arc<AtomicBool>,
    /// A message was refused and the opening was not told yet.
    was_refused: bool,
}

#[derive(Debug)]
struct Inward<T> {
    receiver: Receiver<T>,
    is_awaited: Arc<AtomicBool>,
}

impl<T> Lanes<T> {
    /// The ends of all lanes between as many cores as there are sleepers, per core. A lane holds `messages_max`.
    pub(crate) fn between(sleepers: &[Arc<Sleeper>], messages_max: usize) -> Vec<Self> {
        let cores = sleepers.len();
        let mut all: Vec<Self> = (0..cores)
            .map(|_| Self {
                out: (0..cores).map(|_| None).collect(),
                into: (0..cores).map(|_| None).collect(),
                sleepers: sleepers.to_vec(),
                to_wake: vec![false; cores],
            })
            .collect();
        for from in 0..cores {
            for to in (0..cores).filter(|to| *to != from) {
                let (sender, receiver) = bounded(messages_max);
                let is_awaited = Arc::new(AtomicBool::new(false));
                all[to].into[from] = Some(Inward {
                    receiver,
                    is_awaited: Arc::clone(&is_awaited),
                });
                all[from].out[to] = Some(Outward {
                    sender,
                    is_awaited,
                    was_refused: false,
                });
            }
        }
        all
    }

    /// Sends, or gives the message back: then the lane is full and [`Lanes::opened`] will tell when it is not.
    pub(crate) fn send(&mut self, to: u16, message: T) -> Result<(), T> {
        let to = usize::from(to);
        let Some(lane) = self.out[to].as_mut() else {
            panic!("INV-SRV-6: no lane leads from a core to itself");
        };
        match lane.sender.try_send(message) {
            // The other core has ended, so the node is ending: nobody will ask for the answer.
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(message)) => {
                lane.is_awaited.store(true, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                if let Err(refused) = lane.sender.try_send(message) {
                    lane.was_refused = true;
                    return Err(refused.into_inner());
                }
            }
        }
        self.to_wake[to] = true;
        Ok(())
    }

    /// Notes that `core` has something to do that it did not get by a lane.
    pub(crate) fn note_wake(&mut self, core: u16) {
        self.to_wake[usize::from(core)] = true;
    }

    /// Wakes every core that was sent something since the last call, if it sleeps.
    pub(crate) fn wake(&mut self) {
        for (sleeper, to_wake) in self.sleepers.iter().zip(&mut self.to_wake) {
            if std::mem::take(to_wake) {
                sleeper.wake();
            }
        }
    }

    /// Takes up to `messages_max` messages from each lane, in each lane's order, and gives them to `take` with their sender.
    pub(crate) fn receive(&mut self, messages_max: usize, mut take: impl FnMut(u16, T)) {
        for (lane, from) in self.into.iter().zip(0_u16..) {
            let Some(lane) = lane else { continue };
            let mut received = 0;
            while received < messages_max
                && let Ok(message) = lane.receiver.try_recv()
            {
                take(from, message);
                received += 1;
            }
            if received > 0 {
                fence(Ordering::SeqCst);
                if lane.is_awaited.load(Ordering::Relaxed)
                    && lane.is_awaited.swap(false, Ordering::AcqRel)
                {
                    self.sleepers[usize::from(from)].wake();
                }
            }
        }
    }

    /// Whether a message waits to be received, or a lane has opened that [`Lanes::opened`] has not told of.
    pub(crate) fn has_news(&self) -> bool {
        let has_message = self
            .into
            .iter()
            .flatten()
            .any(|lane| !lane.receiver.is_empty());
        has_message || self.out.iter().flatten().any(Outward::has_opened)
    }

    /// A core whose lane was full and has room again; each refusal is told of once.
    pub(crate) fn opened(&mut self) -> Option<u16> {
        let (lane, core) = self.out.iter_mut().zip(0_u16..).find_map(|(lane, core)| {
            lane.as_mut()
                .filter(|lane| lane.has_opened())
                .map(|lane| (lane, core))
        })?;
        lane.was_refused = false;
        Some(core)
    }
}

impl<T> Outward<T> {
    fn has_opened(&self) -> bool {
        self.was_refused && !self.is_awaited.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use mio::{Poll, Token};

    use super::*;

    fn lanes(cores: usize, messages_max: usize) -> (Vec<Poll>, Vec<Lanes<u32>>) {
        let polls: Vec<Poll> = (0..cores).map(|_| Poll::new().expect("a poller")).collect();
        let sleepers: Vec<Arc<Sleeper>> = polls
            .iter()
            .map(|poll| Arc::new(Sleeper::new(poll.registry(), Token(0)).expect("a waker")))
            .collect();
        let lanes = Lanes::between(&sleepers, messages_max);
        (polls, lanes)
    }

    #[test]
    fn messages_keep_their_order_and_a_full_lane_gives_the_message_back() {
        let (_polls, mut lanes) = lanes(2, 3);
        let [first, second] = lanes.as_mut_slice() else {
            unreachable!()
        };
        for number in 0..3 {
            assert_eq!(first.send(1, number), Ok(()));
        }
        assert_eq!(first.send(1, 3), Err(3));
        assert_eq!(first.opened(), None);
        let mut got = Vec::new();
        second.receive(2, |from, number| got.push((from, number)));
        assert_eq!(got, [(0, 0), (0, 1)]);
        assert!(first.has_news());
        assert_eq!((first.opened(), first.opened()), (Some(1), None));
        assert!(second.has_news());
        second.receive(2, |_, number| assert_eq!(number, 2));
        assert!(!second.has_news());
    }

    #[test]
    fn a_refused_sender_that_sleeps_is_woken_when_the_lane_opens() {
        const MESSAGES: u32 = 20_000;
        let (mut polls, mut lanes) = lanes(2, 4);
        let (mut second, mut first) = (lanes.pop().expect("two"), lanes.pop().expect("two"));
        let mut poll = polls.remove(0);
        let receiver = thread::spawn(move || {
            let mut expected = 0;
            while expected < MESSAGES {
                second.receive(3, |_, number| {
                    assert_eq!(number, expected);
                    expected += 1;
                });
            }
        });
        let mut events = mio::Events::with_capacity(2);
        let mut number = 0;
        while number < MESSAGES {
            match first.send(1, number) {
                Ok(()) => number += 1,
                // Without a timeout: a forgotten sender hangs the test.
                Err(_) => {
                    let sleeper = Arc::clone(&first.sleepers[0]);
                    while first.opened().is_none() {
                        if sleeper.may_sleep(|| !first.has_news()) {
                            poll.poll(&mut events, None).expect("a poll");
                            sleeper.awake();
                        }
                    }
                }
            }
        }
        receiver.join().expect("the receiver ends");
    }
}
