//! A run on a thread of its own, while this one draws a bar and listens for Ctrl-C.

use std::sync::OnceLock;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use antiphon_bench::error::BenchError;
use antiphon_bench::progress::Progress;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure;
use crate::failure::Failure;
use crate::interrupt::{Interrupt, NOTICE};

/// Calls `measure` and shows on stderr how far it is. Ctrl-C ends it, and with it the system that it started.
pub(super) fn watch<R: Send>(
    is_quiet: bool,
    what: &str,
    measure: impl FnOnce(&Progress) -> Result<R, BenchError> + Send,
) -> Result<R, Failure> {
    let interrupt = interrupt()?;
    let bar = bar(is_quiet, what);
    let progress = Progress::default();
    let measured = thread::scope(|scope| {
        let (finished, ended) = mpsc::channel::<()>();
        let run = scope.spawn(|| {
            // Dropped with the thread's work, however it ends.
            let _finished = finished;
            measure(&progress)
        });
        while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(NOTICE) {
            if interrupt.is_raised() {
                progress.cancel();
            }
            let look = progress.look();
            bar.set_position((look.share * 1_000.0) as u64);
            bar.set_message(format!("{}, {} events", look.phase.as_str(), look.events));
        }
        run.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    bar.finish_and_clear();
    measured.map_err(|error| failure(&error))
}

/// Both signals are taken over once in the life of the process.
fn interrupt() -> Result<Interrupt, Failure> {
    static TAKEN: OnceLock<Interrupt> = OnceLock::new();
    if let Some(taken) = TAKEN.get() {
        return Ok(taken.clone());
    }
    let taken = Interrupt::install()?;
    Ok(TAKEN.get_or_init(|| taken).clone())
}

fn bar(is_quiet: bool, what: &str) -> ProgressBar {
    let target = if is_quiet {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let bar = ProgressBar::with_draw_target(Some(1_000), target).with_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template("{prefix} {wide_bar} {msg}") {
        bar.set_style(style);
    }
    bar
}
