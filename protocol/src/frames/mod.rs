//! The frames that are served, one file each: what they carry, how they are read, how they are written.
//!
//! Every frame has `decode(RawFrame) -> Result<Self, DecodeError>` and `encode(&self, id, out)`, which appends to `out`.
//! Requests refuse non-zero reserved bytes (a newer client uses them only where the server granted the feature);
//! what a server sends is read leniently, so that an old client lives with a newer server.

mod cursor;
mod error_frame;
mod fetch;
mod gap;
mod goaway;
mod hello;
mod metadata;
mod ok;
mod page;
mod ping;
mod puback;
mod publish;
mod signal;
mod subscribe;
mod subscribed;
mod unsubscribe;
mod welcome;

pub use cursor::{Cursor, CursorEntries, CursorEntry, CursorMoved, CursorPosition};
pub use error_frame::ErrorFrame;
pub use fetch::{Fetch, FetchRange, ReadLevel};
pub use gap::Gap;
pub use goaway::Goaway;
pub use hello::Hello;
pub use metadata::{Metadata, MetadataNode, MetadataRequest};
pub use ok::{CursorAnswer, Ok_};
pub use page::{Page, PageDraft, PageHead, PageItem, PageItems};
pub use ping::{Ping, Pong, PongDigest};
pub use puback::{Puback, PubackBuilder, PubackEntries, PubackEntry};
pub use publish::{Ack, Publish};
pub use signal::{Signal, SignalContent, SignalPush};
pub use subscribe::{Start, Subscribe, Wants};
pub use subscribed::Subscribed;
pub use unsubscribe::Unsubscribe;
pub use welcome::Welcome;

use crate::error::DecodeError;
use crate::limits::TEXT_BYTES_MAX;

/// Text for people, cut at a character so that it fits.
fn cut_text(text: &str) -> &str {
    let mut end = TEXT_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default()
}

/// Text for people as it came.
fn read_text(bytes: &[u8]) -> Result<&str, DecodeError> {
    core::str::from_utf8(bytes).map_err(|_| DecodeError::BadValue("text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_over_the_limit_is_cut_at_a_character() {
        let text = "ü".repeat(300);
        assert_eq!(cut_text(&text).len(), 512);
        let shifted = ["x", &text].concat();
        assert_eq!(cut_text(&shifted).len(), 511);
        assert_eq!(cut_text("short"), "short");
    }
}
