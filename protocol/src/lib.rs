//! The Antiphon wire protocol: frames, records, ids, codes and limits.
//!
//! The specification is docs/protocol.md; this crate is its reference implementation and knows no broker, no
//! socket and no clock. Three promises hold for everything here:
//!
//! - **Total.** Any bytes, split anywhere, give a value or a typed error. Nothing panics on what a peer sent.
//! - **Borrowed.** Decoding never allocates: frames are views over the bytes they came from. Encoding appends to a
//!   `Vec<u8>` of the caller. Only [`Assembler`] holds bytes, and only those of a frame that is not yet whole.
//! - **Checked once.** What decodes is lawful: a room name is UTF-8, a reserved byte is zero, an enum is known.
//!
//! Where to start: [`next_frame`] cuts a stream into frames, [`ClientFrame`] and [`ServerFrame`] say what they mean,
//! [`Record`] reads the unit that is logged, replicated and delivered as the same bytes, [`append_record`] builds it.
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod assembler;
mod client;
mod codes;
mod decode;
mod digest;
mod error;
mod extensions;
mod features;
mod frame;
mod frames;
mod headers;
mod ids;
pub mod limits;
mod link;
mod names;
pub mod peer;
mod record;
mod record_write;
mod server;
mod wire;

pub use crate::assembler::Assembler;
pub use crate::client::ClientFrame;
pub use crate::codes::{Class, Code, CursorScope, GapReason, GoawayClass, RecordKind};
pub use crate::decode::{BrokenStream, RawFrame, needed, next_frame};
pub use crate::digest::{position_digest, publish_digest};
pub use crate::error::{DecodeError, Feature};
pub use crate::extensions::{Extension, Extensions};
pub use crate::features::Features;
pub use crate::frame::{FRAME_HEADER_BYTES, FrameHeader, Kind};
pub use crate::frames::{
    Ack, Cursor, CursorAnswer, CursorEntries, CursorEntry, CursorMoved, CursorPosition, ErrorFrame,
    Fetch, FetchRange, Gap, Goaway, Hello, Metadata, MetadataNode, MetadataRequest, Ok_, Page,
    PageDraft, PageHead, PageItem, PageItems, Ping, Pong, PongDigest, Puback, PubackBuilder,
    PubackEntries, PubackEntry, Publish, ReadLevel, Signal, SignalContent, SignalPush, Start,
    Subscribe, Subscribed, Unsubscribe, Wants, Welcome,
};
pub use crate::headers::{Header, HeaderTag, Headers, HeadersBuilder, HeadersError};
pub use crate::ids::{
    Count, Device, Link, Namespace, NodeId, Producer, ProducerSeq, RequestId, RoomId, Seq, Slot,
    Timestamp,
};
pub use crate::names::{NameError, RoomName, RoomRef, UserName, check_name};
pub use crate::record::{RECORD_HEADER_BYTES, Record, Records, record_bytes, records};
pub use crate::record_write::{RecordFields, append_erased, append_record};
pub use crate::server::ServerFrame;
