//! Where `serve` and `config` take the broker's settings from: the same flags, environment and file.

use std::env;
use std::path::PathBuf;

use antiphon_server::Sources;
use antiphon_server::config::ConfigError;
use clap::Args;

use crate::failure::Failure;

/// Flags win over `ANTIPHON_*` variables, they over the file, and it over the defaults.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    /// A TOML file with settings; without it the defaults hold.
    #[arg(long, env = "ANTIPHON_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Where to listen; port 0 takes any free one [listen.address].
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<String>,

    /// The data directory, made if missing [data.directory].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Listen beyond this machine although nobody is authenticated and nothing is encrypted [listen.insecure].
    #[arg(long)]
    insecure: bool,

    /// Any setting by its key, such as --set threads.cores=2; `antiphon config show` lists them all.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    set: Vec<(String, String)>,
}

impl Settings {
    /// All sources but the defaults, as the server takes them.
    pub(crate) fn sources(self) -> Result<Sources, Failure> {
        self.sources_with(None)
    }

    /// The same, with a file that was named otherwise than by `--config`.
    pub(crate) fn sources_with(self, file: Option<PathBuf>) -> Result<Sources, Failure> {
        let mut flags = Vec::new();
        if let Some(listen) = self.listen {
            flags.push(("listen.address".to_owned(), listen));
        }
        if let Some(data) = self.data {
            let data = data.into_os_string().into_string();
            let data = data.map_err(|path| {
                Failure::usage(format_args!("--data {path:?} is not UTF-8"))
                    .next("give the directory another name, or a link to it one")
            })?;
            flags.push(("data.directory".to_owned(), data));
        }
        if self.insecure {
            flags.push(("listen.insecure".to_owned(), "true".to_owned()));
        }
        flags.extend(self.set);
        // A variable whose name or value is not UTF-8 is none of ours.
        let env = env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Ok(Sources {
            file: file.or(self.config),
            env: env.collect(),
            flags,
        })
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => {
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("KEY=VALUE is expected, such as threads.cores=2".to_owned()),
    }
}

/// A configuration that will not do is a wrong usage; its text says line, caret and what to change.
pub(crate) fn refused(error: &ConfigError) -> Failure {
    Failure::usage(error).next("correct it and try `antiphon config check`; nothing was started")
}
