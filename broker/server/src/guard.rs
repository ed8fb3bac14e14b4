//! What a panic means: the end of the process.
//!
//! A core, log or reader thread that panicked leaves state behind that nobody vouches for, and a core is never started
//! again in a living process. So: say it, and leave at once, with [`exit::PANIC`] and without an END mark. Everything that
//! was acked is on disk; the next start recovers it as after a crash.

use std::any::Any;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, JoinHandle};

use crate::exit;

/// Runs `body` on a new thread; a panic in it ends the process.
pub(crate) fn spawn(
    name: String,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let told = name.clone();
    Builder::new().name(name).spawn(move || {
        // The state behind a panic is never looked at again, so it need not be unwind safe.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(body)) {
            end_of_process(&told, panic.as_ref());
        }
    })
}

fn end_of_process(thread: &str, panic: &(dyn Any + Send)) -> ! {
    let told = message(panic);
    tracing::error!(thread, told, "thread_panicked");
    // Not `eprintln`: it panics itself when nobody holds the other end of stderr any more.
    let _ = writeln!(
        io::stderr(),
        "antiphon: thread {thread} panicked: {told}. This is a bug. Acked records are safe; start again."
    );
    // Not `std::process::exit`: other threads still run, and no handler of theirs may write anything now.
    signal_hook::low_level::exit(i32::from(exit::PANIC))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// Set: be the process that panics.
    const CHILD: &str = "GUARD_TEST_CHILD";

    #[test]
    fn a_panic_on_a_guarded_thread_ends_the_process_with_its_code() {
        if env::var_os(CHILD).is_some() {
            let thread = spawn("core-7".to_owned(), || panic!("on purpose"));
            let ended = thread.expect("a thread").join();
            unreachable!("the process outlived a panic: {ended:?}");
        }
        let output = Command::new(env::current_exe().expect("this binary"))
            .args([
                "guard::tests::a_panic_on_a_guarded_thread_ends_the_process_with_its_code",
                "--exact",
                "--nocapture",
            ])
            .env(CHILD, "1")
            .output()
            .expect("a child process");
        assert_eq!(output.status.code(), Some(i32::from(exit::PANIC)));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(
            told.contains("thread core-7 panicked: on purpose"),
            "{told}"
        );
    }

    #[test]
    fn the_message_of_a_panic_is_found_in_both_of_its_forms() {
        assert_eq!(message(&"plain"), "plain");
        assert_eq!(message(&String::from("formatted")), "formatted");
        assert_eq!(message(&7_u8), "no message");
    }
}
