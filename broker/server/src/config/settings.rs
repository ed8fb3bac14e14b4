//! Every setting: its meaning, its unit, its bounds and its default.
//!
//! The key of a setting is `section.field` in a file, on the command line and in the origins that `config show` prints;
//! in the environment it is `ANTIPHON_SECTION_FIELD`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::bounded::{Count, Millis, Size};

/// The port a broker listens on unless told otherwise.
pub const DEFAULT_PORT: u16 = 7411;

/// The port for peers that `antiphon cluster init` writes.
pub(crate) const DEFAULT_PEER_PORT: u16 = 7421;

/// The admin port unless told otherwise.
pub const DEFAULT_ADMIN_PORT: u16 = 7412;

/// The whole configuration of a node.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients connect.
    pub listen: Listen,
    /// Where operators look.
    pub admin: Admin,
    /// Where records are kept.
    pub data: Data,
    /// How many threads do what.
    pub threads: Threads,
    /// How many clients there may be.
    pub connections: Connections,
    /// What one client may do: told to it in WELCOME.
    pub session: Session,
    /// How a node ends.
    pub shutdown: Shutdown,
    /// What a node says about itself, on stderr.
    pub logging: Logging,
    /// Which other nodes there are; all of them have the same here.
    pub cluster: Cluster,
}

/// Which other nodes there are. The node itself is `data.node`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// 32 hexadecimal digits, not all 0, as `antiphon cluster init` draws them. Default empty: a node alone.
    pub id: String,
    /// All nodes, this one too, as `NODE=PEER-ADDRESS/CLIENT-ADDRESS`, with commas between them:
    /// `1=127.0.0.1:7421/127.0.0.1:7411,2=...`. Peer addresses are on loopback. Default empty.
    pub members: String,
    /// Partitions of a *new* directory, instead of `data.partitions`; 1..=1024. Default 1: clients then find all rooms at one leader.
    pub partitions: Count<1, 1024>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            id: String::new(),
            members: String::new(),
            partitions: Count::fixed(1),
        }
    }
}

/// Where clients connect.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Address and port; port 0 takes any free one. Default `127.0.0.1:7411`.
    pub address: SocketAddr,
    /// Allows an address other than loopback although nobody is authenticated and nothing is encrypted. Default false.
    pub insecure: bool,
    /// Connections that the kernel completes ahead of us; 1..=65535. Default 1,024. The kernel cuts it to `somaxconn`.
    pub backlog: Count<1, 65_535>,
}

/// Where operators look: metrics and probes over HTTP.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Serves `/metrics`, `/livez` and `/readyz`. Default false, so that several nodes of one machine need no settings.
    pub enabled: bool,
    /// Address and port, on loopback; port 0 takes any free one. Default `127.0.0.1:7412`.
    pub address: SocketAddr,
}

/// Where records are kept.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The data directory; made if missing, locked while the node runs. Default `antiphon-data`.
    pub directory: PathBuf,
    /// Partitions of a *new* directory, 1..=1024; an existing one keeps the number it was made with. Default 16.
    pub partitions: Count<1, 1024>,
    /// Size of a log segment, 4 MiB..=1 GiB. Default 64 MiB. May differ from start to start.
    pub segment_bytes: Size<{ 4 << 20 }, { 1 << 30 }>,
    /// Publishes are refused (STORAGE_FULL) while less than one segment and this is left: free space, the segment made ahead and the rest of the one
    /// being written. The rest is for what must be written even so. 0 (never refused)..=1 TiB. Default 64 MiB.
    pub reserve_bytes: Size<0, { 1 << 40 }>,
    /// Once refused, publishes are taken again when one segment and this is left; at least `reserve_bytes`, 0..=1 TiB. Default 128 MiB.
    pub resume_bytes: Size<0, { 1 << 40 }>,
    /// The oldest segments are let go while all together have more bytes than this; 0 (they are kept)..=1 PiB. Default 0. At least two, and what
    /// the partitions need to start again, are kept.
    pub retention_bytes: Size<0, { 1 << 50 }>,
    /// A segment is let go when the one behind it was begun so long ago; 0 (it is kept)..=100 years. Default 0. As for bytes.
    pub retention_age: Millis<0, 3_155_760_000_000>,
    /// Sealed segments are read again from the disk at this many bytes a second, to find rot before readers do; 0 (never)..=1 GiB. Default 4 MiB.
    pub scrub_rate: Size<0, { 1 << 30 }>,
    /// Pause before the first pass over all of them, for a start reads everything, and between two; 1 s..=1 year. Default 1 day.
    pub scrub_pause: Millis<1_000, 31_557_600_000>,
    /// Id of this node in a *new* directory, from 1. Default 1.
    pub node: Count<1, { u32::MAX }>,
}

