//! Something for those who are in a room now.

use antiphon_protocol::{
    Device, check_name,
    limits::{KEY_BYTES_MAX, SIGNAL_NAME_BYTES_MAX, SIGNAL_VALUE_BYTES_MAX},
};
use bytes::Bytes;

use crate::error::{Misuse, Rejection};

/// A signal to send: typing, presence, a call's negotiation. It is never written down, and nobody who is away gets it.
///
/// Without a key every one counts, and a receiver gets them in the order in which they were sent. With a key only the newest
/// value of this sender, name and key matters: receivers that cannot keep up get the newest, later. By convention an empty
/// value says that the key is over.
///
/// ```
/// use antiphon_client::Signal;
///
/// let typing = Signal::new("typing").key("web").value("open");
/// assert_eq!(typing, Signal::new("typing").key(b"web").value(b"open"));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signal {
    pub(crate) name: String,
    pub(crate) key: Bytes,
    pub(crate) value: Bytes,
}

impl Signal {
    /// A signal about `name` (1 to 32 bytes without control characters), with no key and no value.
    pub fn new(name: impl Into<String>) -> Signal {
        Signal {
            name: name.into(),
            key: Bytes::new(),
            value: Bytes::new(),
        }
    }

    /// Its key, 1 to 64 bytes: only the newest value counts. (Empty: none.)
    #[must_use]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Self {
        self.key = Bytes::copy_from_slice(key.as_ref());
        self
    }

    /// Its value, at most 1,024 bytes.
    #[must_use]
    pub fn value(mut self, value: impl AsRef<[u8]>) -> Self {
        self.value = Bytes::copy_from_slice(value.as_ref());
        self
    }

    /// Whether the broker would take it.
    pub(crate) fn check(&self) -> Result<(), Misuse> {
        let is_lawful = check_name(self.name.as_bytes(), SIGNAL_NAME_BYTES_MAX).is_ok()
            && self.key.len() <= KEY_BYTES_MAX
            && self.value.len() <= SIGNAL_VALUE_BYTES_MAX;
        is_lawful.then_some(()).ok_or(Misuse::Signal)
    }
}

/// A signal as a subscription gets it.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignalHeard {
    /// The user who sent it, as the broker knows it.
    pub sender: String,
    /// From which of their devices.
    pub device: Device,
    /// What it is about.
    pub name: String,
    /// Empty: none.
    pub key: Bytes,
    /// Anything.
    pub value: Bytes,
}

impl SignalHeard {
    /// The value as text, with replacement characters where it is none.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.value)
    }
}

/// Signals that the broker refused. It answers refusals alone, and later, so they are counted here.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct SignalRefusals {
    /// How many, over the client's life.
    pub count: u64,
    /// The last one: no such room, or too many at once.
    pub last: Option<Rejection>,
}
