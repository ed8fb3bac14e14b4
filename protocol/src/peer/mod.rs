//! What the nodes of a cluster say to each other (docs/peer-protocol.md).
//!
//! The frame header is that of clients, the numbers of the kinds are others: a client that meets the peer listener, or a peer that meets the
//! listener for clients, is refused and never misunderstood. A *peering* leads one way: the node that dials sends, the other one only answers.
//!
//! ```text
//!  dialer ── PEER_HELLO ─────────────▶ acceptor     who, whom, which cluster, which session
//!         ◀───────────── PEER_WELCOME ──            or PEER_REFUSED, and the end
//!         ── RAFT, FORWARD, PEER_PING ▶
//!         ◀───── FORWARDED, PEER_PONG ──
//! ```
//! Raft's messages of all groups to one node travel packed, in the order in which they were made: see [`RaftFrames`] and [`decode_raft`].

mod forward;
mod hello;
mod ids;
mod kind;
mod message;
mod packing;
mod ping;

pub use forward::{Forward, Forwarded};
pub use hello::{PeerHello, PeerRefusal, PeerRefused, PeerWelcome, voters_digest};
pub use ids::{ClusterId, DirectoryId, Group, Index, Life, Session, Term};
pub use kind::PeerKind;
pub use message::{
    Append, AppendAnswer, Entry, Heartbeat, Message, ReadContext, Refused, Vote, VoteAnswer,
};
pub use packing::{RaftFrames, decode_raft};
pub use ping::{PeerPing, PeerPong};
