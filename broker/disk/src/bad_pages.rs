//! Bad pages: what a read error under a map leaves behind for the next start.
//!
//! A read error under a map is a signal, not an error value: the process cannot go on. Before it ends it writes segment
//! and page into the file `bad-pages`, one line of text each. A read error that recovery meets is noted here, too. A
//! segment named here is never mapped, but copied by positioned reads, and a page that cannot be read is damage like
//! any other. So one bad sector costs its range, not a crash at every start.
//!
//! ```text
//!  0000002a 00000f3c\n        segment and page (of 4,096 bytes) in hex; the same page may stand there twice
//! ```
//!
//! The file stays: removing it, after the disk was replaced, is the operator's decision.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use antiphon_log::SegmentId;

/// Name of the file in the data directory.
pub const BAD_PAGES_NAME: &str = "bad-pages";
/// Size of a page as counted in the file, in bytes; a system with larger pages reports the first one of them.
pub const PAGE_BYTES: u64 = 4_096;
/// Length of one line.
pub(crate) const LINE_BYTES: usize = 18;
/// Longest file that is read, in bytes: 65,536 lines.
const FILE_BYTES_MAX: u64 = 65_536 * LINE_BYTES as u64;

/// The bad pages of one data directory. Clones share what is known.
#[derive(Clone, Debug)]
pub struct BadPages {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    known: RwLock<Pages>,
    /// Open for appending: a signal handler can write, but not open.
    note: Arc<File>,
}

type Pages = BTreeSet<(SegmentId, u32)>;

impl BadPages {
    /// Reads the file in `directory` and keeps it open; makes it if it is missing.
    ///
    /// # Errors
    /// As the system says. Lines that are no lines are passed over: a crash may have torn one.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        let path = directory.join(BAD_PAGES_NAME);
        let note = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        let mut text = Vec::new();
        (&note).take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        let shared = Shared {
            known: RwLock::new(parse(&text)),
            note: Arc::new(note),
        };
        Ok(BadPages {
            shared: Arc::new(shared),
        })
    }

    /// Pages known, by segment.
    #[must_use]
    pub fn pages(&self) -> Vec<(SegmentId, u32)> {
        self.known().iter().copied().collect()
    }

    /// Whether a page of this segment is known to be bad.
    #[must_use]
    pub fn concerns(&self, segment: SegmentId) -> bool {
        self.known()
            .range((segment, 0)..=(segment, u32::MAX))
            .next()
            .is_some()
    }

    /// Notes a page, in memory and, as well as it goes, in the file: without the file, the next start finds it again.
    pub(crate) fn add(&self, segment: SegmentId, page: u32) {
        let mut known = self
            .shared
            .known
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.insert((segment, page)) {
            let _ = (&*self.shared.note).write_all(&line(segment.0, page));
        }
    }

    /// The file, for the signal handler.
    pub(crate) fn note(&self) -> &Arc<File> {
        &self.shared.note
    }

    fn known(&self) -> RwLockReadGuard<'_, Pages> {
        self.shared
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &[u8]) -> Pages {
    text.split(|byte| *byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

fn parse_line(line: &[u8]) -> Option<(SegmentId, u32)> {
    let line = std::str::from_utf8(line).ok()?;
    let (segment, page) = line.split_once(' ')?;
    if segment.len() != 8 || page.len() != 8 {
        return None;
    }
    let segment = u32::from_str_radix(segment, 16).ok()?;
    Some((SegmentId(segment), u32::from_str_radix(page, 16).ok()?))
}

/// One line of the file. Called from a signal handler: no allocation, no formatting, no panic.
pub(crate) fn line(segment: u32, page: u32) -> [u8; LINE_BYTES] {
    let mut line = [b' '; LINE_BYTES];
    for (place, digit) in line.iter_mut().zip(0..8) {
        *place = hex_digit(segment >> (28 - 4 * digit));
    }
    for (place, digit) in line.iter_mut().skip(9).zip(0..8) {
        *place = hex_digit(page >> (28 - 4 * digit));
    }
    line[LINE_BYTES - 1] = b'\n';
    line
}

fn hex_digit(value: u32) -> u8 {
    match (value & 0xf) as u8 {
        digit @ 0..=9 => b'0' + digit,
        letter => b'a' + (letter - 10),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use antiphon_log::SegmentId;

    use super::{line, parse};

    #[test]
    fn a_line_is_read_as_it_was_written() {
        assert_eq!(&line(0x2a, 0xf3c), b"0000002a 00000f3c\n");
        assert_eq!(
            parse(&line(u32::MAX, 9)),
            BTreeSet::from([(SegmentId(u32::MAX), 9)])
        );
    }

    #[test]
    fn torn_and_foreign_lines_are_passed_over() {
        let text = b"0000002a 00000f3c\n0000002b 0000\nzzzzzzzz 00000000\n\xff\xfe\n00000001 00000002\n0000";
        let expected = BTreeSet::from([(SegmentId(0x2a), 0xf3c), (SegmentId(1), 2)]);
        assert_eq!(parse(text), expected);
    }
}
