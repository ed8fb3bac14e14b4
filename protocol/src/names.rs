//! Names that people chose: validated once, compared as bytes.

use core::borrow::Borrow;
use core::fmt;

use bytes::Bytes;

use crate::error::DecodeError;
use crate::ids::RoomId;
use crate::limits::{ROOM_NAME_BYTES_MAX, USER_NAME_BYTES_MAX};

/// Why bytes are no name.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// A name has at least one byte.
    #[error("a name must not be empty")]
    Empty,
    /// Longer than its limit.
    #[error("a name of {length} bytes is longer than {limit} bytes")]
    TooLong {
        /** Given, in bytes. */
        length: usize,
        /** Allowed, in bytes. */
        limit: usize,
    },
    /// Not UTF-8.
    #[error("a name must be UTF-8")]
    NotUtf8,
    /// U+0000..=U+001F or U+007F..=U+009F.
    #[error("a name must not have control characters")]
    Control,
}

/// Checks a name of at most `limit` bytes, as of a user, a cursor or a signal, and gives it back as text.
///
/// # Errors
/// It is empty or too long, is not UTF-8, or has control characters.
pub fn check_name(bytes: &[u8], limit: usize) -> Result<&str, NameError> {
    if bytes.is_empty() {
        return Err(NameError::Empty);
    }
    if bytes.len() > limit {
        return Err(NameError::TooLong {
            length: bytes.len(),
            limit,
        });
    }
    let text = core::str::from_utf8(bytes).map_err(|_| NameError::NotUtf8)?;
    // `char::is_control` is exactly the Unicode category Cc: the two ranges of the specification. Most names are
    // printable ASCII, which one pass over the bytes shows.
    let is_plain = bytes.iter().all(|byte| matches!(byte, 0x20..=0x7E));
    if !is_plain && text.chars().any(char::is_control) {
        return Err(NameError::Control);
    }
    Ok(text)
}

/// Writes a name for people: what could rearrange a terminal line (controls, direction marks) is escaped.
fn write_escaped(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for character in text.chars() {
        match character {
            '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{2069}'
            | '\u{FEFF}' => {
                write!(f, "{}", character.escape_unicode())?;
            }
            _ if character.is_control() => write!(f, "{}", character.escape_unicode())?,
            _ => fmt::Write::write_char(f, character)?,
        }
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(Bytes);

        impl $name {
            /// Takes over `bytes` without copying them.
            ///
            /// # Errors
            /// [`NameError`] if they are empty, too long, not UTF-8 or have a control character.
            pub fn from_bytes(bytes: Bytes) -> Result<Self, NameError> {
                check_name(&bytes, $limit)?;
                Ok(Self(bytes))
            }

            /// The name as it travels and as it is compared.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                core::str::from_utf8(&self.0).unwrap_or_default()
            }

            /// The shared bytes of the name.
            #[must_use]
            pub fn into_bytes(self) -> Bytes {
                self.0
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = NameError;

            fn try_from(bytes: &[u8]) -> Result<Self, NameError> {
                check_name(bytes, $limit)?;
                Ok(Self(Bytes::copy_from_slice(bytes)))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = NameError;

            fn try_from(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.as_bytes())
            }
        }

        impl core::str::FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.as_bytes())
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        // Hash and Ord of `Bytes` are those of its slice, so maps can be asked with borrowed bytes.
        impl Borrow<[u8]> for $name {
            fn borrow(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_escaped(self.as_str(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({:?})"), self.as_str())
            }
        }
    };
}

name!(
    /// Name of a room: 1..=255 bytes of UTF-8 without control characters, unique in its namespace.
    RoomName,
    ROOM_NAME_BYTES_MAX
);
name!(
    /// Name of a user: 1..=64 bytes of UTF-8 without control characters, unique in its namespace.
    UserName,
    USER_NAME_BYTES_MAX
);

/// How a frame refers to a room: names travel once, numbers after.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RoomRef<'a> {
    /// By number; never 0.
    Id(RoomId),
    /// By name; checked like a [`RoomName`] when decoded.
    Name(&'a str),
}

impl<'a> RoomRef<'a> {
    /// Reads the pair (room id, name) of a frame, of which exactly one is set.
    pub(crate) fn decode(id: u64, name: &'a [u8]) -> Result<Self, DecodeError> {
        match (id, name.is_empty()) {
            (0, false) => Ok(RoomRef::Name(check_name(name, ROOM_NAME_BYTES_MAX)?)),
            (0, true) | (_, false) => Err(DecodeError::BadValue("room")),
            (id, true) => Ok(RoomRef::Id(RoomId(id))),
        }
    }

    /// The two fields of a frame: id (0: named) and name (empty: numbered).
    pub(crate) fn fields(&self) -> (u64, u8, &'a [u8]) {
        match *self {
            RoomRef::Id(id) => {
                assert!(id.0 != 0, "INV-PROTO-2: room id 0 means a named room");
                (id.0, 0, &[])
            }
            RoomRef::Name(name) => {
                let length = u8::try_from(name.len()).unwrap_or(0);
                assert!(
                    length != 0,
                    "INV-PROTO-3: a room name that was never checked"
                );
                (0, length, name.as_bytes())
            }
        }
    }
}

impl<'a> From<&'a RoomName> for RoomRef<'a> {
    fn from(name: &'a RoomName) -> Self {
        RoomRef::Name(name.as_str())
    }
}

