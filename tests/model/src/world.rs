//! What the modelled files import: loom's atomics, and queues and a poller that promise no more than the real ones document.
//!
//! A model is only worth what its world does not promise. So the queues here order a push before the pop that takes it and nothing else: asking whether one
//! is empty may be answered from the past, and leaves no trace that others could see.

/// `std::sync::atomic`.
pub(crate) mod atomic {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// A flag whose stores have one order.
    ///
    /// Loom leaves the stores of two threads unordered, even where one of them is a swap and read what the other one came after: then a third thread
    /// reads a flag that no machine would show it. Here a store is a swap whose answer nobody looks at; it acquires no more than the store would.
    #[derive(Debug)]
    pub(crate) struct AtomicBool(loom::sync::atomic::AtomicBool);

    impl AtomicBool {
        pub(crate) fn new(value: bool) -> AtomicBool {
            AtomicBool(loom::sync::atomic::AtomicBool::new(value))
        }

        pub(crate) fn load(&self, order: Ordering) -> bool {
            self.0.load(order)
        }

        pub(crate) fn store(&self, value: bool, order: Ordering) {
            self.0.swap(value, order);
        }

        pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
            self.0.swap(value, order)
        }
    }
}

/// `mio`, of which only the waker is used.
pub(crate) mod mio {
    use std::io;
    use std::sync::Arc;

    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::sync::{Condvar, Mutex};

    /// A poller as a sleeper and its wakers share it.
    #[derive(Clone, Debug)]
    pub(crate) struct Registry(Arc<Shared>);

    #[derive(Debug)]
    struct Shared {
        is_woken: Mutex<bool>,
        woken: Condvar,
        wakes: AtomicUsize,
    }

    impl Registry {
        pub(crate) fn new() -> Registry {
            Registry(Arc::new(Shared {
                is_woken: Mutex::new(false),
                woken: Condvar::new(),
                wakes: AtomicUsize::new(0),
            }))
        }

        /// Waits for a wake; one that came before counts.
        pub(crate) fn wait(&self) {
            let mut is_woken = self.0.is_woken.lock().expect("no panic holds it");
            while !*is_woken {
                is_woken = self.0.woken.wait(is_woken).expect("no panic holds it");
            }
            *is_woken = false;
        }

        /// How often somebody woke.
        pub(crate) fn wakes(&self) -> usize {
            self.0.wakes.load(Ordering::Relaxed)
        }
    }

    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Token;

    #[derive(Debug)]
    pub(crate) struct Waker(Registry);

    impl Waker {
        #[allow(clippy::unnecessary_wraps, reason = "as in mio")]
        pub(crate) fn new(registry: &Registry, _token: Token) -> io::Result<Waker> {
            Ok(Waker(registry.clone()))
        }

        #[allow(clippy::unnecessary_wraps, reason = "as in mio")]
        pub(crate) fn wake(&self) -> io::Result<()> {
            self.0.0.wakes.fetch_add(1, Ordering::Relaxed);
            *self.0.0.is_woken.lock().expect("no panic holds it") = true;
            self.0.0.woken.notify_one();
            Ok(())
        }
    }
}

/// A queue whose items are out of loom's sight, and whose count is not.
mod weak {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use loom::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(super) struct Queue<T> {
        /// Never contended: loom runs one thread at a time.
        items: Mutex<VecDeque<T>>,
        count: AtomicUsize,
    }

    impl<T> Queue<T> {
        pub(super) fn new() -> Queue<T> {
            Queue {
                items: Mutex::new(VecDeque::new()),
                count: AtomicUsize::new(0),
            }
        }

        pub(super) fn push(&self, item: T) {
            self.items
                .lock()
                .expect("no panic holds it")
                .push_back(item);
            self.count.fetch_add(1, Ordering::Release);
        }

        pub(super) fn pop(&self) -> Option<T> {
            let is_there = self
                .count
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                    count.checked_sub(1)
                });
            is_there.ok()?;
            let item = self.items.lock().expect("no panic holds it").pop_front();
            Some(item.expect("an item was counted"))
        }

        /// Maybe of a while ago.
        pub(super) fn len(&self) -> usize {
            self.count.load(Ordering::Relaxed)
        }
    }
}

/// `crossbeam_queue`.
pub(crate) mod crossbeam_queue {
    use super::weak::Queue;

    #[derive(Debug)]
    pub(crate) struct SegQueue<T>(Queue<T>);

    impl<T> SegQueue<T> {
        pub(crate) fn new() -> SegQueue<T> {
            SegQueue(Queue::new())
        }

        pub(crate) fn push(&self, item: T) {
            self.0.push(item);
        }

        pub(crate) fn pop(&self) -> Option<T> {
            self.0.pop()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.len() == 0
        }
    }
}

/// `crossbeam_channel`; no end of a channel is dropped before the other.
pub(crate) mod crossbeam_channel {
    use std::sync::Arc;

    use super::weak::Queue;

    #[derive(Debug)]
    pub(crate) struct Sender<T> {
        queue: Arc<Queue<T>>,
        max: usize,
    }

    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Queue<T>>);

    #[derive(Debug, Eq, PartialEq)]
    pub(crate) enum TrySendError<T> {
        Full(T),
        #[allow(dead_code, reason = "matched by what is modelled")]
        Disconnected(T),
    }

    #[derive(Debug)]
    pub(crate) struct Empty;

    pub(crate) fn bounded<T>(max: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Arc::new(Queue::new());
        let sender = Sender {
            queue: Arc::clone(&queue),
            max,
        };
        (sender, Receiver(queue))
    }

    impl<T> Sender<T> {
        /// For one sender.
        pub(crate) fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
            if self.queue.len() >= self.max {
                return Err(TrySendError::Full(item));
            }
            self.queue.push(item);
            Ok(())
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Result<T, Empty> {
            self.0.pop().ok_or(Empty)
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.0.len() == 0
        }
    }

    impl<T> TrySendError<T> {
        pub(crate) fn into_inner(self) -> T {
            match self {
                TrySendError::Full(item) | TrySendError::Disconnected(item) => item,
            }
        }
    }
}
