//! Event loops, sockets, threads, signals and configuration around `antiphon_core`.
//!
//! This crate decides nothing about rooms, order or roles: it moves bytes between sockets and cores, jobs between cores,
//! log and readers, and tells the time.
//!
//! ```text
//!            acceptor ── sockets ──┐                        ┌── readers (2)
//!                                  ▼         read jobs ────▶│   mapped files
//!  clients ◀── sockets ──▶ core threads ◀──── answers ──────┘
//!                            │  ▲   ▲ │ lanes, one per ordered pair
//!                     append │  │   └─┘
//!                            ▼  │ persisted
//!                           log thread ◀── segments made ahead
//! ```
//!
//! | module | |
//! |---|---|
//! | [`config`] | settings: flags > environment > file > defaults |
//! | `start`, `node`, `recovery` | from a configuration to running threads, and their end |
//! | `core_thread` | the event loop: turn, reading, writing, closing |
//! | `input`, `connections` | bytes between socket and frames; the slab |
//! | `acceptor`, `places`, `refusal`, `listen`, `descriptors` | who may connect |
//! | `lanes`, `wake` | messages between cores, and waking only who sleeps |
//! | `log_thread`, `readers` | writing and reading the log |
//! | `admin` | metrics and probes over HTTP |
//! | `signals`, `guard`, [`exit`] | how a process ends |
//!
//! # Events
//!
//! What a node writes to its log (`tracing`): fixed names, fields in the words of the design, no user or room names. Nothing
//! that a client can repeat at will makes a line per try at `info` or above.
//!
//! | level | event | meaning |
//! |---|---|---|
//! | error | `log_failed`, `thread_panicked` | the process ends; see [`exit`] |
//! | error | `log_damaged`, `log_finding` | something durable is gone; what and where |
//! | error | `partition_damaged_read_only`, `partition_hole_read_only`, `partition_unsound_not_served` | a partition as recovered |
//! | error | `rot_found`, `rot_records`, `rot_unreadable`, `rot_segment_missing` | a scrub found what cannot be read any more: where, and the rooms and seqs it costs |
//! | error | `group_quarantined` | a partition is no longer served |
//! | error | `node_ended` | a dropped node could not close its log |
//! | warn | `accept_paused_connections_max`, `accept_paused_no_descriptors`, `accept_paused_cores_busy` | new clients wait |
//! | warn | `connections_max_cut` | the descriptors allow fewer connections than configured |
//! | info | `segments_let_go` | the oldest segments are not kept any more |
//! | error, info | `storage_full`, `storage_has_space` | publishes are refused because too little of the disk is left; they are taken again |
//! | warn | `segment_not_made`, `checkpoint_not_written` | the disk is full or failing; nothing is lost yet |
//! | warn | `read_failed`, `bad_page_known`, `group_unknown` | reading the log met something wrong |
//! | warn | `rot_header`, `rot_slot` | a scrub found rot that costs nothing |
//! | warn | `scrub_failed` | a segment could not be opened or read for another reason; the next pass tries again |
//! | warn | `admin_ended` | the admin port is gone; the node serves |
//! | warn | `drain_incomplete` | some clients did not take their last answers in time |
//! | warn | `stopped_at_once` | a second signal |
//! | warn | `connection_not_registered`, `listener_not_registered`, `core_not_pinned` | the system refused |
//! | info | `log_opened`, `listening`, `admin_listening`, `accept_resumed`, `stopping`, `log_closed`, `log_abandoned`, `stopped` | the node's life |
//! | warn | `cluster_of_even_number` | it outlives no more than one node less would |
//! | info | `listening_for_peers` | the peer listener is open |
//! | info | `peer_up`, `peer_down` | a peering that this node dialled |
//! | warn | `peer_refused` | another node does not take this one's peering: why, once |
//! | error | `peer_on_other_directory`, `peer_not_written_down` | another node is not who it was, or could not be written down: nothing is said to it |
//! | info | `scrub_passed` | all sealed segments were read again |
//! | debug | `session_opened`, `goaway_sent`, `connection_refused`, ... | single connections |
#![forbid(unsafe_code)]

mod acceptor;
mod admin;
mod affinity;
mod clock;
pub mod config;
mod connections;
mod core_thread;
mod descriptors;
mod error;
pub mod exit;
mod guard;
mod input;
mod lanes;
mod limits;
mod listen;
mod log_thread;
mod node;
mod peers;
mod phase;
mod places;
mod priority;
mod readers;
mod recovery;
mod refusal;
mod signals;
mod start;
mod wake;

pub use config::{Config, ConfigError, Loaded, Sources};
pub use error::{RunError, StartError};
pub use node::{Node, run, run_with};
