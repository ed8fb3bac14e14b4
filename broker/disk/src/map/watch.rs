//! What happens when the medium fails under a map.
//!
//! The kernel answers a read error under a map with SIGBUS on the thread that touched the page. That thread can't go
//! on, so the handler writes segment and page into `bad-pages` (see there), says so on stderr and ends the process.
//! A SIGBUS anywhere else is none of ours and ends the process as if there were no handler.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use antiphon_log::SegmentId;
use libc::{SIGBUS, siginfo_t};
use signal_hook::low_level;

use crate::bad_pages::{PAGE_BYTES, line};

/// Exit status of a process that met a read error under a map (`EX_IOERR`).
pub const SIGBUS_EXIT_STATUS: i32 = 74;
/// Segments that may be mapped at the same time in one process. The cache holds far fewer.
pub(super) const WATCHED_MAX: usize = 1_024;

const MESSAGE: &[u8] = b"antiphon: a page of the log cannot be read; it is noted in bad-pages and \
the next start treats it as damage. Check the disk. Segment and page: ";

/// One mapped range, as a signal handler can read it: no lock, no pointer to free.
#[derive(Debug)]
struct Place {
    /// Start address; 0: free; `CLAIMED` while it is being filled.
    start: AtomicUsize,
    /// Length in bytes.
    len: AtomicUsize,
    segment: AtomicU32,
    /// Descriptor of `bad-pages`.
    file: AtomicI32,
}

/// Start of a place that is being filled: no address, because maps are aligned to pages.
const CLAIMED: usize = 1;

static PLACES: [Place; WATCHED_MAX] = [const {
    Place {
        start: AtomicUsize::new(0),
        len: AtomicUsize::new(0),
        segment: AtomicU32::new(0),
        file: AtomicI32::new(-1),
    }
}; WATCHED_MAX];

/// A mapped range that the handler knows, until this is dropped.
#[derive(Debug)]
pub(super) struct Watched {
    place: &'static Place,
    /// Keeps the descriptor in the place open.
    _file: Arc<File>,
}

impl Watched {
    /// Tells the handler of a range; `None` if all places are taken.
    pub(super) fn new(
        start: usize,
        len: usize,
        segment: SegmentId,
        file: &Arc<File>,
    ) -> Option<Self> {
        let claim = |place: &&Place| {
            place
                .start
                .compare_exchange(0, CLAIMED, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        let place = PLACES.iter().find(claim)?;
        place.len.store(len, Ordering::Relaxed);
        place.segment.store(segment.0, Ordering::Relaxed);
        place.file.store(file.as_raw_fd(), Ordering::Relaxed);
        place.start.store(start, Ordering::Release);
        Some(Watched {
            place,
            _file: Arc::clone(file),
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.place.start.store(0, Ordering::Release);
    }
}

/// Installs the handler, once per process; later calls do nothing.
///
/// # Errors
/// As the system says, on the first call.
pub(crate) fn watch_reads() -> io::Result<()> {
    static ONCE: Once = Once::new();
    let mut installed = Ok(());
    ONCE.call_once(|| {
        let action = |info: &siginfo_t| {
            // SAFETY: the field is set for SIGBUS; it is used as a number and never dereferenced.
            let address = unsafe { info.si_addr() } as usize;
            on_sigbus(address);
        };
        // SAFETY: the action keeps the duties of a signal handler. It reads atomics, formats into the stack without
        // the formatter, calls write and fdatasync, which are async-signal-safe, and ends the process; it allocates
        // nothing, takes no lock and does not panic.
        let registered = unsafe { signal_hook_registry::register_sigaction(SIGBUS, action) };
        installed = registered.map(|_| ());
    });
    installed
}

/// Runs in the signal handler.
fn on_sigbus(address: usize) {
    let Some((place, offset)) = PLACES
        .iter()
        .find_map(|place| Some((place, place.offset_of(address)?)))
    else {
        let _ = low_level::emulate_default_handler(SIGBUS);
        return;
    };
    let page = u32::try_from(offset as u64 / PAGE_BYTES).unwrap_or(u32::MAX);
    let line = line(place.segment.load(Ordering::Relaxed), page);
    // SAFETY: the descriptor is open: the faulting thread reads through a `SegmentMap`, which holds the `Watched` that
    // holds the file. It is borrowed only within this function.
    let file = unsafe { BorrowedFd::borrow_raw(place.file.load(Ordering::Relaxed)) };
    let _ = rustix::io::write(file, &line);
    let _ = rustix::fs::fdatasync(file);
    // SAFETY: descriptor 2 is borrowed only within this function; if it is closed the write fails, which is all.
    let stderr = unsafe { BorrowedFd::borrow_raw(2) };
    let _ = rustix::io::write(stderr, MESSAGE);
    let _ = rustix::io::write(stderr, &line);
    low_level::exit(SIGBUS_EXIT_STATUS);
}

impl Place {
    /// How far into this range `address` lies.
    ///
    /// A place can change hands while the handler looks at it, but not the one of the faulting thread. The worst that a
    /// mixed view of another place does is a line for a page that is fine, which the next start finds out.
    fn offset_of(&self, address: usize) -> Option<usize> {
        let start = self.start.load(Ordering::Acquire);
        let offset = address.checked_sub(start)?;
        (start > CLAIMED && offset < self.len.load(Ordering::Relaxed)).then_some(offset)
    }
}
