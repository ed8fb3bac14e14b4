//! Many messages on their way, and whichever receipt comes first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::error::PublishError;
use crate::message::Receipt;
use crate::pending::Pending;

/// Messages on their way, of any clients, each with a key of the application; yields each as its receipt comes.
///
/// Waiting costs nothing per message: a receipt that comes wakes the one thread that waits. Dropping it does not take the
/// messages back.
///
/// ```
/// # use antiphon_testing::TestBroker;
/// # let broker = TestBroker::start();
/// use antiphon_client::Receipts;
///
/// let (ann, bob) = (broker.client("ann"), broker.client("bob"));
/// let mut receipts = Receipts::new();
/// receipts.add("from ann", ann.publish_pipelined("lobby", "hello")?);
/// receipts.add("from bob", bob.publish_pipelined("lobby", "hello, ann")?);
/// while let Some((key, receipt)) = receipts.next() {
///     println!("{key}: durable as {}", receipt?.seq);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Receipts<K> {
    flying: BTreeMap<u64, (K, Pending)>,
    /// By the end of each one's publish deadline.
    deadlines: BTreeSet<(Instant, u64)>,
    last: u64,
    arrived: Arc<Arrived>,
}

/// Numbers of messages whose receipt has come, each at most once.
#[derive(Debug, Default)]
struct Arrived {
    numbers: Mutex<VecDeque<u64>>,
    changed: Condvar,
}

/// Puts one number there.
struct Arrival {
    number: u64,
    arrived: Arc<Arrived>,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.arrived.numbers.lock().push_back(self.number);
        self.arrived.changed.notify_one();
    }
}

impl<K> Receipts<K> {
    /// None on their way.
    #[must_use]
    pub fn new() -> Receipts<K> {
        Receipts {
            flying: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last: 0,
            arrived: Arc::default(),
        }
    }

    /// One more message to wait for. It is bounded as its client is: by the places of its outbox.
    pub fn add(&mut self, key: K, pending: Pending) {
        self.last += 1;
        let number = self.last;
        self.deadlines.insert((pending.0.deadline(), number));
        let arrival = Arrival {
            number,
            arrived: Arc::clone(&self.arrived),
        };
        pending.0.wake_when_known(Waker::from(Arc::new(arrival)));
        self.flying.insert(number, (key, pending));
    }

    /// How many have not been yielded yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flying.len()
    }

    /// All have been yielded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    /// Waits at most `timeout` for a receipt; `None`: none came, or there is none to come.
    ///
    /// A message whose publish deadline passes is yielded, too: as [`PublishError::Timeout`] if it was never sent, as
    /// [`PublishError::Unknown`] if it was.
    pub fn next_timeout(
        &mut self,
        timeout: Duration,
    ) -> Option<(K, Result<Receipt, PublishError>)> {
        self.next_until(Some(Instant::now() + timeout))
    }

    /// The next receipt that is there already.
    pub fn try_next(&mut self) -> Option<(K, Result<Receipt, PublishError>)> {
        loop {
            let number = self.arrived.numbers.lock().pop_front()?;
            // One that was yielded at its deadline may have arrived since.
            if self.flying.contains_key(&number) {
                return self.take(number);
            }
        }
    }

    fn next_until(&mut self, until: Option<Instant>) -> Option<(K, Result<Receipt, PublishError>)> {
        let (deadline, oldest) = *self.deadlines.first()?;
        let wait_end = until.map_or(deadline, |until| until.min(deadline));
        loop {
            match self.arrived.wait_until(wait_end) {
                Some(number) if !self.flying.contains_key(&number) => {}
                Some(number) => return self.take(number),
                // Nothing came, and the oldest one's own time is over: it answers for itself.
                None if wait_end == deadline => return self.take(oldest),
                None => return None,
            }
        }
    }

    fn take(&mut self, number: u64) -> Option<(K, Result<Receipt, PublishError>)> {
        let (key, pending) = self.flying.remove(&number)?;
        self.deadlines.remove(&(pending.0.deadline(), number));
        Some((key, pending.wait()))
    }
}

impl<K> Iterator for Receipts<K> {
    type Item = (K, Result<Receipt, PublishError>);

    /// Waits for the next receipt; ends when all have been yielded.
    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(None)
    }
}

impl<K> Default for Receipts<K> {
    fn default() -> Receipts<K> {
        Receipts::new()
    }
}

impl Arrived {
    fn wait_until(&self, deadline: Instant) -> Option<u64> {
        let mut numbers = self.numbers.lock();
        while numbers.is_empty() {
            if self.changed.wait_until(&mut numbers, deadline).timed_out() {
                break;
            }
        }
        numbers.pop_front()
    }
}
