//! Ctrl-C (SIGINT) and SIGTERM, asked for and not suffered: the command notices between two steps and ends cleanly.
//!
//! A second signal ends the process at once, for the case that the first one is not noticed soon enough.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Exit, Failure};

/// Longest time that a command waits for anything before it looks at the flag again.
pub(crate) const NOTICE: Duration = Duration::from_millis(100);

/// Set by the first SIGINT or SIGTERM.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes over both signals for this process.
    pub(crate) fn install() -> Result<Self, Failure> {
        let raised = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // 1. The shutdown is registered first, so that it sees the flag as the signal *before* this one left it.
            // 2. Then the flag is set: the first signal sets it, the second finds it set and ends the process.
            let shutdown = i32::from(Exit::Interrupted.number());
            flag::register_conditional_shutdown(signal, shutdown, Arc::clone(&raised))
                .and_then(|_| flag::register(signal, Arc::clone(&raised)))
                .map_err(|error| {
                    Failure::failed(format_args!("cannot watch signal {signal}: {error}"))
                        .next("see whether a limit of this user is reached: `ulimit -a`")
                })?;
        }
        Ok(Self(raised))
    }

    /// One that nobody raises.
    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the command if the user asked for it.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.is_raised() {
            Err(Failure::interrupted())
        } else {
            Ok(())
        }
    }
}
