//! Map keys of rooms by name, which can be asked for without a copy of the name.

use core::hash::{Hash, Hasher};

use antiphon_protocol::{Namespace, RoomName};
use hashbrown::Equivalent;

/// A name in its namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct NameKey(pub(super) Namespace, pub(super) RoomName);

/// The same, borrowed. Hashes like [`NameKey`].
#[derive(Clone, Copy, Debug)]
pub(super) struct NameQuery<'a>(pub(super) Namespace, pub(super) &'a [u8]);

impl Hash for NameKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NameQuery(self.0, self.1.as_bytes()).hash(state);
    }
}

impl Hash for NameQuery<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<NameKey> for NameQuery<'_> {
    fn equivalent(&self, key: &NameKey) -> bool {
        self.0 == key.0 && self.1 == key.1.as_bytes()
    }
}