/// How many threads do what.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Threads {
    /// Core threads: event loops that own connections and partitions; 0 (one per CPU)..=256. Default 0.
    pub cores: Count<0, 256>,
    /// Pins core thread n to the n-th CPU this process may use. Default false.
    pub pin: bool,
    /// Reader threads: they read what is no longer hot from the log's files; 1..=64. Default 2.
    pub readers: Count<1, 64>,
}

/// How many clients there may be.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// Connections at a time; 0 (what the descriptor limit allows, less a reserve)..=1,000,000. Default 0.
    /// A larger number than the descriptors allow is cut to that, with a warning.
    pub max: Count<0, 1_000_000>,
    /// Connections at a time from one address; 0 (no limit of its own)..=1,000,000. Default 0.
    pub per_address_max: Count<0, 1_000_000>,
    /// Memory for started frames and for input of paused connections, per core thread, 1 MiB..=64 GiB. Default 256 MiB.
    /// Beyond it, connections that hold much of it are not read until there is room again.
    pub input_bytes_max: Size<{ 1 << 20 }, { 64 << 30 }>,
}

/// What one client may do: told to it in WELCOME.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// How often a client sends something unless it asks for another interval, 1 s..=60 s; three of them without a byte
    /// end the connection. Default 5 s.
    pub keepalive: Millis<1_000, 60_000>,
    /// Largest frame after WELCOME, without its 16-byte header, 8 KiB..=4 MiB. Default 1 MiB.
    pub frame_bytes_max: Size<{ 8 << 10 }, { 4 << 20 }>,
    /// Largest body of a publish, 1 KiB..=1 MiB. Default 256 KiB. A record around it fits into a frame.
    pub body_bytes_max: Size<{ 1 << 10 }, { 1 << 20 }>,
    /// Unanswered publishes on one connection, 1..=65536. Default 1,024. Reaching it pauses reading.
    pub in_flight_max: Count<1, 65_536>,
    /// Subscriptions on one connection, 1..=1,000,000. Default 16,384.
    pub subscriptions_max: Count<1, 1_000_000>,
    /// Unanswered SUBSCRIBE and FETCH on one connection, 1..=4096. Default 64. Reaching it pauses reading.
    pub requests_max: Count<1, 4_096>,
    /// Records of one FETCH, 1..=10,000. Default 10,000.
    pub fetch_records_max: Count<1, 10_000>,
}

/// How a node ends.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shutdown {
    /// How long clients may take to receive their last answers, 0 s..=10 min. Default 10 s.
    pub drain: Millis<0, 600_000>,
}

/// What a node says about itself, on stderr.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Logging {
    /// The least important level that is written: error, warn, info, debug or trace. Default info.
    pub level: Level,
    /// One line of text or one JSON object per event. Default text.
    pub format: Format,
}

/// How important an event is to whom.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// An operator must act.
    Error,
    /// Something works less well than it should.
    Warn,
    /// The state of the node changed.
    Info,
    /// One line a connection.
    Debug,
    /// Everything.
    Trace,
}

/// The form of a line of the node's log.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Default for Listen {
    fn default() -> Self {
        let address = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, DEFAULT_PORT));
        Self {
            address,
            insecure: false,
            backlog: Count::fixed(1_024),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        let address = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, DEFAULT_ADMIN_PORT));
        Self {
            enabled: false,
            address,
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        Self {
            directory: PathBuf::from("antiphon-data"),
            partitions: Count::fixed(16),
            segment_bytes: Size::fixed(64 << 20),
            reserve_bytes: Size::fixed(64 << 20),
            resume_bytes: Size::fixed(128 << 20),
            retention_bytes: Size::fixed(0),
            retention_age: Millis::fixed(0),
            scrub_rate: Size::fixed(4 << 20),
            scrub_pause: Millis::fixed(86_400_000),
            node: Count::fixed(1),
        }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self {
            cores: Count::fixed(0),
            pin: false,
            readers: Count::fixed(2),
        }
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            max: Count::fixed(0),
            per_address_max: Count::fixed(0),
            input_bytes_max: Size::fixed(256 << 20),
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        Self {
            keepalive: Millis::fixed(5_000),
            frame_bytes_max: Size::fixed(1 << 20),
            body_bytes_max: Size::fixed(256 << 10),
            in_flight_max: Count::fixed(1_024),
            subscriptions_max: Count::fixed(16_384),
            requests_max: Count::fixed(64),
            fetch_records_max: Count::fixed(10_000),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain: Millis::fixed(10_000),
        }
    }
}

impl Default for Logging {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: Format::Text,
        }
    }
}

impl Level {
    /// The level as `tracing` names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
