//! Checkpoint files.

use crate::ids::{GroupId, Index, Term};

/// A checkpoint as read from its file.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// Whose state.
    pub group: GroupId,
    /// Everything up to this index is in it.
    pub index: Index,
    /// Term of that index.
    pub term: Term,
    /// The partition's state, opaque to the log.
    pub body: &'a [u8],
}
