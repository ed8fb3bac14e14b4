//! A raised priority for the log thread: every ack of the node waits for it, and it works little. A lower one for the scrub thread: nobody waits for it.

use rustix::process::setpriority_process;

/// On the scale of -20 (first) to 19.
const LOG_THREAD_NICE: i32 = -10;

/// Raises the calling thread's priority where that is permitted; else it stays as it is.
pub(crate) fn raise_for_log() {
    // On Linux a "process" of this call is a thread, and none named is the calling one.
    match setpriority_process(None, LOG_THREAD_NICE) {
        Ok(()) => tracing::debug!(nice = LOG_THREAD_NICE, "log_priority_raised"),
        Err(error) => tracing::debug!(%error, "log_priority_not_raised"),
    }
}

/// On the same scale.
const SCRUB_THREAD_NICE: i32 = 15;

/// Lowers the calling thread's priority.
pub(crate) fn lower_for_scrub() {
    if let Err(error) = setpriority_process(None, SCRUB_THREAD_NICE) {
        tracing::debug!(%error, "scrub_priority_not_lowered");
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_that_asks_is_raised() {
        let before = getpriority_process(None).unwrap();
        let raised = thread::spawn(|| {
            raise_for_log();
            getpriority_process(None).unwrap()
        });
        let raised = raised.join().unwrap();
        assert!(
            raised == LOG_THREAD_NICE || raised == before,
            "{raised}: neither raised nor left alone"
        );
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
