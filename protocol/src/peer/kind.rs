//! The numbers of the kinds of peer frames.

use crate::decode::RawFrame;
use crate::error::DecodeError;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// Every kind of peer frame that has a number. None of them is a [`Kind`](crate::Kind).
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum PeerKind {
            $($(#[$doc])* $name = $number,)*
        }

        impl PeerKind {
            /// All of them, ascending.
            pub const ALL: &'static [PeerKind] = &[$(PeerKind::$name),*];

            /// The kind with this number.
            ///
            /// # Errors
            /// [`DecodeError::UnknownKind`] if there is none.
            pub const fn from_wire(number: u8) -> Result<PeerKind, DecodeError> {
                match number {
                    $($number => Ok(PeerKind::$name),)*
                    _ => Err(DecodeError::UnknownKind(number)),
                }
            }
        }
    };
}

kinds! {
    /// Dialer to acceptor: who I am, whom I mean.
    Hello = 128,
    /// Acceptor to dialer: it is me, go on.
    Welcome = 129,
    /// Acceptor to dialer: no, and the connection ends.
    Refused = 130,
    /// Dialer to acceptor: messages of many groups.
    Raft = 131,
    /// Dialer to acceptor: publishes for a partition that is led there.
    Forward = 132,
    /// Acceptor to dialer: what became of them.
    Forwarded = 133,
    /// Dialer to acceptor: are you there, and what is the time.
    Ping = 134,
    /// Acceptor to dialer: I am.
    Pong = 135,
    /// Acceptor to dialer: records of a catch-up. Numbered.
    Bulk = 136,
}

impl PeerKind {
    /// The number as it travels.
    #[must_use]
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// Refuses a frame of another kind.
    pub(super) fn expect(self, frame: RawFrame<'_>) -> Result<(), DecodeError> {
        if frame.header.kind == self.wire() {
            Ok(())
        } else {
            Err(DecodeError::BadValue("kind"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Kind;

    #[test]
    fn no_number_means_a_frame_of_clients_and_of_peers() {
        for kind in PeerKind::ALL {
            assert_eq!(PeerKind::from_wire(kind.wire()), Ok(*kind));
            assert_eq!(
                Kind::from_wire(kind.wire()),
                Err(DecodeError::UnknownKind(kind.wire()))
            );
        }
        for kind in Kind::ALL {
            assert_eq!(
                PeerKind::from_wire(kind.wire()),
                Err(DecodeError::UnknownKind(kind.wire()))
            );
        }
    }
}
