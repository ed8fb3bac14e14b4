//! Waking a thread that sleeps in a poller, and only then.
//!
//! A wake is a system call on this side and a context switch on the other, 25 us together; a core that runs looks at its
//! queues anyway. So who puts something into a core's queue wakes it only if it sleeps or is about to:
//!
//! 1. The sender pushes into a queue, then fences, then reads the flag.
//! 2. The sleeper sets the flag, then fences, then looks at all its queues once more, then waits.
//! 3. Both fences are sequentially consistent, so one of the two comes first. If the sender's does, the sleeper's look
//!    finds what was pushed and it does not wait. If the sleeper's does, the sender sees the flag and wakes.
//! 4. Of several senders only the one that takes the flag down wakes.
//! 5. A wake that arrives after the sleeper changed its mind (it found something in step 2) makes its next wait return at
//!    once, with nothing to do: harmless.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use mio::{Registry, Token, Waker};

/// One thread's sleep, seen from outside.
#[derive(Debug)]
pub(crate) struct Sleeper {
    sleeping: AtomicBool,
    waker: Waker,
}

impl Sleeper {
    /// The sleep of the thread that waits with `registry`'s poller; a wake appears there as `token`.
    pub(crate) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        Ok(Self {
            sleeping: AtomicBool::new(false),
            waker: Waker::new(registry, token)?,
        })
    }

    /// Wakes the thread if it sleeps. Call it after the push, once for many pushes.
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            // The eventfd of a poller that lives takes every write; one that is gone needs no wake.
            let woken = self.waker.wake();
            debug_assert!(woken.is_ok(), "INV-SRV-1: a living poller takes a wake");
        }
    }

    /// Says that the thread is about to wait, then asks `is_idle` (which looks at every queue) whether it may.
    /// False: do not wait; [`Sleeper::awake`] was called already.
    pub(crate) fn may_sleep(&self, is_idle: impl FnOnce() -> bool) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let may = is_idle();
        if !may {
            self.awake();
        }
        may
    }

    /// Says that the thread runs again.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use crossbeam_channel::bounded;
    use mio::{Events, Poll};

    use super::*;

    const TOKEN: Token = Token(7);

    #[test]
    fn a_running_thread_is_not_woken_and_a_sleeping_one_is_once() {
        let mut poll = Poll::new().expect("a poller");
        let sleeper = Sleeper::new(poll.registry(), TOKEN).expect("a waker");
        let mut events = Events::with_capacity(4);
        let mut wakes = |poll: &mut Poll| {
            poll.poll(&mut events, Some(std::time::Duration::ZERO))
                .expect("a poll");
            events.iter().filter(|event| event.token() == TOKEN).count()
        };
        sleeper.wake();
        assert_eq!(wakes(&mut poll), 0);
        assert!(sleeper.may_sleep(|| true));
        sleeper.wake();
        sleeper.wake();
        assert_eq!(wakes(&mut poll), 1);
        assert!(!sleeper.may_sleep(|| false));
        sleeper.wake();
        assert_eq!(wakes(&mut poll), 0);
    }

    #[test]
    fn no_push_is_slept_through() {
        const PUSHES: u32 = 20_000;
        let mut poll = Poll::new().expect("a poller");
        let sleeper = Arc::new(Sleeper::new(poll.registry(), TOKEN).expect("a waker"));
        let (sender, receiver) = bounded(64);
        let pusher = {
            let sleeper = Arc::clone(&sleeper);
            thread::spawn(move || {
                for number in 0..PUSHES {
                    sender.send(number).expect("a receiver");
                    sleeper.wake();
                }
            })
        };
        let mut events = Events::with_capacity(4);
        let mut taken = 0;
        // Without a timeout: a lost wake hangs the test.
        while taken < PUSHES {
            if sleeper.may_sleep(|| receiver.is_empty()) {
                poll.poll(&mut events, None).expect("a poll");
                sleeper.awake();
            }
            while let Ok(number) = receiver.try_recv() {
                assert_eq!(number, taken);
                taken += 1;
            }
        }
        pusher.join().expect("the pusher ends");
    }
}
