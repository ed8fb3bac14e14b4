//! Where the last panic of this thread was: a world's failure needs its place, and nothing on the terminal.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<String> = const { RefCell::new(String::new()) };
    static IN_WORLD: Cell<bool> = const { Cell::new(false) };
}

static HOOK: Once = Once::new();

/// Runs `call`, whose panics are remembered and not printed.
pub(crate) fn quietly<T>(call: impl FnOnce() -> T) -> T {
    IN_WORLD.set(true);
    let outcome = call();
    IN_WORLD.set(false);
    outcome
}

/// From now on the panics of worlds are remembered.
pub(crate) fn remember() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IN_WORLD.get() {
                before(info);
                return;
            }
            let place = info.location().map_or_else(String::new, |place| {
                format!("{}:{}", place.file(), place.line())
            });
            LAST.with(|last| *last.borrow_mut() = place);
        }));
    });
}

/// The place of this thread's last panic.
pub(crate) fn last_place() -> String {
    LAST.with(|last| last.borrow().clone())
}
