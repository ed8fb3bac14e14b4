//! SIGTERM and SIGINT: the first asks to stop, the second does not ask.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::exit;
use crate::guard;
use crate::limits::SIGNAL_ECHO;

/// A write beyond the limit of file sizes (`ulimit -f`). Not in signal-hook's list; the number is the same on all Linux.
const SIGXFSZ: i32 = 25;

/// Watches for both signals until dropped.
#[derive(Debug)]
pub(crate) struct SignalWatch {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

/// The signal that asked to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) signal: i32,
}

impl SignalWatch {
    /// Sends the first signal to `asked`; the second ends the process at once, with [`exit::AT_ONCE`].
    ///
    /// That is safe: it is what a crash does, and what was acked is on disk. There is no END mark, so the next start looks
    /// for the log's end.
    pub(crate) fn start(asked: Sender<Asked>) -> io::Result<Self> {
        // Handled, and not looked at: the write then fails with an error that says what happened, instead of killing us.
        flag::register(SIGXFSZ, Arc::default())?;
        let mut signals = Signals::new([SIGTERM, SIGINT])?;
        let handle = signals.handle();
        let thread = guard::spawn("signals".to_owned(), move || {
            let mut requests = Requests::default();
            for signal in signals.forever() {
                let earlier = requests.earlier;
                if !requests.counts(signal, Instant::now()) {
                    continue;
                }
                if earlier > 0 {
                    tracing::warn!(signal, "stopped_at_once");
                    signal_hook::low_level::exit(i32::from(exit::AT_ONCE));
                }
                // Nobody listens any more: the node is ending anyway.
                let _ = asked.try_send(Asked { signal });
            }
        })?;
        Ok(Self {
            handle,
            thread: Some(thread),
        })
    }
}

/// What was asked so far. A supervisor that signals both a process and its group sends one request twice.
#[derive(Debug, Default)]
struct Requests {
    /// Requests that counted.
    earlier: u32,
    last: Option<(i32, Instant)>,
}

impl Requests {
    /// Whether this signal is a request of its own, and not the echo of the one before.
    fn counts(&mut self, signal: i32, now: Instant) -> bool {
        let is_echo = self.last.is_some_and(|(last, at)| {
            last == signal && now.saturating_duration_since(at) < SIGNAL_ECHO
        });
        if !is_echo {
            self.last = Some((signal, now));
            self.earlier += 1;
        }
        !is_echo
    }
}

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: the guard would have ended the process.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_echo_of_a_signal_is_no_second_request() {
        let begin = Instant::now();
        let mut requests = Requests::default();
        assert!(requests.counts(SIGTERM, begin));
        assert!(!requests.counts(SIGTERM, begin + SIGNAL_ECHO / 2));
        assert!(requests.counts(SIGTERM, begin + SIGNAL_ECHO));
        assert_eq!(requests.earlier, 2);
    }

    #[test]
    fn another_signal_is_a_request_at_once() {
        let begin = Instant::now();
        let mut requests = Requests::default();
        assert!(requests.counts(SIGINT, begin));
        assert!(requests.counts(SIGTERM, begin));
    }
}
