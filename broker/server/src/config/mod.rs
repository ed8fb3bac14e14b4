//! The configuration: flags > `ANTIPHON_*` > file > defaults, each value with its origin.
//!
//! ```text
//!  defaults -> file (TOML) -> environment -> flags        later wins, per key
//!                 \______________|____________/
//!                         layer: key -> value, checked alone, so that an error names line, variable or flag
//! ```
//! All layers go through one parser, which is derived from [`Config`], so a value means the same wherever it is written.

pub(crate) mod bounded;
pub(crate) mod cluster;
mod layer;
mod report;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

pub use bounded::{Count, Millis, Size};
pub use cluster::{ClusterFault, new_cluster};
pub use report::{check, show};
pub use settings::{
    Admin, Cluster, Config, Connections, DEFAULT_ADMIN_PORT, DEFAULT_PORT, Data, Format, Level,
    Listen, Logging, Session, Shutdown, Threads,
};

use layer::Layer;

/// Where a configuration is read from, besides the defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if one was named.
    pub file: Option<PathBuf>,
    /// The environment, whole: what is not ours is ignored.
    pub env: Vec<(String, String)>,
    /// What the command line said, as `(key, value)`: `("listen.address", "127.0.0.1:0")`.
    pub flags: Vec<(String, String)>,
}

/// Where the value of a setting came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// This file.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
    /// The command line.
    Flag,
}

/// A configuration and where each value came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// Per key: what is not here is the default.
    pub(crate) origins: BTreeMap<String, Origin>,
}

/// Why there is no configuration. Its display says what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no valid configuration: unknown key, wrong type, out of bounds.
    #[error("{}: {told}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Line, caret and reason.
        told: String,
    },
    /// An environment variable that begins like ours is no setting.
    #[error(
        "the environment variable {variable} is no setting of this broker; `antiphon config show` lists them all"
    )]
    UnknownVariable {
        /// Its name.
        variable: String,
    },
    /// A flag names no setting.
    #[error("`{key}` is no setting of this broker; `antiphon config show` lists them all")]
    UnknownKey {
        /// What was named.
        key: String,
    },
    /// A value from the environment or the command line will not do.
    #[error("{from}: {told}")]
    Value {
        /// The variable or the key.
        from: String,
        /// What was expected.
        told: String,
    },
    /// Two settings do not go together.
    #[error("{0}")]
    Conflict(Conflict),
}

/// Settings that are lawful alone, and not together.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// The cluster's settings make no cluster.
    #[error("{0}")]
    Cluster(#[from] ClusterFault),
    /// Everybody could see what the node does.
    #[error(
        "admin.address = {address} can be reached from other machines, and whoever reaches it is not asked who he is: use an \
         address of loopback, and a proxy in front of it if others are to see it"
    )]
    AdminReachable {
        /// The address asked for.
        address: std::net::SocketAddr,
    },
    /// Publishes would be taken again while they are refused.
    #[error(
        "data.resume_bytes = {resume} is below data.reserve_bytes = {reserve}: publishes are taken again only when more is left than where they \
         are refused. Raise the first or lower the second"
    )]
    ResumeBelowReserve {
        /// `data.resume_bytes`.
        resume: u64,
        /// `data.reserve_bytes`.
        reserve: u64,
    },
    /// Everybody could connect, as anybody.
    #[error(
        "listen.address = {address} can be reached from other machines, and there is no authentication yet: anybody could \
         read and write every room under any name. Listen on 127.0.0.1, or set listen.insecure = true (`--insecure`) if \
         the network is yours alone"
    )]
    Insecure {
        /// The address asked for.
        address: std::net::SocketAddr,
    },
    /// A record would not fit into a frame.
    #[error(
        "session.body_bytes_max = {body} does not fit into session.frame_bytes_max = {frame}: a record needs up to \
         {overhead} bytes around its body. Raise the second or lower the first"
    )]
    BodyBeyondFrame {
        /// `session.body_bytes_max`.
        body: u64,
        /// `session.frame_bytes_max`.
        frame: u64,
        /// What else is in a frame.
        overhead: u64,
    },
}

impl Config {
    /// The configuration that `flags` > `env` > `file` > defaults give.
    ///
    /// ```
    /// use antiphon_server::Config;
    ///
    /// let env = [("ANTIPHON_THREADS_READERS".to_owned(), "4".to_owned())];
    /// let flags = [("session.keepalive".to_owned(), "30s".to_owned())];
    /// let config = Config::load(&flags, env, None)?;
    /// assert_eq!(config.threads.readers.number(), 4);
    /// assert_eq!(config.session.keepalive.millis(), 30_000);
    /// # Ok::<(), antiphon_server::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The first thing that is wrong, in the order file, environment, flags, combination.
    pub fn load(
        flags: &[(String, String)],
        env: impl IntoIterator<Item = (String, String)>,
        file: Option<&Path>,
    ) -> Result<Self, ConfigError> {
        let sources = Sources {
            file: file.map(Path::to_path_buf),
            env: env.into_iter().collect(),
            flags: flags.to_vec(),
        };
        Ok(Loaded::load(&sources)?.config)
    }

    /// Checks what concerns several settings at once. [`crate::Node::start`] does it again: a config can be built by hand.
    pub(crate) fn agree(&self) -> Result<(), Conflict> {
        let address = self.listen.address;
        if !address.ip().is_loopback() && !self.listen.insecure {
            return Err(Conflict::Insecure { address });
        }
        if !self.admin.address.ip().is_loopback() {
            return Err(Conflict::AdminReachable {
                address: self.admin.address,
            });
        }
        let (reserve, resume) = (
            self.data.reserve_bytes.bytes(),
            self.data.resume_bytes.bytes(),
        );
        if resume < reserve {
            return Err(Conflict::ResumeBelowReserve { resume, reserve });
        }
        let plan = cluster::plan(&self.cluster, self.data.node.number())?;
        if plan.is_some() && crate::recovery::retention(&self.data).is_on() {
            return Err(ClusterFault::Retention.into());
        }
        let (body, frame) = (
            self.session.body_bytes_max.bytes(),
            self.session.frame_bytes_max.bytes(),
        );
        let overhead = crate::limits::FRAME_OVERHEAD_BYTES_MAX;
        if body + overhead > frame {
            return Err(Conflict::BodyBeyondFrame {
                body,
                frame,
                overhead,
            });
        }
        Ok(())
    }
}

impl Loaded {
    /// Reads all sources and merges them, the stronger over the weaker.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut merged = Layer::default();
        if let Some(path) = &sources.file {
            merged.overlay(Layer::file(path)?);
        }
        merged.overlay(Layer::environment(&sources.env)?);
        merged.overlay(Layer::flags(&sources.flags)?);
        let (config, origins) = merged.finish()?;
        config.agree().map_err(ConfigError::Conflict)?;
        Ok(Self { config, origins })
    }

    /// Where the value of `key` came from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}