impl From<RoomId> for RoomRef<'_> {
    fn from(id: RoomId) -> Self {
        RoomRef::Id(id)
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use super::*;

    #[test]
    fn a_name_that_is_refused_says_why() {
        let why = |bytes: &[u8]| UserName::try_from(bytes).unwrap_err();
        assert_eq!(why(b""), NameError::Empty);
        assert_eq!(
            why(&[b'x'; 65]),
            NameError::TooLong {
                length: 65,
                limit: 64
            }
        );
        assert_eq!(why(b"\xC0\x80"), NameError::NotUtf8);
        assert_eq!(why(b"a\nb"), NameError::Control);
        assert_eq!(why("a\u{85}".as_bytes()), NameError::Control);
        let longest: Vec<u8> = [b'x'; 255].to_vec();
        assert_eq!(
            RoomName::from_bytes(Bytes::from(longest.clone()))
                .unwrap()
                .as_bytes(),
            longest
        );
    }

    #[test]
    fn a_shown_name_cannot_rearrange_a_terminal_line() {
        let name = RoomName::try_from("a\u{202E}b\u{200B}ü \"q\"").unwrap();
        assert_eq!(name.to_string(), "a\\u{202e}b\\u{200b}ü \"q\"");
    }

    #[test]
    fn a_map_of_names_can_be_asked_with_bytes() {
        let name = RoomName::try_from("lobby").unwrap();
        let rooms: std::collections::HashMap<RoomName, u8> = [(name, 1)].into();
        assert_eq!(rooms.get(b"lobby".as_slice()), Some(&1));
    }

    #[test]
    fn a_frame_refers_to_a_room_by_exactly_one_of_id_and_name() {
        assert_eq!(RoomRef::decode(7, b""), Ok(RoomRef::Id(RoomId(7))));
        assert_eq!(RoomRef::decode(0, b"x"), Ok(RoomRef::Name("x")));
        assert_eq!(RoomRef::decode(0, b""), Err(DecodeError::BadValue("room")));
        assert_eq!(RoomRef::decode(7, b"x"), Err(DecodeError::BadValue("room")));
    }

    #[test]
    #[should_panic(expected = "INV-PROTO-3")]
    fn a_room_name_that_was_never_checked_is_not_sent() {
        let long: String = "x".repeat(256);
        let _ = RoomRef::Name(&long).fields();
    }
}
