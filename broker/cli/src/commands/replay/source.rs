//! The file that is replayed: NDJSON, plain or gzip, read twice.
//!
//! The first reading, the *survey*, checks every line before the first one is published, counts them for the progress bar, and takes
//! the file's extent, by which a later run knows that it has the same file before it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use antiphon_protocol::{RoomName, UserName};
use flate2::Crc;
use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};

use crate::chat_line::ChatLine;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::limits::LINE_BYTES_MAX;

/// How far a file reaches, and what stands in it up to there (decompressed). A file that has only grown keeps its old extent as a prefix.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Extent {
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
}

/// What the first reading found.
#[derive(Debug)]
pub(crate) struct Survey {
    pub(crate) lines: u64,
    pub(crate) extent: Extent,
    /// `false`: the file does not begin with what `known` described.
    pub(crate) begins_as_known: bool,
}

/// Reads the whole file once, checks each line, and compares it with the extent that an earlier run knew.
pub(crate) fn survey(
    path: &Path,
    known: Option<Extent>,
    interrupt: &Interrupt,
) -> Result<Survey, Failure> {
    let mut lines = Lines::open(path)?;
    let mut crc = Crc::new();
    let mut bytes = 0;
    let mut begins_as_known = known.is_none_or(|known| known.bytes == 0);
    let mut count = 0;
    while let Some(line) = lines.next_line()? {
        // The old end of a file that has grown may lie within a line that had no newline yet.
        let old_end = known.and_then(|known| usize::try_from(known.bytes.checked_sub(bytes)?).ok());
        let (old, new) = line
            .raw
            .split_at_checked(old_end.unwrap_or(0))
            .unwrap_or((line.raw, &[]));
        crc.update(old);
        begins_as_known |= known
            == Some(Extent {
                bytes: bytes + old.len() as u64,
                crc32: crc.sum(),
            });
        crc.update(new);
        bytes += line.raw.len() as u64;
        if line.chat.is_some() {
            count += 1;
        }
        interrupt.check()?;
    }
    Ok(Survey {
        lines: count,
        extent: Extent {
            bytes,
            crc32: crc.sum(),
        },
        begins_as_known,
    })
}

/// The lines of the file, one after the other.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    /// It is a gzip file.
    is_packed: bool,
    number: u64,
    raw: Vec<u8>,
}

/// One line: its bytes with the newline, and what it says; `None` for an empty line.
pub(crate) struct Line<'a> {
    raw: &'a [u8],
    pub(crate) chat: Option<ChatLine>,
}

impl Lines {
    /// Opens the file; gzip is known by its first two bytes, whatever the name.
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        let (reader, is_packed) = open_decoded(path).map_err(|error| {
            Failure::usage(format_args!("cannot read {}: {error}", path.display()))
                .next("give an NDJSON file with the fields at, room, user, text; .gz is fine")
        })?;
        Ok(Self {
            path: path.to_owned(),
            reader,
            is_packed,
            number: 0,
            raw: Vec::new(),
        })
    }

    /// The next line, or `None` at the end of the file.
    pub(crate) fn next_line(&mut self) -> Result<Option<Line<'_>>, Failure> {
        self.raw.clear();
        let bytes_max = LINE_BYTES_MAX as u64;
        let read = self
            .reader
            .by_ref()
            .take(bytes_max)
            .read_until(b'\n', &mut self.raw);
        let read = read.map_err(|error| self.unreadable(&error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if read == LINE_BYTES_MAX && !self.raw.ends_with(b"\n") {
            return Err(self.broken(format_args!("is longer than {LINE_BYTES_MAX} bytes")));
        }
        let text = self.raw.trim_ascii();
        let chat = if text.is_empty() {
            None
        } else {
            Some(self.parse(text)?)
        };
        Ok(Some(Line {
            raw: &self.raw,
            chat,
        }))
    }

    fn parse(&self, text: &[u8]) -> Result<ChatLine, Failure> {
        let chat: ChatLine = serde_json::from_slice(text).map_err(|error| self.broken(error))?;
        RoomName::try_from(chat.room.as_bytes())
            .map_err(|error| self.broken(format_args!("room: {error}")))?;
        UserName::try_from(chat.user.as_bytes())
            .map_err(|error| self.broken(format_args!("user: {error}")))?;
        Ok(chat)
    }

    /// Bytes do not come: of a plain file the disk is to blame, of a gzip file mostly whoever copied it.
    fn unreadable(&self, error: &io::Error) -> Failure {
        let (path, number) = (self.path.display(), self.number + 1);
        if self.is_packed {
            return Failure::usage(format_args!(
                "{path} is cut off or damaged within line {number}: {error}"
            ))
            .next(format_args!(
                "fetch it again: `gzip -t {path}` tells whether it is whole. Nothing was published from it in this run"
            ));
        }
        Failure::failed(format_args!("{path} line {number} cannot be read: {error}"))
            .next("see whether the disk is well (`dmesg`)")
    }

    fn broken(&self, why: impl std::fmt::Display) -> Failure {
        Failure::usage(format_args!("{} line {}: {why}", self.path.display(), self.number.max(1)))
            .next("each line is one object: {\"at\":\"2018-04-10T18:02:17Z\",\"room\":...,\"user\":...,\"text\":...}")
    }
}

