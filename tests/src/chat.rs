//! A chat file (NDJSON) by rooms, and how two of them differ.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

/// The lines of each room, as bytes, in order.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Chat {
    rooms: BTreeMap<String, Vec<Vec<u8>>>,
}

#[derive(Deserialize)]
struct RoomOnly {
    room: String,
}

impl Chat {
    /// Reads a file, plain or gzip.
    ///
    /// # Errors
    /// It cannot be read, or a line has no room.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic)?;
        file.rewind()?;
        if magic == [0x1f, 0x8b] {
            Self::read(BufReader::new(MultiGzDecoder::new(file)))
        } else {
            Self::read(BufReader::new(file))
        }
    }

    /// Reads lines.
    ///
    /// # Errors
    /// They cannot be read, or a line has no room.
    pub fn read(reader: impl BufRead) -> io::Result<Self> {
        let mut chat = Self::default();
        for line in reader.split(b'\n') {
            let line = line?;
            let RoomOnly { room } = serde_json::from_slice(&line)?;
            chat.rooms.entry(room).or_default().push(line);
        }
        Ok(chat)
    }

    /// How many lines all rooms have together.
    pub fn lines(&self) -> usize {
        self.rooms.values().map(Vec::len).sum()
    }

    /// The rooms' names.
    pub fn rooms(&self) -> impl ExactSizeIterator<Item = &str> {
        self.rooms.keys().map(String::as_str)
    }

    /// The first difference in words, or `None` if both hold the same rooms with the same lines in the same order.
    pub fn difference(&self, found: &Self) -> Option<String> {
        for (room, expected) in &self.rooms {
            let Some(lines) = found.rooms.get(room) else {
                return Some(format!("room {room} is missing"));
            };
            let pairs = expected.iter().zip(lines).enumerate();
            for (at, (expected, line)) in pairs {
                if expected != line {
                    let (expected, line) = (
                        String::from_utf8_lossy(expected),
                        String::from_utf8_lossy(line),
                    );
                    return Some(format!(
                        "room {room}, line {}:\n  expected {expected}\n  found    {line}",
                        at + 1
                    ));
                }
            }
            if expected.len() != lines.len() {
                return Some(format!(
                    "room {room} has {} lines instead of {}",
                    lines.len(),
                    expected.len()
                ));
            }
        }
        found
            .rooms
            .keys()
            .find(|room| !self.rooms.contains_key(*room))
            .map(|room| format!("room {room} came from nowhere"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(lines: &[&str]) -> Chat {
        Chat::read(lines.join("\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_same_rooms_in_another_interleaving_are_equal() {
        let a = chat(&[
            r#"{"room":"a","n":1}"#,
            r#"{"room":"b","n":1}"#,
            r#"{"room":"a","n":2}"#,
        ]);
        let b = chat(&[
            r#"{"room":"b","n":1}"#,
            r#"{"room":"a","n":1}"#,
            r#"{"room":"a","n":2}"#,
        ]);
        assert_eq!(a.difference(&b), None);
        assert_eq!(a.lines(), 3);
    }

    #[test]
    fn lost_doubled_swapped_and_invented_lines_are_found() {
        let good = [r#"{"room":"a","n":1}"#, r#"{"room":"a","n":2}"#];
        let expected = chat(&good);
        for bad in [
            &good[..1],
            &[good[0], good[0], good[1]],
            &[good[1], good[0]],
            &[good[0], good[1], r#"{"room":"b"}"#],
            &[good[0], r#"{"room":"a", "n":2}"#],
        ] {
            assert!(expected.difference(&chat(bad)).is_some(), "{bad:?}");
        }
    }
}
