//! Numbers that say why: codes, their classes, gap reasons, record kinds (docs/protocol.md, section 6).
//!
//! Sets that may grow within a version (codes, gap reasons, record kinds) are open newtypes with named constants:
//! an old client keeps the number it does not know. Classes steer programs and are closed: a new one is a new version.

use core::fmt;

macro_rules! numbers {
    ($(#[$doc:meta])* $type:ident($inner:ty) { $($(#[$item:meta])* $name:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $type($inner);

        impl $type {
            $($(#[$item])* pub const $name: $type = $type($value);)*

            /// All that have a name, ascending.
            pub const NAMED: &'static [$type] = &[$($type::$name),*];

            /// Any number is one, known or not.
            #[must_use]
            pub const fn from_wire(number: $inner) -> Self {
                Self(number)
            }

            /// The number as it travels.
            #[must_use]
            pub const fn wire(self) -> $inner {
                self.0
            }

            /// Its name in the specification, if this version knows it.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", self, self.0)
            }
        }
    };
}

macro_rules! closed {
    ($(#[$doc:meta])* $type:ident { $($(#[$item:meta])* $name:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        pub enum $type {
            $($(#[$item])* $name = $value,)*
        }

        impl $type {
            /// The class with this number, if there is one.
            #[must_use]
            pub const fn from_wire(number: u8) -> Option<Self> {
                match number {
                    $($value => Some($type::$name),)*
                    _ => None,
                }
            }

            /// The number as it travels.
            #[must_use]
            pub const fn wire(self) -> u8 {
                self as u8
            }
        }
    };
}

numbers!(
    /// Why a request was refused or a connection or subscription ended.
    Code(u16) {
        /// No reason; only in an UNSUBSCRIBE from a client.
        NONE = 0,
        /// The frame cannot be parsed, or a value in it is unlawful.
        BAD_FRAME = 1,
        /// No frame kind has this number. Hint: the kind.
        UNKNOWN_KIND = 2,
        /// Larger than a limit. Hint: the limit in bytes.
        TOO_LARGE = 3,
        /// Too many or too often. Hint: the limit.
        LIMIT = 4,
        /// No such room or subscription, or no such record. Hint: `ref`, if it is the target of a PUBLISH that is not there.
        NOT_FOUND = 5,
        /// Not permitted.
        FORBIDDEN = 6,
        /// Nobody has said who this is.
        UNAUTHENTICATED = 7,
        /// `expect_seq` did not hold. Hint: head seq.
        CONFLICT = 8,
        /// producer_seq is above the next one. Hint: last producer_seq.
        OUT_OF_ORDER = 9,
        /// producer_seq was used for other content.
        PRODUCER_CONFLICT = 10,
        /// The producer is too old to start in this room.
        PRODUCER_EXPIRED = 11,
        /// The position is not in this room's history. Hint: head seq.
        DIVERGED = 12,
        /// The answerer knows that it lags.
        STALE = 13,
        /// No room on disk for publishes.
        STORAGE_FULL = 14,
        /// Not now.
        UNAVAILABLE = 15,
        /// Another node answers this. Hint: the node that leads, 0 not known.
        MOVED = 16,
        /// Numbered, not served. Hint: the kind, or 0.
        NOT_SUPPORTED = 17,
        /// Not lawful in the connection's state.
        BAD_STATE = 18,
        /// No common version. Hint: highest version served.
        VERSION = 19,
        /// Took too long.
        TIMEOUT = 20,
        /// The node goes down.
        SHUTTING_DOWN = 21,
        /// A newer connection of the same session took over.
        REPLACED = 22,
        /// The bytes asked for are damaged. Hint: first seq that is readable again, 0 unknown.
        DAMAGED = 23,
        /// A bug of the server.
        INTERNAL = 24,
    }
);

closed!(
    /// What a client does about a refusal.
    Class {
        /// Send the same bytes again, after `retry_after_ms`.
        Retry = 0,
        /// Send the same bytes to another node.
        Moved = 1,
        /// Permission is missing.
        Auth = 2,
        /// Send the same bytes again, more slowly.
        Limit = 3,
        /// The world is not as the request supposed.
        Conflict = 4,
        /// The request is wrong for ever.
        Bad = 5,
        /// What it refers to is no more.
        Gone = 6,
        /// A bug of the server; the same bytes may be sent again.
        Internal = 7,
    }
);

closed!(
    /// What a client does about a GOAWAY.
    GoawayClass {
        /// Connect again, not before `retry_after_ms`.
        Retry = 0,
        /// Connect to another endpoint.
        Move = 1,
        /// Do not come back with this request or session.
        Terminal = 2,
    }
);

numbers!(
    /// Why records will not come.
    GapReason(u8) {
        /// They were older than the room keeps.
        RETENTION = 1,
        /// They were erased.
        ERASED = 2,
        /// The reader was no member then.
        NOT_MEMBER = 3,
        /// Their time to live was over.
        EXPIRED = 4,
        /// The reader asked to skip.
        SKIPPED = 5,
        /// They are damaged on disk.
        DAMAGED = 6,
    }
);

numbers!(
    /// Who is told when a cursor moves.
    CursorScope(u8) {
        /// The user's own devices.
        PRIVATE = 0,
        /// Everybody in the room: a read receipt.
        MEMBERS = 1,
    }
);

numbers!(
    /// What a record is; 64..=255 belong to applications.
    RecordKind(u8) {
        /// A message: the only kind that counts as unread.
        MESSAGE = 0,
        /// Replaces the body of another record.
        EDIT = 1,
        /// Erases another record.
        REDACT = 2,
        /// Reacts to another record.
        REACTION = 3,
        /// Pins another record.
        PIN = 4,
        /// The newest value of a key.
        KEYED_PUT = 16,
        /// The end of a key.
        KEYED_DELETE = 17,
        /// Someone came, went or changed role.
        MEMBER = 32,
        /// The room's settings.
        ROOM_SETTINGS = 33,
    }
);

impl Code {
    /// The class a refusal with this code usually has. An unknown code is [`Class::Internal`].
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Code::BAD_FRAME | Code::UNKNOWN_KIND | Code::TOO_LARGE => Class::Bad,
            Code::NOT_SUPPORTED | Code::BAD_STATE | Code::VERSION => Class::Bad,
            Code::LIMIT => Class::Limit,
            Code::NOT_FOUND | Code::PRODUCER_EXPIRED | Code::REPLACED | Code::DAMAGED => {
                Class::Gone
            }
            Code::FORBIDDEN | Code::UNAUTHENTICATED => Class::Auth,
            Code::CONFLICT | Code::PRODUCER_CONFLICT | Code::DIVERGED => Class::Conflict,
            Code::OUT_OF_ORDER | Code::STALE | Code::STORAGE_FULL | Code::UNAVAILABLE => {
                Class::Retry
            }
            Code::TIMEOUT | Code::SHUTTING_DOWN => Class::Retry,
            Code::MOVED => Class::Moved,
            _ => Class::Internal,
        }
    }
}

impl Class {
    /// Whether the same bytes may succeed later: the producer_seq stays bound to its message.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Class::Retry | Class::Moved | Class::Limit | Class::Internal
        )
    }
}

