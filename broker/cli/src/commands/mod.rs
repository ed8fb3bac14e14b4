//! One file a command: its arguments, and what it does.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod cluster;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod cursor;
pub(crate) mod export;
pub(crate) mod history;
pub(crate) mod log;
pub(crate) mod ping;
pub(crate) mod publish;
pub(crate) mod redact;
pub(crate) mod replay;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod status;
pub(crate) mod subscribe;
