//! SIGTERM and SIGINT: the first asks to stop, the second does not ask.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::{Handle, Signals};

use crate::exit;
use crate::guard;

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
            for (earlier, signal) in signals.forever().enumerate() {
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

impl Drop for SignalWatch {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked: the guard would have ended the process.
            let _ = thread.join();
        }
    }
}
