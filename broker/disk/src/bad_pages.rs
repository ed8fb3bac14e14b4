//! Bad pages: what a read error under a map leaves behind for the next start.
//!
//! A read error under a map is a signal, not an error value: the process cannot go on. Before it ends it writes segment
//! and page into the file `bad-pages`, one line of text each. From the next start on, these segments are never mapped
//! again and their pages are read by positioned reads; what still cannot be read is zeros, which the log finds to be
//! damage. So one bad sector costs its range, not a crash at every start.
//!
//! ```text
//!  0000002a 00000f3c\n        segment and page (of 4,096 bytes) in hex; the same page may stand there twice
//! ```
//!
//! The file stays: removing it, after the disk was replaced, is the operator's decision.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use antiphon_log::SegmentId;

use crate::names::segment_of_name;

/// Name of the file in the data directory.
pub const BAD_PAGES_NAME: &str = "bad-pages";
/// Size of a page as counted in the file, in bytes; a system with larger pages reports the first one of them.
pub const PAGE_BYTES: u64 = 4_096;
/// Length of one line.
pub(crate) const LINE_BYTES: usize = 18;
/// Longest file that is read, in bytes: 65,536 lines.
const FILE_BYTES_MAX: u64 = 65_536 * LINE_BYTES as u64;

/// The bad pages known of one data directory.
#[derive(Clone, Debug, Default)]
pub struct BadPages {
    known: Arc<BTreeSet<(SegmentId, u32)>>,
}

impl BadPages {
    /// Reads the file in `directory`; none if there is no file.
    ///
    /// # Errors
    /// As the system says. Lines that are no lines are passed over: a crash may have torn one.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let file = match File::open(directory.join(BAD_PAGES_NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BadPages::default()),
            other => other?,
        };
        let mut text = Vec::new();
        file.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
        Ok(BadPages {
            known: Arc::new(parse(&text)),
        })
    }

    /// Opens the file for appending, makes it if it is missing: a signal handler can write, but not open.
    pub(crate) fn open_note(directory: &Path) -> io::Result<Arc<File>> {
        let path = directory.join(BAD_PAGES_NAME);
        Ok(Arc::new(
            OpenOptions::new().append(true).create(true).open(path)?,
        ))
    }

    /// Pages known, by segment.
    pub fn pages(&self) -> impl Iterator<Item = (SegmentId, u32)> + '_ {
        self.known.iter().copied()
    }

    /// Whether a page of this segment is known to be bad.
    #[must_use]
    pub fn concerns_segment(&self, segment: SegmentId) -> bool {
        self.known
            .range((segment, 0)..=(segment, u32::MAX))
            .next()
            .is_some()
    }

    /// Whether a page of the file with this name is known to be bad.
    pub(crate) fn concerns(&self, name: &str) -> bool {
        !self.known.is_empty()
            && segment_of(name).is_some_and(|segment| self.concerns_segment(segment))
    }

    /// Whether this page of the file with this name is known to be bad.
    pub(crate) fn holds(&self, name: &str, page: u64) -> bool {
        match (segment_of(name), u32::try_from(page)) {
            (Some(segment), Ok(page)) => self.known.contains(&(segment, page)),
            _ => false,
        }
    }
}

/// The segment whose file has this name.
fn segment_of(name: &str) -> Option<SegmentId> {
    segment_of_name(name.strip_prefix("log/")?)
}

fn parse(text: &[u8]) -> BTreeSet<(SegmentId, u32)> {
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