impl RecordKind {
    /// First kind that belongs to applications.
    pub const APPLICATION_MIN: u8 = 64;

    /// Whether a record of this kind counts as unread.
    #[must_use]
    pub const fn counts(self) -> bool {
        self.0 == RecordKind::MESSAGE.0
    }

    /// Whether a record of this kind is about another one, which its header `ref` names.
    #[must_use]
    pub const fn refers(self) -> bool {
        self.0 >= RecordKind::EDIT.0 && self.0 <= RecordKind::PIN.0
    }

    /// Whether a PUBLISH of this kind is served by version 1.
    #[must_use]
    pub const fn is_served(self) -> bool {
        self.counts() || self.refers() || self.0 >= Self::APPLICATION_MIN
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn an_unknown_number_survives_and_shows_as_itself() {
        let code = Code::from_wire(4_711);
        assert_eq!(
            (code.wire(), code.name(), code.class()),
            (4_711, None, Class::Internal)
        );
        assert_eq!(code.to_string(), "4711");
        assert_eq!(Code::OUT_OF_ORDER.to_string(), "OUT_OF_ORDER");
        assert_eq!(GapReason::from_wire(200).wire(), 200);
    }

    #[test]
    fn classes_are_closed() {
        for number in 0..=u8::MAX {
            assert_eq!(
                Class::from_wire(number).map(Class::wire),
                (number < 8).then_some(number)
            );
            assert_eq!(
                GoawayClass::from_wire(number).map(GoawayClass::wire),
                (number < 3).then_some(number)
            );
        }
    }

    #[test]
    fn a_number_stays_bound_exactly_for_retry_moved_limit_and_internal() {
        let bound: std::vec::Vec<u8> = (0..8)
            .filter(|class| Class::from_wire(*class).unwrap().is_retryable())
            .collect();
        assert_eq!(bound, [0, 1, 3, 7]);
    }

    #[test]
    fn messages_references_and_application_kinds_are_served_and_only_messages_count() {
        let served: std::vec::Vec<u8> = (0..=u8::MAX)
            .filter(|kind| RecordKind::from_wire(*kind).is_served())
            .collect();
        assert_eq!(served.len(), 1 + 4 + 192);
        assert_eq!(served[..6], [0, 1, 2, 3, 4, 64]);
        assert_eq!(
            (0..=u8::MAX)
                .filter(|kind| RecordKind::from_wire(*kind).counts())
                .count(),
            1
        );
    }
}