/// The file's text, and whether it is packed.
fn open_decoded(path: &Path) -> io::Result<(Box<dyn BufRead>, bool)> {
    let mut file = File::open(path)?;
    let mut magic = Vec::with_capacity(2);
    file.by_ref().take(2).read_to_end(&mut magic)?;
    file.rewind()?;
    if magic == [0x1f, 0x8b] {
        let unpacked = MultiGzDecoder::new(BufReader::new(file));
        return Ok((Box::new(BufReader::new(unpacked)), true));
    }
    Ok((Box::new(BufReader::new(file)), false))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const ANN: &str = r#"{"at":"2018-04-10T18:02:17Z","room":"r","user":"ann","text":"hi"}"#;
    const BOB: &str = r#"{"at":"2018-04-10T18:02:18Z","room":"r","user":"bob","text":""}"#;

    fn file(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn survey_of(text: &str, known: Option<Extent>) -> Result<Survey, Failure> {
        let (_folder, path) = file(text.as_bytes());
        survey(&path, known, &Interrupt::never())
    }

    #[test]
    fn a_gzip_file_is_read_like_a_plain_one() {
        let text = format!("{ANN}\n\n{BOB}\n");
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let (_folder, path) = file(&gzip.finish().unwrap());
        let packed = survey(&path, None, &Interrupt::never()).unwrap();
        let plain = survey_of(&text, None).unwrap();
        assert_eq!((packed.lines, packed.extent), (2, plain.extent));
    }

    #[test]
    fn a_gzip_file_that_is_cut_off_is_told_as_one() {
        let text = format!("{ANN}\n{BOB}\n").repeat(200);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        let mut packed = gzip.finish().unwrap();
        packed.truncate(packed.len() - 9);
        let (_folder, path) = file(&packed);
        let told = survey(&path, None, &Interrupt::never())
            .unwrap_err()
            .to_string();
        assert!(told.contains("cut off or damaged within line"), "{told}");
        assert!(told.contains("next: fetch it again: `gzip -t"), "{told}");
        assert!(!told.contains("each line is one object"), "{told}");
    }

    #[test]
    fn a_grown_file_begins_as_known_and_a_changed_one_does_not() {
        for end in ["", "\n"] {
            let known = Some(survey_of(&format!("{ANN}{end}"), None).unwrap().extent);
            assert!(
                survey_of(&format!("{ANN}{end}"), known)
                    .unwrap()
                    .begins_as_known
            );
            assert!(
                survey_of(&format!("{ANN}\n{BOB}\n"), known)
                    .unwrap()
                    .begins_as_known
            );
            assert!(
                !survey_of(&format!("{BOB}\n{ANN}\n"), known)
                    .unwrap()
                    .begins_as_known
            );
            assert!(!survey_of("", known).unwrap().begins_as_known);
        }
    }

    #[test]
    fn a_broken_line_is_named_before_anything_is_published() {
        for (broken, why) in [
            ("{", "line 2: EOF"),
            (
                r#"{"at":"now","room":"r","user":"u","text":""}"#,
                "line 2: `now` is no RFC 3339 time",
            ),
            (
                r#"{"at":"2018-04-10T18:02:17Z","room":"","user":"u","text":""}"#,
                "line 2: room: ",
            ),
            (
                r#"{"at":"2018-04-10T18:02:17Z","room":"r","user":"\n","text":""}"#,
                "line 2: user: ",
            ),
            (
                r#"{"at":"2018-04-10T18:02:17Z","room":"r","user":"u"}"#,
                "line 2: missing field `text`",
            ),
        ] {
            let failure = survey_of(&format!("{ANN}\n{broken}\n"), None).unwrap_err();
            assert!(failure.to_string().contains(why), "{failure}");
        }
    }
}
